//! The gates of an opening, in the order of [`OPENING_GATES`], the same in both passes (spec 3).
//!
//! Every gate is asked, also after one blocked: what is kept with the intent is the whole picture. A missing input
//! blocks with its own reason.

use std::time::Duration;

use domain::account::{CredentialStatus, Environment, Switches};
use domain::calendar::Session;
use domain::fees::FeeSchedule;
use domain::gate::{GateCheck, first_block};
use domain::intent::{IntentState, OPENING_GATES, OpeningIntent};
use domain::kill::{KillRow, KillScope, strictest};
use domain::market::OptionQuote;
use domain::money::{Price, Side, TickGrid};
use domain::ports::OpeningContext;
use domain::setup::Direction;
use domain::time::UtcNanos;
use jiff::civil::{Date, time};

use self::money::Asked;
use crate::selection::quote_age_max;
use crate::sizing::{REWARD_TO_RISK_MIN, reward_to_risk};

pub(crate) mod money;

pub use money::SNAPSHOT_AGE_MAX;

/// A signal older than this no longer opens, unless one step of its source is longer.
pub const SIGNAL_AGE_MAX: Duration = Duration::from_secs(30);
/// How old the proof of a live credential may be.
pub const PROOF_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// No entry later than this before the close.
const LAST_ENTRY_BEFORE_CLOSE_MINUTES: u32 = 20;

/// What both passes read.
#[derive(Debug, Clone, Copy)]
pub struct GateInputs<'a> {
    /// The deployment's switches.
    pub switches: &'a Switches,
    /// The account's rows, read in one transaction.
    pub context: &'a OpeningContext,
    /// The session of `now`; `None` when the exchange is closed.
    pub session: Option<&'a Session>,
    /// Market time.
    pub now: UtcNanos,
    /// What is asked for.
    pub intent: &'a OpeningIntent,
    /// The series' quote now.
    pub quote: Option<&'a OptionQuote>,
    /// Exchange time of the transition behind the intent.
    pub signal_at: UtcNanos,
    /// One step of the market data's source.
    pub resolution_ns: i64,
    /// Whether the market data has a gap that is not filled.
    pub is_feed_gap: bool,
    /// Whether the context's day figures hold this intent already: from its first mark on.
    pub is_counted: bool,
    /// When the account's broker switched to intraday margin.
    pub broker_switched: Date,
}

/// What the gates read that ask nothing about what is bought.
pub(crate) struct Standing<'a> {
    pub(crate) switches: &'a Switches,
    pub(crate) context: &'a OpeningContext,
    pub(crate) session: Option<&'a Session>,
    pub(crate) now: UtcNanos,
    pub(crate) environment: Environment,
    pub(crate) signal_at: UtcNanos,
    pub(crate) resolution_ns: i64,
    pub(crate) is_feed_gap: bool,
    /// Whether the day's figures hold this entry already.
    pub(crate) is_counted: bool,
    pub(crate) broker_switched: Date,
}

impl Standing<'_> {
    /// `amount` where the context holds this entry already, nothing before.
    pub(crate) fn if_counted<T: Default>(&self, amount: T) -> T {
        if self.is_counted { amount } else { T::default() }
    }
}

impl<'a> GateInputs<'a> {
    fn standing(&self) -> Standing<'a> {
        Standing {
            switches: self.switches,
            context: self.context,
            session: self.session,
            now: self.now,
            environment: self.intent.head.account.environment,
            signal_at: self.signal_at,
            resolution_ns: self.resolution_ns,
            is_feed_gap: self.is_feed_gap,
            is_counted: self.is_counted,
            broker_switched: self.broker_switched,
        }
    }

    /// What the intent costs at worst, with the charges to open it; all of it can be lost.
    fn asked(&self) -> Asked {
        let (series, worst) = (&self.intent.head.series, self.intent.worst);
        let fees = FeeSchedule::as_of(self.now.new_york_date()).charge(&series.root, worst, 1);
        let unit = worst.notional(1) + fees;
        let debit = unit.times(i64::from(self.intent.quantity));
        Asked { requirement: debit, unit, max_loss: debit, expiry: series.expiry, is_credit: false }
    }
}

/// Asks every gate, in order.
pub fn opening(inputs: &GateInputs<'_>) -> Vec<GateCheck> {
    let ask: [fn(&GateInputs<'_>, &str) -> GateCheck; 15] = [
        |it, gate| execution_enabled(&it.standing(), gate),
        |it, gate| four_lights(&it.standing(), gate),
        |it, gate| consent(&it.standing(), gate),
        |it, gate| kill_switch(&it.standing(), gate),
        |it, gate| reconciliation(&it.standing(), gate),
        |it, gate| session_hours(&it.standing(), gate),
        |it, gate| signal_age(&it.standing(), gate),
        quote,
        price_bound,
        reward,
        |it, gate| money::day_trading(&it.standing(), &it.asked(), gate),
        |it, gate| money::daily_loss(&it.standing(), &it.asked(), gate),
        |it, gate| trade_count(&it.standing(), gate),
        exposure,
        |it, gate| money::buying_power(&it.standing(), &it.asked(), gate),
    ];
    OPENING_GATES.iter().zip(ask).map(|(gate, ask)| ask(inputs, gate)).collect()
}

/// What the gates make of an intent: ready when none blocks, `would_submit` when the deployment's switch alone
/// does, else blocked with the first reason.
pub fn verdict(gates: &[GateCheck]) -> (IntentState, String) {
    let Some(first) = first_block(gates) else { return (IntentState::Ready, String::new()) };
    let is_switch_alone = gates.iter().filter(|it| it.blocks()).all(|it| it.gate == "execution_enabled");
    let state = if is_switch_alone { IntentState::WouldSubmit } else { IntentState::Blocked };
    (state, first.reason.clone())
}

/// The hours in which a long premium entry may be sent: 09:35 to 15:00, never later than 20 minutes before the close.
pub fn entry_hours(session: &Session) -> (UtcNanos, UtcNanos) {
    let last = session.before_close(LAST_ENTRY_BEFORE_CLOSE_MINUTES);
    (session.wall(time(9, 35, 0, 0)), session.wall(time(15, 0, 0, 0)).min(last))
}

pub(crate) fn execution_enabled(inputs: &Standing<'_>, gate: &str) -> GateCheck {
    let on = inputs.switches.execution_enabled;
    GateCheck::holds(gate, on, on, "TRADIER_EXECUTION_ENABLED=true", "execution_disabled")
}

/// The user's light counts everywhere, with a working credential; the other three count where it is real money.
pub(crate) fn four_lights(inputs: &Standing<'_>, gate: &str) -> GateCheck {
    let (switches, context) = (inputs.switches, inputs.context);
    let environment = inputs.environment;
    let observed = environment.as_str();
    let dark = |required: &str, reason: &str| GateCheck::holds(gate, false, observed, required, reason);
    if !context.settings.spx_auto_execute {
        return dark("the user's spx_auto_execute", "execution_off");
    }
    let credential = match (&context.credential, environment) {
        (None, Environment::Paper) => {
            return GateCheck::holds(gate, true, observed, "paper needs no broker", "");
        }
        (None, Environment::Sandbox | Environment::Live) => {
            return GateCheck::missing(gate, "a stored credential", "no_credential");
        }
        (Some(credential), _) => credential,
    };
    if credential.status != CredentialStatus::Active {
        return dark("an active credential", "credential_not_active");
    }
    match environment {
        Environment::Paper | Environment::Sandbox => {
            GateCheck::holds(gate, true, observed, "the user's spx_auto_execute", "")
        }
        Environment::Live if switches.sandbox => dark("TRADIER_SANDBOX=false", "sandbox_deployment"),
        Environment::Live if !switches.production_enabled => {
            dark("TRADIER_EXECUTION_PRODUCTION_ENABLED=true", "production_disabled")
        }
        Environment::Live => proof(inputs, gate, credential.proof_at),
    }
}

/// The fourth light: balances were read with the credential in the last 24 hours.
fn proof(inputs: &Standing<'_>, gate: &str, proof_at: Option<UtcNanos>) -> GateCheck {
    let required = "a balance test under 24 hours old";
    let Some(at) = proof_at else { return GateCheck::missing(gate, required, "proof_missing") };
    let age = inputs.now.since(at);
    let holds = age < PROOF_AGE_MAX;
    GateCheck::holds(gate, holds, format!("tested {} s ago", age.as_secs()), required, "proof_stale")
}

pub(crate) fn consent(inputs: &Standing<'_>, gate: &str) -> GateCheck {
    let required = "the member's stored consent";
    match inputs.context.settings.consent_at.filter(|at| *at <= inputs.now) {
        Some(at) => GateCheck::holds(gate, true, at, required, ""),
        None => GateCheck::missing(gate, required, "no_consent"),
    }
}

pub(crate) fn kill_switch(inputs: &Standing<'_>, gate: &str) -> GateCheck {
    // The rows are those that cover the entry: a market among them is its own.
    let is_halt = |it: &&KillRow| matches!(it.scope, KillScope::Market(_)) && !it.state.allows_entries();
    if let Some(row) = inputs.context.kill.iter().find(is_halt) {
        let observed = format!("halted since {}", row.flipped_at.new_york().time());
        return GateCheck::holds(gate, false, observed, "a market that trades", "market_halted");
    }
    let state = strictest(&inputs.context.kill);
    GateCheck::holds(gate, state.allows_entries(), state.as_str(), "normal", "kill_switch")
}

/// No entry of a day before the books and the broker's agreed once. With execution off nothing is sent, and nothing has to
/// be compared before it.
pub(crate) fn reconciliation(inputs: &Standing<'_>, gate: &str) -> GateCheck {
    let required = "books that agreed with the broker's today";
    match inputs.context.agreed_at {
        Some(at) => GateCheck::holds(gate, true, at, required, ""),
        None if !inputs.switches.execution_enabled => {
            GateCheck::holds(gate, true, "execution is off", required, "")
        }
        None => GateCheck::missing(gate, required, "not_reconciled"),
    }
}

pub(crate) fn session_hours(inputs: &Standing<'_>, gate: &str) -> GateCheck {
    let Some(session) = inputs.session else {
        return GateCheck::missing(gate, "an open exchange", "no_session");
    };
    let (from, to) = entry_hours(session);
    let now = inputs.now;
    let required = format!("{} to {}", from.new_york().time(), to.new_york().time());
    let holds = from <= now && now < to;
    GateCheck::holds(gate, holds, now.new_york().time(), required, "outside_entry_hours")
}

pub(crate) fn signal_age(inputs: &Standing<'_>, gate: &str) -> GateCheck {
    let step = Duration::from_nanos(u64::try_from(inputs.resolution_ns).unwrap_or(0));
    let limit = SIGNAL_AGE_MAX.max(step);
    let required = format!("at most {} s, without a gap in the feed", limit.as_secs_f64());
    if inputs.is_feed_gap {
        return GateCheck::holds(gate, false, "a gap in the feed", required, "feed_gap");
    }
    let age = inputs.now.since(inputs.signal_at).as_secs_f64();
    GateCheck::measured(gate, format!("{age} s"), required, limit.as_secs_f64() - age, "signal_stale")
}

fn quote(inputs: &GateInputs<'_>, gate: &str) -> GateCheck {
    let limit = quote_age_max(inputs.resolution_ns).as_secs_f64();
    let required = format!("bid and ask at most {limit} s old");
    let Some(quote) = inputs.quote else { return GateCheck::missing(gate, required, "quote_missing") };
    let Some((bid, ask)) = quote.two_sided() else {
        return GateCheck::missing(gate, required, "quote_one_sided");
    };
    let age = inputs.now.since(quote.ts).as_secs_f64();
    GateCheck::measured(gate, format!("{bid} x {ask}, {age} s old"), required, limit - age, "quote_stale")
}

/// The bound is on the grid, and the walk can still start: where reward to risk alone set the bound it may lie under the
/// ask, so it is mid, rounded to the passive side, that must not be beyond it.
fn price_bound(inputs: &GateInputs<'_>, gate: &str) -> GateCheck {
    let worst = inputs.intent.worst;
    let grid = TickGrid::single_leg(&inputs.intent.head.series.root, inputs.now.new_york_date());
    let required = format!("a start at or under {worst}");
    if !grid.holds(worst) || worst == Price::ZERO {
        return GateCheck::holds(gate, false, worst, "a bound on the tick grid", "bound_off_grid");
    }
    let start =
        inputs.quote.and_then(OptionQuote::mid).and_then(|it| Price::from_model(it, Side::Buy, grid).ok());
    let Some(start) = start else { return GateCheck::missing(gate, required, "quote_missing") };
    let margin = grid.ticks_between(start, worst) as f64;
    GateCheck::measured(gate, format!("mid at {start}"), required, margin, "price_beyond_worst")
}

fn reward(inputs: &GateInputs<'_>, gate: &str) -> GateCheck {
    let required = format!("{REWARD_TO_RISK_MIN} at {}", inputs.intent.worst);
    match reward_to_risk(inputs.intent) {
        None => GateCheck::missing(gate, required, "reward_not_modelled"),
        Some(ratio) => GateCheck::measured(
            gate,
            format!("{ratio:.4}"),
            required,
            ratio - REWARD_TO_RISK_MIN,
            "reward_to_risk",
        ),
    }
}

pub(crate) fn trade_count(inputs: &Standing<'_>, gate: &str) -> GateCheck {
    let (day, limits) = (&inputs.context.day, &inputs.context.settings.limits);
    let entries = day.entries.saturating_sub(u32::from(inputs.is_counted));
    if day.losses_in_a_row >= limits.pause_after_losses {
        let required = format!("under {} losses in a row", limits.pause_after_losses);
        return GateCheck::holds(gate, false, day.losses_in_a_row, required, "paused_after_losses");
    }
    let left = f64::from(limits.max_trades_per_day) - f64::from(entries) - 1.0;
    let required = format!("under {} entries", limits.max_trades_per_day);
    GateCheck::measured(gate, entries, required, left, "max_trades")
}

/// One owner per series, a size within the user's own, and one net cap on a direction over all families.
fn exposure(inputs: &GateInputs<'_>, gate: &str) -> GateCheck {
    let (intent, day) = (inputs.intent, &inputs.context.day);
    let limits = &inputs.context.settings.limits;
    let quantity = intent.quantity;
    if quantity == 0 || quantity > limits.max_contracts {
        let reason = if quantity == 0 { "no_contracts" } else { "max_contracts" };
        let required = format!("1 to {} contracts", limits.max_contracts);
        return GateCheck::holds(gate, false, quantity, required, reason);
    }
    let owner = inputs.context.owned_series.iter().find(|(series, setup)| {
        *series == intent.head.series && setup.map(domain::intent::Origin::Setup) != Some(intent.head.origin)
    });
    if owner.is_some() {
        let required = "a series without another owner";
        return GateCheck::holds(gate, false, intent.head.series, required, "series_owned");
    }
    let (same, opposite) = match intent.direction {
        Direction::Long => (day.long_contracts, day.short_contracts),
        Direction::Short => (day.short_contracts, day.long_contracts),
    };
    let counted = i64::from(inputs.standing().if_counted(quantity));
    let net = i64::from(same) - counted + i64::from(quantity) - i64::from(opposite);
    let left = i64::from(limits.max_direction_contracts) - net;
    let required = format!("at most {} contracts net", limits.max_direction_contracts);
    let observed = format!("{net} net {}", intent.direction.as_str());
    GateCheck::measured(gate, observed, required, left as f64, "direction_cap")
}

#[cfg(test)]
mod tests;

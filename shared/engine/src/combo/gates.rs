//! The gates of an entry into a structure: those of every opening, in their order, and the collision of legs.

use domain::account::{AccountType, Switches};
use domain::calendar::Session;
use domain::combo::ComboEntry;
use domain::fees::FeeSchedule;
use domain::gate::GateCheck;
use domain::intent::{LEG_COLLISION, OPENING_GATES};
use domain::market::OptionQuote;
use domain::money::{Price, TickGrid, Usd};
use domain::ports::OpeningContext;
use domain::setup::Direction;
use domain::ticket::{HeldLeg, Net, NetKind};
use domain::time::UtcNanos;
use jiff::civil::Date;

use super::walk::{NetQuote, net_quote};
use crate::daytrade::{self, Question, Rule};
use crate::gates::{self, SNAPSHOT_AGE_MAX, Standing};
use crate::selection::quote_age_max;

/// What both passes read.
#[derive(Debug, Clone, Copy)]
pub struct ComboInputs<'a> {
    /// The deployment's switches.
    pub switches: &'a Switches,
    /// The account's rows, read in one transaction.
    pub context: &'a OpeningContext,
    /// The session of `now`; `None` when the exchange is closed.
    pub session: Option<&'a Session>,
    /// Market time.
    pub now: UtcNanos,
    /// What is asked for.
    pub entry: &'a ComboEntry,
    /// Its legs' quotes now, in their order.
    pub quotes: &'a [Option<OptionQuote>],
    /// When the decision was made that the entry follows.
    pub signal_at: UtcNanos,
    /// One step of the market data's source.
    pub resolution_ns: i64,
    /// Whether the market data has a gap that is not filled.
    pub is_feed_gap: bool,
    /// When the account's broker switched to intraday margin.
    pub broker_switched: Date,
}

impl<'a> ComboInputs<'a> {
    fn standing(&self) -> Standing<'a> {
        Standing {
            switches: self.switches,
            context: self.context,
            session: self.session,
            now: self.now,
            environment: self.entry.head.account.environment,
            signal_at: self.signal_at,
            resolution_ns: self.resolution_ns,
            is_feed_gap: self.is_feed_gap,
            is_counted: false,
        }
    }

    fn net(&self) -> NetQuote {
        net_quote(self.entry.terms.legs(), self.quotes)
    }

    fn grid(&self) -> TickGrid {
        TickGrid::net(&self.entry.head.series.root, false, self.now.new_york_date())
    }

    /// Charges to open one unit, each leg as the dearer premiums are charged.
    fn fees(&self) -> Usd {
        const DEAR: Price = Price::from_cents(100);
        let fees = FeeSchedule::as_of(self.now.new_york_date());
        self.entry.terms.legs().iter().map(|it| fees.charge(&it.series.root, DEAR, it.ratio)).sum()
    }

    /// What a unit takes of the account's money.
    fn unit_requirement(&self) -> Usd {
        self.entry.terms.requirement() + self.fees()
    }

    fn requirement(&self) -> Usd {
        self.unit_requirement().times(i64::from(self.entry.units))
    }

    fn max_loss(&self) -> Usd {
        (self.entry.terms.max_loss() + self.fees()).times(i64::from(self.entry.units))
    }
}

/// Asks every gate, in order, and the collision of legs last.
pub fn opening(inputs: &ComboInputs<'_>) -> Vec<GateCheck> {
    let ask: [fn(&ComboInputs<'_>, &str) -> GateCheck; 15] = [
        |it, gate| gates::execution_enabled(&it.standing(), gate),
        |it, gate| gates::four_lights(&it.standing(), gate),
        |it, gate| gates::consent(&it.standing(), gate),
        |it, gate| gates::kill_switch(&it.standing(), gate),
        |it, gate| gates::reconciliation(&it.standing(), gate),
        |it, gate| gates::session_hours(&it.standing(), gate),
        |it, gate| gates::signal_age(&it.standing(), gate),
        quotes,
        price_bound,
        reward,
        day_trading,
        daily_loss,
        |it, gate| gates::trade_count(&it.standing(), gate),
        exposure,
        buying_power,
    ];
    let mut all: Vec<GateCheck> =
        OPENING_GATES.iter().zip(ask).map(|(gate, ask)| ask(inputs, gate)).collect();
    all.push(leg_collision(inputs));
    all
}

/// Both sides of every leg, none of them old.
fn quotes(inputs: &ComboInputs<'_>, gate: &str) -> GateCheck {
    let limit = quote_age_max(inputs.resolution_ns).as_secs_f64();
    let required = format!("bid and ask of every leg at most {limit} s old");
    let legs = inputs.entry.terms.legs();
    let ages: Option<Vec<f64>> =
        inputs.quotes.iter().map(|it| it.map(|quote| inputs.now.since(quote.ts).as_secs_f64())).collect();
    let Some(ages) = ages.filter(|it| it.len() == legs.len()) else {
        return GateCheck::missing(gate, required, "quote_missing");
    };
    let net = inputs.net();
    if !net.is_two_sided {
        return GateCheck::missing(gate, required, "quote_one_sided");
    }
    let oldest = ages.into_iter().fold(0.0, f64::max);
    GateCheck::measured(
        gate,
        format!("the oldest is {oldest} s old"),
        required,
        limit - oldest,
        "quote_stale",
    )
}

/// The bound is on the grid, and the walk can still start: the net mid, rounded to the passive side, is not beyond it.
fn price_bound(inputs: &ComboInputs<'_>, gate: &str) -> GateCheck {
    let (worst, grid, net) = (inputs.entry.terms.worst(), inputs.grid(), inputs.net());
    let required = format!("a start no worse than {worst}");
    if !grid.holds(worst.magnitude()) {
        return GateCheck::holds(gate, false, worst, "a bound on the tick grid", "bound_off_grid");
    }
    let (Some(natural), Some(passive)) = (net.natural, net.passive) else {
        return GateCheck::missing(gate, required, "quote_missing");
    };
    let spread = natural.cents().saturating_sub(passive.cents());
    let mid = passive.cents().saturating_add(spread.div_euclid(2));
    let start = Net::from_cents(mid).passive(grid);
    let margin = worst.cents().saturating_sub(start.cents()) as f64 / 100.0;
    GateCheck::measured(gate, format!("mid at {start}"), required, margin, "price_beyond_worst")
}

/// The decision weighed its own reward; what is asked here is that its price was not misread: the terms prove that a
/// unit can gain and can lose.
fn reward(inputs: &ComboInputs<'_>, gate: &str) -> GateCheck {
    let required = "a price at which a unit can gain, and lose no more than its bound";
    match inputs.entry.terms.risk() {
        Ok(risk) => {
            GateCheck::holds(gate, true, format!("{} at most lost a unit", risk.max_loss()), required, "")
        }
        Err(why) => GateCheck::holds(gate, false, why, required, "risk_not_bounded"),
    }
}

fn day_trading(inputs: &ComboInputs<'_>, gate: &str) -> GateCheck {
    let (context, today) = (inputs.context, inputs.now.new_york_date());
    let Some(snapshot) = &context.snapshot else {
        return GateCheck::missing(gate, "known balances", "balances_missing");
    };
    let question = Question {
        rule: Rule::as_of(today, inputs.broker_switched),
        balances: &snapshot.balances,
        day_trades: context.day.day_trades,
        debit: inputs.requirement(),
        per_contract_debit: inputs.unit_requirement(),
        is_zero_dte: inputs.entry.head.series.expiry == today,
        zero_dte_floor: context.settings.limits.zero_dte_floor,
    };
    daytrade::check(gate, &question)
}

/// Open and working risk, today's loss and what this may lose together stay at or under the limit.
fn daily_loss(inputs: &ComboInputs<'_>, gate: &str) -> GateCheck {
    let (day, limit) = (&inputs.context.day, inputs.context.settings.limits.daily_loss_limit);
    let (open, loss, asked) = (day.open_premium, (-day.realized).max(Usd::ZERO), inputs.max_loss());
    let left = limit - (open + loss + asked);
    let observed = format!("{open} open, {loss} lost, {asked} asked");
    GateCheck::measured(gate, observed, format!("at most {limit}"), left.to_f64(), "daily_loss_limit")
}

/// One owner per series, a size within the user's own, and one net cap on a direction over all families.
fn exposure(inputs: &ComboInputs<'_>, gate: &str) -> GateCheck {
    let (entry, day) = (inputs.entry, &inputs.context.day);
    let limits = &inputs.context.settings.limits;
    if entry.units == 0 || entry.units > limits.max_contracts {
        let reason = if entry.units == 0 { "no_contracts" } else { "max_contracts" };
        let required = format!("1 to {} units", limits.max_contracts);
        return GateCheck::holds(gate, false, entry.units, required, reason);
    }
    let held = |series| inputs.context.open_legs.iter().any(|it: &HeldLeg| it.series == series);
    if let Some(leg) = entry.terms.legs().iter().find(|it| held(it.series)) {
        return GateCheck::holds(gate, false, leg.series, "series without another owner", "series_owned");
    }
    let (same, opposite) = match entry.direction {
        Some(Direction::Long) => (day.long_contracts, day.short_contracts),
        Some(Direction::Short) => (day.short_contracts, day.long_contracts),
        None => {
            let required = "a structure without a direction takes none of the cap";
            return GateCheck::holds(gate, true, "neutral", required, "");
        }
    };
    let net = i64::from(same) + i64::from(entry.units) - i64::from(opposite);
    let left = i64::from(limits.max_direction_contracts) - net;
    let required = format!("at most {} contracts net", limits.max_direction_contracts);
    GateCheck::measured(gate, format!("{net} net"), required, left as f64, "direction_cap")
}

/// A debit, or the width of a credit, which a cash account cannot carry.
fn buying_power(inputs: &ComboInputs<'_>, gate: &str) -> GateCheck {
    let asked = inputs.requirement();
    let required = format!("{asked}, from balances at most {} s old", SNAPSHOT_AGE_MAX.as_secs());
    let Some(snapshot) = &inputs.context.snapshot else {
        return GateCheck::missing(gate, required, "balances_missing");
    };
    let age = inputs.now.since(snapshot.at);
    if age > SNAPSHOT_AGE_MAX {
        let observed = format!("{} s old", age.as_secs());
        return GateCheck::holds(gate, false, observed, required, "balances_stale");
    }
    let is_credit = inputs.entry.terms.worst().kind() == NetKind::Credit;
    if is_credit && snapshot.balances.account_type == AccountType::Cash {
        return GateCheck::holds(gate, false, "a cash account", "a margin account", "credit_in_cash_account");
    }
    let Some(usable) = snapshot.balances.usable() else {
        return GateCheck::missing(gate, required, "balances_missing");
    };
    let free = usable - inputs.context.day.working_debits;
    GateCheck::measured(gate, free, required, (free - asked).to_f64(), "buying_power")
}

/// No leg opposite in sign to an open leg of ours: at the broker the two would net, and neither be what its owner holds.
fn leg_collision(inputs: &ComboInputs<'_>) -> GateCheck {
    let required = "no leg opposite to an open leg of ours";
    let opposite = inputs.entry.terms.legs().iter().find(|leg| {
        let sign = leg.side.side().sign();
        let open = inputs.context.open_legs.iter().filter(|it| it.series == leg.series);
        open.map(|it| it.quantity.signum()).any(|it| it == -sign)
    });
    match opposite {
        Some(leg) => GateCheck::holds(LEG_COLLISION, false, leg.series, required, "leg_collision"),
        None => GateCheck::holds(LEG_COLLISION, true, "none", required, ""),
    }
}

#[cfg(test)]
mod tests;

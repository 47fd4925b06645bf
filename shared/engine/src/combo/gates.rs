//! The gates of an entry into a structure: those of every opening, in their order, and the collision of legs.

use domain::account::Switches;
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
use crate::gates::money::{self, Asked};
use crate::gates::{self, Standing};
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
            broker_switched: self.broker_switched,
        }
    }

    /// What the units take of the account's money and may lose of it.
    fn asked(&self) -> Asked {
        let (terms, fees) = (&self.entry.terms, self.fees());
        let (unit, units) = (terms.requirement() + fees, i64::from(self.entry.units));
        Asked {
            requirement: unit.times(units),
            unit,
            max_loss: (terms.max_loss() + fees).times(units),
            expiry: self.entry.head.series.expiry,
            is_credit: terms.worst().kind() == NetKind::Credit,
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
        |it, gate| money::day_trading(&it.standing(), &it.asked(), gate),
        |it, gate| money::daily_loss(&it.standing(), &it.asked(), gate),
        |it, gate| gates::trade_count(&it.standing(), gate),
        exposure,
        |it, gate| money::buying_power(&it.standing(), &it.asked(), gate),
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

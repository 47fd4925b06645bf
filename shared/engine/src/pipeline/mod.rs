//! The nine-stage pipeline, stages A to H: whether a strategy enters now, and with which structure.
//!
//! [`evaluate`] reads a [`Snapshot`], a [`Strategy`], a [`Portfolio`] and the time, and nothing else: the same inputs give
//! the same [`Decision`] to the bit. The first stage that stops decides, and every stage is evaluated and recorded all the
//! same. What is missing is not known, and what is not known stops. docs/pipeline.md lists stages and reason codes.

mod book;
mod bound;
mod chain;
mod check;
mod corporate;
mod decision;
mod density;
mod dte;
mod edge;
mod friction;
mod hours;
mod liquidity;
mod macros;
mod portfolio;
mod reading;
mod reason;
mod regime;
mod snapshot;
mod strategy;
mod structure;
#[cfg(test)]
mod tests;
mod universe;
mod waterfall;

pub use bound::{Bound, Value};
pub use check::{Change, Check, Outcome, Stage, Verdict};
pub use decision::{Answer, Decision};
pub use dte::dte_range;
pub use macros::{FOMC_SHORTS_CLOSED_BY, MacroSchedule};
pub use portfolio::{BookGreeks, Caps, OpenLeg, OpenPosition, Portfolio, Shares};
pub use reading::Reading;
pub use reason::Reason;
pub use snapshot::{
    Dividend, Facts, Known, LevelAt, Rates, Returns, Snapshot, SpotAt, Standing, UnderlyingVolume,
    decision_id,
};
pub use strategy::{
    BadStrategy, Entry, Exit, Hours, Kind, Liquidity, NAMES, Preset, Profit, Range, Regime, Settings, Size,
    Stop, Strategy, Violation, preset,
};
pub use structure::{Numbers, Search, Structure, StructureLeg};
pub use waterfall::waterfall;

use domain::chain::ChainSnapshot;
use domain::money::CONTRACT_MULTIPLIER;
use domain::time::UtcNanos;
use jiff::civil::Date;

use self::chain::Expiration;
use self::structure::Found;

/// What every stage reads.
struct Asked<'a> {
    facts: &'a Facts,
    chain: &'a ChainSnapshot,
    set: &'a Settings,
    /// What it would open: a wheel is one of its two halves.
    kind: Kind,
    portfolio: &'a Portfolio,
    now: UtcNanos,
    today: Date,
    /// The underlying's value where it is one.
    spot: Option<f64>,
    /// Expirations that still trade.
    expirations: Vec<Expiration<'a>>,
    /// Days to expiry by regime.
    range: (i64, i64),
}

impl<'a> Asked<'a> {
    fn new(snapshot: &'a Snapshot, strategy: &'a Strategy, portfolio: &'a Portfolio, now: UtcNanos) -> Self {
        let (facts, chain, set) = (&snapshot.facts, &snapshot.chain, strategy.settings());
        let spot = facts.spot.map(|it| it.value.to_f64()).filter(|it| *it > 0.0);
        let mut asked = Self {
            facts,
            chain,
            set,
            kind: half_of_the_wheel(set.kind, portfolio),
            portfolio,
            now,
            today: now.new_york_date(),
            spot,
            expirations: chain::expirations(&chain.rows, set.underlying, now),
            range: (0, 0),
        };
        asked.range = dte::range(&asked);
        asked
    }

    /// Days to the expiration that stands for the chain.
    fn nearest_dte(&self) -> Option<i64> {
        dte::nearest(&self.expirations, self.range).map(|it| it.dte)
    }

    /// Expirations that liquidity is asked of: those in range, or the one nearest to it.
    fn liquid_expirations(&self) -> Vec<&Expiration<'a>> {
        let most = usize::from(self.set.entry.expirations_max);
        let within = dte::within(&self.expirations, self.range, most);
        if within.is_empty() {
            dte::nearest(&self.expirations, self.range).into_iter().collect()
        } else {
            within
        }
    }
}

/// A wheel with shares to cover a call sells one, else a put; other strategies are themselves.
fn half_of_the_wheel(kind: Kind, portfolio: &Portfolio) -> Kind {
    let covers = portfolio.shares.is_some_and(|it| i64::from(it.free) >= CONTRACT_MULTIPLIER);
    match (kind, covers) {
        (Kind::Wheel, true) => Kind::CoveredCall,
        (Kind::Wheel, false) => Kind::CashSecuredPut,
        (kind, _) => kind,
    }
}

/// Decides whether `strategy` enters over `snapshot` beside `portfolio` at `now`, and with which structure.
pub fn evaluate(snapshot: &Snapshot, strategy: &Strategy, portfolio: &Portfolio, now: UtcNanos) -> Decision {
    decide(&Asked::new(snapshot, strategy, portfolio, now), None)
}

/// The same for a structure that is held instead of chosen: its legs, its price and its size stay, everything else is
/// what it is now. An input that changes a stage's reading changes its verdict, and no other choice hides it.
pub fn evaluate_holding(
    snapshot: &Snapshot,
    strategy: &Strategy,
    portfolio: &Portfolio,
    now: UtcNanos,
    structure: &Structure,
) -> Decision {
    decide(&Asked::new(snapshot, strategy, portfolio, now), Some(structure))
}

fn decide(asked: &Asked<'_>, held: Option<&Structure>) -> Decision {
    let Found { candidate, search, checks: structure } = structure::find(asked, held);
    let it = candidate.as_ref();
    let legs = match it {
        Some(it) => liquidity::of_legs(asked, it.legs.iter().map(|leg| (leg.row, it.dte, leg.delta))),
        None => vec![Check::skipped(Reading::BothSides, Reason::NoStructure)],
    };
    let mut structure = Some(structure);
    let mut legs = Some(legs);
    let stages = Stage::ALL.map(|stage| {
        let checks = match stage {
            Stage::A => universe::checks(asked),
            Stage::B => macros::checks(asked.facts.macros.as_ref(), asked.now),
            Stage::C => liquidity::of_chain(asked, asked.spot, &asked.liquid_expirations()),
            Stage::D => dte::checks(asked),
            Stage::E1 => regime::term_structure(asked),
            Stage::E2 => regime::regime(asked),
            Stage::E3 => regime::iv_rank(asked),
            Stage::F => structure.take().unwrap_or_default(),
            Stage::C2 => legs.take().unwrap_or_default(),
            Stage::F3 => book::collision(asked, it),
            Stage::G1 => corporate::earnings(asked, it),
            Stage::G2 => corporate::dividends(asked, it),
            Stage::G3 => edge::checks(it),
            Stage::G4 => book::risk(asked, it),
            Stage::H => hours::checks(asked),
        };
        Outcome::of(stage, checks)
    });
    Decision {
        strategy: asked.set.name.clone(),
        kind: asked.kind,
        underlying: asked.set.underlying,
        at: asked.now,
        answer: Answer::Stand,
        decided_by: None,
        reason: None,
        trips_safe_mode: regime::term_ratio(asked.facts).is_some_and(|it| it >= 1.0),
        stages: stages.to_vec(),
        flip: Vec::new(),
        structure: it.map(|it| it.structure(asked.kind)),
        numbers: candidate.map(|it| it.numbers),
        search,
    }
    .sum_up()
}

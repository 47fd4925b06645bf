//! Stage C: five factors of liquidity, near the money for the whole chain and on each chosen leg.

use domain::chain::ChainRow;
use domain::market::Points;
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::time;

use super::Asked;
use super::bound::{Bound, Value};
use super::chain::{Expiration, width};
use super::check::Check;
use super::reading::Reading;
use super::reason::Reason;
use super::snapshot::Facts;
use super::strategy::Liquidity;

/// A quote may be so old at 7 days to expiry and less, and at more.
const QUOTE_AGE_MAX: [f64; 2] = [60.0, 300.0];
/// Days to expiry up to which the shorter limit counts.
const SHORT_DTE: i64 = 7;
/// Strikes to either side of the money that stand for the chain.
const NEAR: usize = 10;
/// Ticks that the underlying may always be worth to a quote.
const MOVE_TICKS: u16 = 2;

/// The limit of a quote's age.
pub(super) const fn quote_age_max(dte: i64) -> f64 {
    if dte <= SHORT_DTE { QUOTE_AGE_MAX[0] } else { QUOTE_AGE_MAX[1] }
}

/// The connection and the underlying's own volume: asked once.
fn common(facts: &Facts, limits: &Liquidity) -> Vec<Check> {
    let connected = facts.connected.and_then(|it| Value::word(if it { "live" } else { "down" }));
    let live = Bound::is("live", "down");
    let connection =
        Check::of(Reading::Connection, connected, live, Reason::ConnectionDown, Reason::ConnectionMissing);
    vec![connection, underlying_volume(facts, limits)]
}

fn underlying_volume(facts: &Facts, limits: &Liquidity) -> Check {
    let reading = Reading::UnderlyingVolume;
    let Some(least) = limits.underlying_volume_min else {
        return Check::skipped(reading, Reason::NotAsked);
    };
    let known = facts.volume.filter(|it| it.average > 0);
    if known.is_none() && facts.underlying.is_index() {
        return Check::skipped(reading, Reason::IndexWithoutVolume);
    }
    let share = known.and_then(|it| Value::number(it.today as f64 / it.average as f64));
    let (low, missing) = (Reason::UnderlyingVolumeLow, Reason::UnderlyingVolumeMissing);
    Check::of(reading, share, Bound::AtLeast(least), low, missing)
}

/// Stage C over the chain: the median of the rows near the money of every expiration in range stands for it.
pub(super) fn of_chain(asked: &Asked<'_>, spot: Option<f64>, expirations: &[&Expiration<'_>]) -> Vec<Check> {
    let limits = &asked.set.liquidity;
    let mut checks = common(asked.facts, limits);
    let spot = spot.unwrap_or(0.0);
    let rows: Vec<(&ChainRow, f64)> = expirations
        .iter()
        .flat_map(|it| it.near_the_money(spot, NEAR).map(|row| (row, quote_age_max(it.dte))))
        .collect();
    let two_sided = |it: &&(&ChainRow, f64)| it.0.quote.two_sided().is_some();
    // A row without both sides has no spread and no use: more than half of them, and the median is missing.
    let quoted = rows.iter().filter(two_sided).count();
    let is_quoted = quoted * 2 > rows.len();
    let spreads = rows.iter().filter_map(|(row, _)| Some(spread(asked, row)?.pct));
    let limit = median(rows.iter().filter_map(|(row, _)| Some(spread(asked, row)?.limit)));
    checks.push(Check::of(
        Reading::SpreadPct,
        median(spreads).filter(|_| is_quoted).and_then(Value::number),
        Bound::AtMost(limit.unwrap_or(limits.spread_pct_max)),
        Reason::SpreadWide,
        Reason::QuoteMissing,
    ));
    let volumes = median(rows.iter().filter_map(|(row, _)| asked.volume(row)).map(f64::from));
    checks.push(least(
        Reading::Volume,
        limits.volume_min,
        volumes.and_then(Value::number),
        (Reason::VolumeLow, Reason::VolumeMissing),
    ));
    let open = median(rows.iter().filter_map(|(row, _)| row.open_interest).map(f64::from));
    checks.push(least(
        Reading::OpenInterest,
        limits.open_interest_min,
        open.and_then(Value::number),
        (Reason::OpenInterestLow, Reason::OpenInterestMissing),
    ));
    let ages = median(rows.iter().filter(two_sided).map(|(row, _)| age(asked.now, row)));
    // Short and long expirations side by side: the shorter limit counts.
    let limit = rows.iter().map(|it| it.1).fold(QUOTE_AGE_MAX[1], f64::min);
    checks.push(Check::of(
        Reading::QuoteAge,
        ages.and_then(Value::number),
        Bound::AtMost(limit),
        Reason::QuoteStale,
        Reason::QuoteMissing,
    ));
    checks
}

/// Stage C on one leg whose delta is `delta`.
pub(super) fn of_leg(asked: &Asked<'_>, row: &ChainRow, dte: i64, delta: Option<f64>) -> [Check; 6] {
    let limits = &asked.set.liquidity;
    let spread = spread(asked, row);
    let sides = match (row.quote.bid, row.quote.ask) {
        _ if row.quote.two_sided().is_some() => "both",
        (Some(bid), Some(ask)) if ask < bid => "crossed",
        (Some(_) | None, Some(_) | None) => "missing",
    };
    let both = Bound::is("both", "missing");
    let quoted =
        Check::of(Reading::BothSides, Value::word(sides), both, Reason::QuoteMissing, Reason::QuoteMissing);
    let pct = spread.as_ref().and_then(|it| Value::number(it.pct));
    let limit = spread.as_ref().map_or(limits.spread_pct_max, |it| it.limit);
    let width =
        Check::of(Reading::SpreadPct, pct, Bound::AtMost(limit), Reason::SpreadWide, Reason::QuoteMissing);
    let volume = least(
        Reading::Volume,
        limits.volume_min,
        asked.volume(row).and_then(Value::count),
        (Reason::VolumeLow, Reason::VolumeMissing),
    );
    let open = least(
        Reading::OpenInterest,
        limits.open_interest_min,
        row.open_interest.and_then(Value::count),
        (Reason::OpenInterestLow, Reason::OpenInterestMissing),
    );
    let age = Check::of(
        Reading::QuoteAge,
        Value::number(age(asked.now, row)),
        Bound::AtMost(quote_age_max(dte)),
        Reason::QuoteStale,
        Reason::QuoteMissing,
    );
    let moved = moved(asked, row, delta);
    [quoted, width, volume, open, age, moved].map(|it| it.about(row.series))
}

/// The whole of stage C on the legs.
pub(super) fn of_legs<'a>(
    asked: &Asked<'_>,
    legs: impl Iterator<Item = (&'a ChainRow, i64, Option<f64>)>,
) -> Vec<Check> {
    let mut checks = common(asked.facts, &asked.set.liquidity);
    checks.extend(legs.flat_map(|(row, dte, delta)| of_leg(asked, row, dte, delta)));
    checks
}

fn least(reading: Reading, limit: Option<u32>, it: Option<Value>, codes: (Reason, Reason)) -> Check {
    match limit {
        Some(limit) => Check::of(reading, it, Bound::AtLeast(f64::from(limit)), codes.0, codes.1),
        None => Check::skipped(reading, Reason::NotAsked),
    }
}

/// The underlying's move since the quote, which its own width must explain: at a delta of d a move of m changes the
/// premium by m |d|.
fn moved(asked: &Asked<'_>, row: &ChainRow, delta: Option<f64>) -> Check {
    let facts = asked.facts;
    let today = asked.today;
    let limit = width(row, MOVE_TICKS, today).map_or(0.0, |(width, ticks)| width.max(ticks));
    // Without a delta every point counts in full.
    let per_point = delta.map_or(1.0, f64::abs).max(1e-6);
    let then = value_at(facts, row.quote.ts);
    let points = facts.spot.zip(then).map(|(now, then)| now.value.distance(then).to_f64());
    Check::of(
        Reading::MoveSinceQuote,
        points.and_then(Value::number),
        Bound::AtMost(limit / per_point),
        Reason::UnderlyingMoved,
        Reason::PathMissing,
    )
}

/// The underlying's value at `at`: the last before it that is known.
fn value_at(facts: &Facts, at: UtcNanos) -> Option<Points> {
    let last = facts.spot.filter(|it| it.at <= at);
    last.or_else(|| facts.path.iter().rev().find(|it| it.at <= at).copied()).map(|it| it.value)
}

fn age(now: UtcNanos, row: &ChainRow) -> f64 {
    now.since(row.quote.ts).as_secs_f64()
}

/// A quote's width in percent of its mid, and what it may be.
struct Spread {
    pct: f64,
    limit: f64,
}

fn spread(asked: &Asked<'_>, row: &ChainRow) -> Option<Spread> {
    let limits = &asked.set.liquidity;
    let (width, ticks) = width(row, limits.spread_ticks, asked.today)?;
    let per_mid = 100.0 / row.quote.mid()?;
    // A hair above the ticks' own width, so that a quote of exactly so many ticks passes.
    let limit = limits.spread_pct_max.max(ticks * per_mid * (1.0 + 1e-12));
    Some(Spread { pct: width * per_mid, limit })
}

/// The middle value, the lower of two; `None` of none.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = values.collect();
    let middle = all.len().checked_sub(1)? / 2;
    Some(*all.select_nth_unstable_by(middle, f64::total_cmp).1)
}

impl Asked<'_> {
    /// Contracts traded today; before 10:00, when hardly any can have been, those of the session before where more.
    pub(super) fn volume(&self, row: &ChainRow) -> Option<u32> {
        let is_early = self.now < at_new_york(self.today, time(10, 0, 0, 0));
        let prior = || {
            let all = &self.facts.prior_volumes;
            let at = all.binary_search_by_key(&row.series, |it| it.0).ok()?;
            all.get(at).map(|it| it.1)
        };
        let before = if is_early { prior() } else { None };
        row.volume.into_iter().chain(before).max()
    }
}

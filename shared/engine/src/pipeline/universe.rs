//! Stage A: the snapshot is of the right underlying, in time, and has something to trade.

use domain::time::{NANOS_PER_SEC, UtcNanos};

use super::Asked;
use super::bound::{Bound, Value};
use super::check::Check;
use super::reading::Reading;
use super::reason::Reason;
use super::strategy::Kind;

/// The underlying's value may be so old.
const SPOT_AGE_MAX: f64 = 60.0;
/// Clocks of exchanges and ours differ by this much at most.
const LEAD_MAX: f64 = 1.0;

/// Stage A.
pub(super) fn checks(asked: &Asked<'_>) -> Vec<Check> {
    let facts = asked.facts;
    let is_ours = facts.underlying == asked.set.underlying && asked.chain.underlying == asked.set.underlying;
    let spot = facts.spot;
    let mut checks = vec![
        Check::of(
            Reading::Underlying,
            Value::word(if is_ours { "the strategy's" } else { "another" }),
            Bound::is("the strategy's", "another"),
            Reason::OtherUnderlying,
            Reason::OtherUnderlying,
        ),
        Check::of(
            Reading::Spot,
            spot.and_then(|it| Value::number(it.value.to_f64())),
            Bound::Above(0.0),
            Reason::SpotNotPositive,
            Reason::SpotMissing,
        ),
        Check::of(
            Reading::SpotAge,
            spot.and_then(|it| Value::number(asked.now.since(it.at).as_secs_f64())),
            Bound::AtMost(SPOT_AGE_MAX),
            Reason::SpotStale,
            Reason::SpotMissing,
        ),
        Check::of(
            Reading::Lead,
            Value::number(lead(asked)),
            Bound::AtMost(LEAD_MAX),
            Reason::FromTheFuture,
            Reason::SpotMissing,
        ),
        Check::of(
            Reading::Expirations,
            Value::count(i64::try_from(asked.expirations.len()).unwrap_or(i64::MAX)),
            Bound::AtLeast(1.0),
            Reason::NoExpirations,
            Reason::NoExpirations,
        ),
    ];
    if asked.set.kind == Kind::Wheel {
        let agreed = asked.portfolio.reconciled_at;
        let is_today = agreed.is_some_and(|it| it <= asked.now && it.new_york_date() == asked.today);
        checks.push(Check::of(
            Reading::Reconciled,
            Value::word(if is_today { "today" } else { "not today" }),
            Bound::is("today", "not today"),
            Reason::NotReconciled,
            Reason::NotReconciled,
        ));
    }
    checks
}

/// Seconds by which the newest input is ahead of the decision; 0 where none is.
fn lead(asked: &Asked<'_>) -> f64 {
    let facts = asked.facts;
    let quotes = asked.chain.rows.iter().map(|it| it.quote.ts).max();
    let levels = [facts.vix, facts.vix3m].into_iter().flatten().map(|it| it.at);
    let spots = facts.spot.iter().chain(facts.path.last()).map(|it| it.at);
    let newest: Option<UtcNanos> = spots.chain(levels).chain(quotes).max();
    newest.map_or(0.0, |it| it.0.saturating_sub(asked.now.0).max(0) as f64 / NANOS_PER_SEC as f64)
}

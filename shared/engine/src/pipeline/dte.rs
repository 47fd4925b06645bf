//! Stage D: days to expiry, by regime.

use super::Asked;
use super::bound::{Bound, Value};
use super::chain::Expiration;
use super::check::Check;
use super::reading::Reading;
use super::reason::Reason;
use super::regime::{LEVEL_AGE_MAX, level};

/// VIX above is high, below is low.
const VIX_HIGH: f64 = 25.0;
const VIX_LOW: f64 = 15.0;
/// A strategy whose longest DTE is under this keeps its own range: two weeks more would be another strategy.
const KEEPS_OWN_UNDER: u16 = 14;

/// The days to expiry that a strategy of `min` to `max` trades at this level of VIX.
///
/// # Examples
/// ```
/// use engine::pipeline::dte_range;
/// assert_eq!(dte_range(30, 45, 20.0), (30, 45));
/// assert_eq!(dte_range(30, 45, 30.0), (20, 30));
/// assert_eq!(dte_range(30, 45, 12.0), (30, 60));
/// assert_eq!(dte_range(0, 7, 30.0), (0, 7));
/// ```
pub fn dte_range(min: u16, max: u16, vix: f64) -> (u16, u16) {
    if max < KEEPS_OWN_UNDER {
        return (min, max);
    }
    let (low, high) = if vix > VIX_HIGH {
        // Never longer than the strategy's own.
        (min.saturating_sub(10).max(14).min(min), max.saturating_sub(15).max(30).min(max))
    } else if vix < VIX_LOW {
        (min, max.saturating_add(15).min(90))
    } else {
        (min, max)
    };
    (low.min(high), high)
}

/// The range that counts now. Without VIX the strategy's own, on which stage D then does not let through.
pub(super) fn range(asked: &Asked<'_>) -> (i64, i64) {
    let entry = &asked.set.entry;
    let vix = level(asked.facts.vix).map_or(0.5 * (VIX_LOW + VIX_HIGH), |it| it.value);
    let (low, high) = dte_range(entry.min_dte, entry.max_dte, vix);
    (i64::from(low), i64::from(high))
}

/// Twice the distance from the middle of `range`, and the date: the nearer one first, the shorter of two.
fn order(it: &Expiration<'_>, (low, high): (i64, i64)) -> (i64, i64) {
    ((2 * it.dte - low - high).abs(), it.dte)
}

/// The expiration that stands for the chain: the one nearest to the middle of the range.
pub(super) fn nearest<'a, 'b>(all: &'b [Expiration<'a>], range: (i64, i64)) -> Option<&'b Expiration<'a>> {
    let inside = |it: &&Expiration<'_>| range.0 <= it.dte && it.dte <= range.1;
    let best = all.iter().filter(inside).min_by_key(|it| order(it, range));
    best.or_else(|| all.iter().min_by_key(|it| order(it, range)))
}

/// Expirations within the range, at most `most` of them, those nearest to its middle; by date.
pub(super) fn within<'a, 'b>(
    all: &'b [Expiration<'a>],
    range: (i64, i64),
    most: usize,
) -> Vec<&'b Expiration<'a>> {
    let inside = all.iter().filter(|it| range.0 <= it.dte && it.dte <= range.1);
    let mut inside: Vec<&Expiration<'a>> = inside.collect();
    inside.sort_by_key(|it| order(it, range));
    inside.truncate(most);
    inside.sort_by_key(|it| (it.expiry, it.root));
    inside
}

/// Stage D.
pub(super) fn checks(asked: &Asked<'_>) -> Vec<Check> {
    let (low, high) = asked.range;
    let dte = nearest(&asked.expirations, asked.range).and_then(|it| Value::count(it.dte));
    let bound = Bound::Within { low: low as f64, high: high as f64 };
    let dte = Check::of(Reading::Dte, dte, bound, Reason::DteOutside, Reason::NoExpirations);
    let vix = if asked.set.entry.max_dte < KEEPS_OWN_UNDER {
        Check::skipped(Reading::VixAge, Reason::NotAsked)
    } else {
        vix_age(asked)
    };
    vec![vix, dte]
}

/// VIX is live: entries take no other.
pub(super) fn vix_age(asked: &Asked<'_>) -> Check {
    let age = level(asked.facts.vix).map(|it| asked.now.since(it.at).as_secs_f64());
    let fresh = Bound::AtMost(LEVEL_AGE_MAX);
    Check::of(Reading::VixAge, age.and_then(Value::number), fresh, Reason::VixStale, Reason::VixMissing)
}

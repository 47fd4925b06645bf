//! Stage G3: what the structure is expected to make over the real-world density.

use super::bound::{Bound, Value};
use super::check::Check;
use super::reading::Reading;
use super::reason::Reason;
use super::structure::Candidate;

/// With more volatility a structure may be expected to lose this much of its premium.
const STRESSED_MIN: f64 = -0.25;

/// Stage G3.
pub(super) fn checks(it: Option<&Candidate<'_>>) -> Vec<Check> {
    let Some(it) = it else { return vec![Check::skipped(Reading::EvP, Reason::NoStructure)] };
    let numbers = &it.numbers;
    let premium = numbers.premium.abs().to_f64();
    let stressed = numbers.ev_stressed.map(|it| it / premium);
    let mut checks = vec![
        Check::of(
            Reading::EvP,
            numbers.ev_p.and_then(Value::number),
            Bound::Above(0.0),
            Reason::EvNotPositive,
            Reason::DensityMissing,
        ),
        Check::of(
            Reading::EvStressed,
            stressed.and_then(Value::number),
            Bound::AtLeast(STRESSED_MIN),
            Reason::EvFragile,
            Reason::DensityMissing,
        ),
    ];
    if let Some((gap, allowed)) = numbers.smile_gap {
        let bound = Bound::AtMost(allowed);
        let (wrong, missing) = (Reason::SmileDisagrees, Reason::NothingQuoted);
        checks.push(Check::of(Reading::SmileGap, Value::number(gap), bound, wrong, missing));
    }
    checks
}

//! The fair value of the index, second by second.

use super::dice::Dice;
use super::shape::{Leg, RANGE_END_MIN, Story};

/// The day's volatility over the session's seconds: high after the open, low at noon, up again into the close.
#[derive(Debug, Clone)]
pub(crate) struct DayVol {
    seconds: usize,
    mean: f64,
    total: f64,
}

impl DayVol {
    pub(crate) fn new(seconds: usize) -> Self {
        let shape = |i: usize| raw(i as f64, seconds as f64);
        let mean = (0..seconds).map(shape).sum::<f64>() / (seconds.max(1) as f64);
        let total = (0..seconds).map(|i| shape(i) * shape(i)).sum::<f64>();
        Self { seconds, mean, total }
    }

    /// Seconds of the session.
    pub(crate) const fn seconds(&self) -> usize {
        self.seconds
    }

    /// Standard deviation of second `i` as a part of the day's.
    pub(crate) fn of_second(&self, i: usize) -> f64 {
        raw(i as f64, self.seconds as f64) / libm::sqrt(self.total)
    }

    /// Activity of second `i`; its mean over the day is 1.
    pub(crate) fn activity(&self, i: usize) -> f64 {
        raw(i as f64, self.seconds as f64) / self.mean
    }

    /// The part of the day's variance still to come at second `i`.
    pub(crate) fn remaining(&self, i: usize) -> f64 {
        // Integral of the squared shape in closed form, so that no table is kept.
        let (n, i) = (self.seconds as f64, (i as f64).min(self.seconds as f64));
        (integral(n, n) - integral(i, n)) / (integral(n, n) - integral(0.0, n))
    }
}

const NOON: f64 = 0.6;
const OPEN: f64 = 1.5;
const OPEN_SECONDS: f64 = 1_080.0;
const CLOSE: f64 = 0.45;
const CLOSE_SECONDS: f64 = 1_200.0;

fn raw(elapsed: f64, total: f64) -> f64 {
    NOON + OPEN * libm::exp(-elapsed / OPEN_SECONDS) + CLOSE * libm::exp((elapsed - total) / CLOSE_SECONDS)
}

/// Antiderivative of `raw` squared; the product of the two ends is left out, it is under 1e-4 of the whole.
fn integral(t: f64, total: f64) -> f64 {
    let a = libm::exp(-t / OPEN_SECONDS);
    let b = libm::exp((t - total) / CLOSE_SECONDS);
    NOON * NOON * t - 2.0 * NOON * OPEN * OPEN_SECONDS * a - 0.5 * OPEN * OPEN * OPEN_SECONDS * a * a
        + 2.0 * NOON * CLOSE * CLOSE_SECONDS * b
        + 0.5 * CLOSE * CLOSE * CLOSE_SECONDS * b * b
}

/// What the path is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathSpec {
    pub(super) open: f64,
    /// Standard deviation of the day, in points.
    pub(super) day_points: f64,
    pub(super) seconds: usize,
}

/// The value at each second's start and, last, at the close.
pub(super) fn draw(spec: PathSpec, vol: &DayVol, story: &Story, dice: &mut Dice) -> Vec<f64> {
    let mut path = Vec::with_capacity(spec.seconds.saturating_add(1));
    let mut value = spec.open;
    let mut pull = Pull::opening(spec);
    let range_from = 60;
    let range_end = (RANGE_END_MIN * 60.0) as usize;
    let (mut low, mut high) = (f64::MAX, f64::MIN);
    path.push(value);
    for i in 0..spec.seconds {
        if (range_from..range_end).contains(&i) {
            low = low.min(value);
            high = high.max(value);
        }
        if i == range_end {
            pull = Pull::after_range(spec, story, low, high, value);
        }
        let (target, strength) = pull.at(i as f64 / 60.0);
        let fat = if dice.chance(0.01) { 2.5 } else { 1.0 };
        value += strength * (target - value)
            + spec.day_points * vol.of_second(i) * fat * dice.normal()
            + jump(spec, dice);
        path.push(value);
    }
    path
}

/// News: about one jump a day, of a fifth of the day's standard deviation.
fn jump(spec: PathSpec, dice: &mut Dice) -> f64 {
    if dice.chance(1.0 / 23_400.0) { 0.2 * spec.day_points * dice.normal() } else { 0.0 }
}

/// The level the price is drawn to, from leg to leg.
struct Pull {
    from: (f64, f64),
    legs: std::vec::IntoIter<Leg>,
    leg: Option<Leg>,
}

impl Pull {
    fn opening(spec: PathSpec) -> Self {
        let still = Leg { minute: RANGE_END_MIN, level: spec.open, half_life_min: 12.0 };
        Self { from: (0.0, spec.open), legs: Vec::new().into_iter(), leg: Some(still) }
    }

    /// The story's legs in points, once the opening range is known. A range too narrow or too wide to trade is
    /// scaled as if it were the nearest sensible one.
    fn after_range(spec: PathSpec, story: &Story, low: f64, high: f64, value: f64) -> Self {
        let middle = 0.5 * (low + high);
        let width = (high - low).clamp(0.25 * spec.day_points, 0.9 * spec.day_points);
        let session_min = spec.seconds as f64 / 60.0;
        let squeeze = (session_min - RANGE_END_MIN) / (390.0 - RANGE_END_MIN);
        let to_points = |leg: &Leg| Leg {
            minute: RANGE_END_MIN + (leg.minute - RANGE_END_MIN) * squeeze,
            level: middle + story.direction * width * leg.level,
            half_life_min: leg.half_life_min,
        };
        let mut legs = story.legs.iter().map(to_points).collect::<Vec<_>>().into_iter();
        let leg = legs.next();
        Self { from: (RANGE_END_MIN, value), legs, leg }
    }

    /// Target and the part of the distance taken back each second.
    fn at(&mut self, minute: f64) -> (f64, f64) {
        while let Some(leg) = self.leg.filter(|leg| leg.minute <= minute) {
            self.from = (leg.minute, leg.level);
            match self.legs.next() {
                Some(next) => self.leg = Some(next),
                None => return (leg.level, strength(leg.half_life_min)),
            }
        }
        let Some(leg) = self.leg else { return (self.from.1, 0.0) };
        let part = (minute - self.from.0) / (leg.minute - self.from.0);
        (self.from.1 + part * (leg.level - self.from.1), strength(leg.half_life_min))
    }
}

fn strength(half_life_min: f64) -> f64 {
    std::f64::consts::LN_2 / (60.0 * half_life_min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_loud_at_both_ends_and_its_variance_adds_up() {
        for seconds in [23_400, 12_600] {
            let vol = DayVol::new(seconds);
            let at = |i| vol.of_second(i);
            assert!(at(0) > 2.0 * at(seconds / 2) && at(seconds - 1) > 1.5 * at(seconds / 2));
            let whole: f64 = (0..seconds).map(|i| at(i) * at(i)).sum();
            assert!((whole - 1.0).abs() < 1e-9, "{whole}");
            for i in [0, 60, 900, seconds / 2, seconds - 60, seconds] {
                let left: f64 = (i..seconds).map(|i| at(i) * at(i)).sum();
                assert!((vol.remaining(i) - left).abs() < 1e-3, "at {i}: {} and {left}", vol.remaining(i));
            }
        }
    }

    #[test]
    fn legs_run_into_each_other_and_the_last_holds() {
        let leg = |minute, level| Leg { minute, level, half_life_min: 5.0 };
        let mut pull =
            Pull { from: (0.0, 100.0), legs: vec![leg(20.0, 90.0)].into_iter(), leg: Some(leg(10.0, 110.0)) };
        let targets: Vec<f64> = [0.0, 5.0, 10.0, 15.0, 20.0, 30.0].map(|t| pull.at(t).0).into();
        assert_eq!(targets, [100.0, 105.0, 110.0, 100.0, 90.0, 90.0]);
    }
}

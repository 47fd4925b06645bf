//! What kind of day it is, and where the price is pulled to through it.

use super::dice::Dice;

/// The character of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DayShape {
    /// Leaves its opening range and keeps going.
    Trend,
    /// Stays about its opening range.
    Range,
    /// Opens away from the close before, then goes on or comes back.
    Gap,
    /// Breaks one way, fails, and breaks the other.
    Whipsaw,
}

impl DayShape {
    /// Every shape.
    pub const ALL: [Self; 4] = [Self::Trend, Self::Range, Self::Gap, Self::Whipsaw];

    /// The shape of a seed's day: four seeds in a row have all four.
    pub const fn of_seed(seed: u64) -> Self {
        match seed % 4 {
            0 => Self::Range,
            1 => Self::Trend,
            2 => Self::Whipsaw,
            _ => Self::Gap,
        }
    }

    /// The name in profiles.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trend => "trend",
            Self::Range => "range",
            Self::Gap => "gap",
            Self::Whipsaw => "whipsaw",
        }
    }
}

/// Where the price is pulled to: by `minute`, `level`, with this half-life.
///
/// Levels are widths of the opening range from its middle, towards the day's direction: 0.5 is the edge it breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Leg {
    pub(super) minute: f64,
    pub(super) level: f64,
    pub(super) half_life_min: f64,
}

/// The day's plan, drawn before it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Story {
    /// +1 or -1.
    pub(super) direction: f64,
    /// Opening value over the close before, as a log return.
    pub(super) gap: f64,
    /// After the opening range, in order of time; minutes of a full session.
    pub(super) legs: Vec<Leg>,
}

/// Minutes from the open to the end of the 15-minute opening range, which starts at 09:31.
pub(super) const RANGE_END_MIN: f64 = 16.0;

impl Story {
    /// The two tales of each shape take turns from one group of four seeds to the next.
    pub(super) fn draw(shape: DayShape, seed: u64, dice: &mut Dice) -> Self {
        let direction = if dice.chance(0.5) { 1.0 } else { -1.0 };
        let second = (seed / 4) % 2 == 1;
        let start = dice.between(26.0, 40.0);
        let legs = match (shape, second) {
            (DayShape::Trend | DayShape::Gap, false) => straight_run(start),
            (DayShape::Trend, true) => run_after_pullback(start),
            (DayShape::Range, false) => quiet(dice),
            (DayShape::Range, true) => late_break(dice),
            (DayShape::Gap, true) => half_way_and_back(start),
            (DayShape::Whipsaw, false) => two_failures(start),
            (DayShape::Whipsaw, true) => failure_then_half_way(start),
        };
        let gap = match (shape, second) {
            (DayShape::Gap, false) => direction * dice.between(0.004, 0.009),
            (DayShape::Gap, true) => -direction * dice.between(0.004, 0.008),
            (DayShape::Trend | DayShape::Range | DayShape::Whipsaw, _) => 0.0015 * dice.normal(),
        };
        Self { direction, gap, legs }
    }
}

const fn leg(minute: f64, level: f64) -> Leg {
    Leg { minute, level, half_life_min: 7.0 }
}

const fn tight(minute: f64, level: f64) -> Leg {
    Leg { minute, level, half_life_min: 2.5 }
}

fn straight_run(t: f64) -> Vec<Leg> {
    vec![
        leg(t, 0.3),
        leg(t + 12.0, 0.8),
        leg(t + 45.0, 2.0),
        leg(t + 65.0, 1.8),
        leg(t + 200.0, 2.9),
        leg(390.0, 3.1),
    ]
}

fn run_after_pullback(t: f64) -> Vec<Leg> {
    vec![
        leg(t, 0.3),
        leg(t + 10.0, 0.9),
        tight(t + 24.0, 0.6),
        leg(t + 80.0, 1.9),
        leg(t + 200.0, 2.9),
        leg(390.0, 2.7),
    ]
}

/// Between the edges until a late break that leads nowhere.
fn quiet(dice: &mut Dice) -> Vec<Leg> {
    let mut legs = inside(dice);
    legs.extend([tight(324.0, 0.75), tight(390.0, 0.8)]);
    legs
}

/// Between the edges until a late break that is still on its way at the close.
fn late_break(dice: &mut Dice) -> Vec<Leg> {
    let mut legs = inside(dice);
    legs.extend([tight(324.0, 0.8), tight(341.0, 1.2), tight(390.0, 1.45)]);
    legs
}

/// From side to side within the opening range until a quarter to three.
fn inside(dice: &mut Dice) -> Vec<Leg> {
    let mut side = 1.0;
    (1..=9)
        .map(|i| {
            side = -side;
            let level = side * dice.between(0.03, 0.18);
            Leg { minute: RANGE_END_MIN + 33.0 * f64::from(i), level, half_life_min: 1.5 }
        })
        .collect()
}

fn half_way_and_back(t: f64) -> Vec<Leg> {
    vec![
        leg(t, 0.3),
        leg(t + 12.0, 0.8),
        leg(t + 55.0, 1.3),
        tight(t + 62.0, 1.25),
        leg(t + 110.0, 0.0),
        leg(390.0, -0.2),
    ]
}

fn two_failures(t: f64) -> Vec<Leg> {
    vec![
        leg(t, 0.35),
        tight(t + 10.0, 0.75),
        leg(t + 34.0, -0.3),
        tight(t + 48.0, -0.8),
        leg(t + 80.0, 0.35),
        leg(390.0, 0.0),
    ]
}

fn failure_then_half_way(t: f64) -> Vec<Leg> {
    vec![
        leg(t, -0.35),
        tight(t + 10.0, -0.75),
        leg(t + 34.0, 0.3),
        leg(t + 46.0, 0.8),
        leg(t + 80.0, 1.3),
        leg(t + 130.0, 0.1),
        leg(390.0, 0.2),
    ]
}

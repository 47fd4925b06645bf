//! What a set of legs pays at the settlement, and what that is worth over a density: segment by segment in closed form.

use domain::symbol::Right;

use super::density::{Density, Part};

/// One leg that settles with the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    /// Call or put.
    pub right: Right,
    /// Its strike.
    pub strike: f64,
    /// How many are held, negative when short, in units of one share: contracts times the multiplier.
    pub held: f64,
}

/// Why there is no payoff.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoPayoff {
    /// A leg without a strike or a size.
    #[error("a leg holds {held:?} at strike {strike:?}: expected finite numbers and a strike above 0")]
    BadLeg {
        /// Its size.
        held: f64,
        /// Its strike.
        strike: f64,
    },
    /// Shares or cash that are no numbers.
    #[error("shares or cash are not finite: check the holding and the premium")]
    NotFinite,
}

/// A stretch between two kinks: value = `level` + `slope` x underlying.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    from: f64,
    to: f64,
    level: f64,
    slope: f64,
}

impl Segment {
    fn at(&self, spot: f64) -> f64 {
        self.level + self.slope * spot
    }
}

/// Profit and loss at the settlement as a function of the underlying, a straight line between the strikes.
#[derive(Debug, Clone, PartialEq)]
pub struct Payoff {
    segments: Vec<Segment>,
    short_puts_to: f64,
    short_calls_from: f64,
}

impl Payoff {
    /// The payoff of `legs` and `shares` of the underlying together with `cash`: the credit that was taken, or less the
    /// debit that was paid, less the friction.
    ///
    /// # Errors
    /// A leg, the shares or the cash that are no numbers.
    pub fn of(legs: &[Leg], shares: f64, cash: f64) -> Result<Self, NoPayoff> {
        for leg in legs {
            if !(leg.strike > 0.0 && leg.strike.is_finite() && leg.held.is_finite()) {
                return Err(NoPayoff::BadLeg { held: leg.held, strike: leg.strike });
            }
        }
        if !(shares.is_finite() && cash.is_finite()) {
            return Err(NoPayoff::NotFinite);
        }
        let mut kinks: Vec<f64> = legs.iter().map(|it| it.strike).collect();
        kinks.sort_by(f64::total_cmp);
        kinks.dedup();
        let starts = std::iter::once(0.0).chain(kinks.iter().copied());
        let ends = kinks.iter().copied().chain(std::iter::once(f64::INFINITY));
        let segments = starts.zip(ends).map(|(from, to)| segment(legs, shares, cash, from, to)).collect();
        let short = |right: Right| legs.iter().filter(move |it| it.right == right && it.held < 0.0);
        Ok(Self {
            segments,
            short_puts_to: short(Right::Put).map(|it| it.strike).fold(0.0, f64::max),
            short_calls_from: short(Right::Call).map(|it| it.strike).fold(f64::INFINITY, f64::min),
        })
    }

    /// Profit or loss with the underlying at `spot`.
    pub fn at(&self, spot: f64) -> f64 {
        let on = self.segments.iter().find(|it| spot < it.to).or(self.segments.last());
        on.map_or(0.0, |it| it.at(spot))
    }

    /// The mean over `density`: `ev_p` where that is the real-world one.
    pub fn expected(&self, density: &Density) -> f64 {
        let worth = |it: &Segment| {
            let Part { mass, first } = density.between(it.from, it.to);
            // From the segment's own start, so that levels of thousands do not drown cents.
            it.at(it.from) * mass + it.slope * (first - it.from * mass)
        };
        self.segments.iter().map(worth).sum()
    }

    /// The probability of a profit.
    pub fn p_profit(&self, density: &Density) -> f64 {
        let mass = |it: &Segment| {
            let (from, to) = match root(it) {
                _ if it.slope == 0.0 && it.level > 0.0 => (it.from, it.to),
                Some(root) if it.slope > 0.0 => (root.next_up(), it.to),
                Some(root) => (it.from, root),
                None if it.at(middle(it)) > 0.0 => (it.from, it.to),
                None => return 0.0,
            };
            density.between(from, to).mass
        };
        self.segments.iter().map(mass).sum::<f64>().min(1.0)
    }

    /// The probability that all short legs end out of the money; 1 where there is none.
    pub fn p_otm(&self, density: &Density) -> f64 {
        if self.short_puts_to >= self.short_calls_from {
            return 0.0;
        }
        density.between(self.short_puts_to, self.short_calls_from).mass.min(1.0)
    }

    /// The most it can make; `None` without limit.
    pub fn profit_max(&self) -> Option<f64> {
        let rises = self.segments.last().is_some_and(|it| it.slope > 0.0);
        (!rises).then(|| self.corners().fold(f64::NEG_INFINITY, f64::max))
    }

    /// The most it can lose, as a number above 0 where it can lose at all; `None` without limit.
    pub fn loss_max(&self) -> Option<f64> {
        let falls = self.segments.last().is_some_and(|it| it.slope < 0.0);
        (!falls).then(|| -self.corners().fold(f64::INFINITY, f64::min))
    }

    /// Where profit turns into loss or back, in rising order.
    pub fn break_evens(&self) -> Vec<f64> {
        self.segments.iter().filter_map(root).collect()
    }

    /// The binary value kept for comparison: `p_otm` x the most it makes less the rest x the most it loses. `None` where
    /// one of the two has no limit.
    pub fn binary_value(&self, density: &Density) -> Option<f64> {
        let p = self.p_otm(density);
        Some(p * self.profit_max()? - (1.0 - p) * self.loss_max()?)
    }

    /// Values at the kinks and at 0: the extremes are among them.
    fn corners(&self) -> impl Iterator<Item = f64> {
        self.segments.iter().map(|it| it.at(it.from))
    }
}

fn segment(legs: &[Leg], shares: f64, cash: f64, from: f64, to: f64) -> Segment {
    let mut segment = Segment { from, to, level: cash, slope: shares };
    for leg in legs {
        let pays = match leg.right {
            Right::Call => leg.strike <= from,
            Right::Put => leg.strike >= to,
        };
        if pays {
            segment.slope += leg.right.sign() * leg.held;
            segment.level -= leg.right.sign() * leg.held * leg.strike;
        }
    }
    segment
}

/// Where the line crosses 0 within its segment.
fn root(it: &Segment) -> Option<f64> {
    let root = -it.level / it.slope;
    (it.slope != 0.0 && it.from <= root && root < it.to).then_some(root)
}

/// A point within the segment.
fn middle(it: &Segment) -> f64 {
    if it.to.is_finite() { 0.5 * (it.from + it.to) } else { it.from + 1.0 }
}

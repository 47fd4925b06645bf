//! Gamma exposure by strike, its walls and its flip.
//!
//! With gamma per point at the quote's implied volatility, at least 60 s before the settlement, on the carry that calls and
//! puts nearest to spot imply for their expiry (none within a day of it):
//! - `gex_naive` = gamma x open interest x 100 x spot^2 x 0.01, calls +, puts -: an assumption about who holds what;
//! - `flow_gex` = -(customers bought - sold) x gamma x 100 x spot^2 x 0.01, calls and puts alike;
//! - total: `gex_naive`, and `flow_gex` with it where the flow is known. Its label says which.
//! - walls: the strike where calls add most to `gex_naive`, and where puts take most from it;
//! - flip: the spot nearest to this one at which the total changes its sign, gammas priced anew on a grid of +-3 %.
//!
//! Series that expire today and all series are kept apart. Open interest is a morning figure.

use domain::market::Points;
use domain::symbol::{OccSymbol, Right, Root};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::exact::{bits, bits_or_none};
use super::options::{OptionBook, SeriesState};
use crate::pricing::elementary::ln_ratio;
use crate::pricing::{Inputs, implied_vol, normal_pdf, years_to_settlement};

/// The grid reaches this far from spot to each side, in steps.
const GRID_STEPS: i32 = 60;
/// One step of the grid, as a part of spot: 60 of them are 3 %.
const GRID_STEP: f64 = 0.0005;
/// A day in years: nearer to the settlement the spread of a quote drowns the carry.
const DAY: f64 = 1.0 / 365.0;
/// No index is carried at more.
const CARRY_MAX: f64 = 0.2;

/// What an exposure is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OiSource {
    /// The morning's open interest alone.
    OiBaseline,
    /// The same, with what customers bought and sold today.
    OiPlusFlow,
    /// Neither is known.
    #[default]
    Unavailable,
}

impl OiSource {
    /// The name in traces and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OiBaseline => "oi_baseline",
            Self::OiPlusFlow => "oi_plus_flow",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One series' part, as it went in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GammaRow {
    /// The series.
    pub series: OccSymbol,
    /// Implied volatility of its mid.
    #[serde(with = "bits")]
    pub vol: f64,
    /// Time to its settlement.
    #[serde(with = "bits")]
    pub years: f64,
    /// What the index is carried at until then, a year: from the parity of call and put nearest to spot.
    #[serde(with = "bits")]
    pub carry: f64,
    /// Gamma per point at spot.
    #[serde(with = "bits")]
    pub gamma: f64,
    /// Open interest of the morning.
    pub open_interest: Option<u32>,
    /// Contracts customers bought less sold; `None` where the flow is not known.
    pub net_bought: Option<i64>,
}

impl GammaRow {
    /// Contracts the dealers are taken to be long of, as the total counts them: calls +, puts -, less what customers bought.
    fn held(&self) -> f64 {
        let naive = self.open_interest.map_or(0.0, |it| self.series.right.sign() * f64::from(it));
        naive - self.net_bought.map_or(0.0, |it| it as f64)
    }

    /// d1 at a spot, and the deviation to the settlement.
    fn d1(&self, spot: f64) -> Option<(f64, f64)> {
        let sd = self.vol * self.years.sqrt();
        if sd <= 0.0 || spot <= 0.0 {
            return None;
        }
        let log = ln_ratio(spot, self.series.strike.points()) + self.carry * self.years;
        Some((log / sd + 0.5 * sd, sd))
    }
}

/// Exposure at one strike, in dollars per percent of the index.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StrikeGamma {
    /// The strike.
    pub strike: Points,
    /// By open interest of calls.
    #[serde(with = "bits_or_none")]
    pub calls: Option<f64>,
    /// By open interest of puts, below 0.
    #[serde(with = "bits_or_none")]
    pub puts: Option<f64>,
    /// By today's flow.
    #[serde(with = "bits_or_none")]
    pub flow: Option<f64>,
}

impl StrikeGamma {
    /// `gex_naive`: calls and puts by open interest.
    pub fn naive(&self) -> Option<f64> {
        sum(self.calls, self.puts)
    }

    /// Everything known.
    pub fn total(&self) -> Option<f64> {
        sum(self.naive(), self.flow)
    }
}

/// The exposure of a set of series, with what it was made from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GammaProfile {
    /// What the total is made from.
    pub source: OiSource,
    /// By strike, upwards.
    pub strikes: Vec<StrikeGamma>,
    /// Where calls add most.
    pub call_wall: Option<Points>,
    /// Where puts take most.
    pub put_wall: Option<Points>,
    /// Where the total changes its sign, nearest to spot.
    pub flip: Option<Points>,
    /// The series it was made from.
    pub rows: Vec<GammaRow>,
    /// Series left out: no standing two-sided quote, or no volatility that gives it.
    pub left_out: u32,
}

/// Both profiles of one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GammaReading {
    /// When.
    pub at: UtcNanos,
    /// Where the index stood.
    pub spot: Points,
    /// Series that expire today.
    pub zero_dte: GammaProfile,
    /// All series.
    pub all: GammaProfile,
}

impl GammaReading {
    /// From the options as they stand at `now`.
    pub fn of(book: &OptionBook, spot: Points, now: UtcNanos) -> Self {
        let mut left_out = [0_u32; 2];
        let mut rows = Vec::new();
        let carries = carries(book, spot, now);
        for it in book.series() {
            let of = |known: &&Carry| (known.root, known.expiry) == (it.series.root, it.series.expiry);
            let carry = carries.iter().find(of).map_or(0.0, |it| it.carry);
            match row(book, it, carry, spot, now) {
                Some(row) => rows.push(row),
                None => {
                    let [today, all] = &mut left_out;
                    *all = all.saturating_add(1);
                    *today = today.saturating_add(u32::from(it.series.expiry == book.today()));
                }
            }
        }
        let [without_today, without] = left_out;
        let today = rows.iter().filter(|it| it.series.expiry == book.today()).copied().collect();
        Self {
            at: now,
            spot,
            zero_dte: GammaProfile::of(today, spot, without_today),
            all: GammaProfile::of(rows, spot, without),
        }
    }
}

/// What one expiry is carried at.
struct Carry {
    root: Root,
    expiry: Date,
    carry: f64,
    /// How far from spot the strike is that says so.
    distance: Points,
}

/// The carry of each expiry more than a day away: call less put is what the forward stands above the strike.
fn carries(book: &OptionBook, spot: Points, now: UtcNanos) -> Vec<Carry> {
    let mid = |it: &SeriesState| it.quote.filter(|quote| book.is_fresh(quote, now)).and_then(|it| it.mid());
    let mut known: Vec<Carry> = Vec::new();
    for it in book.series().iter().filter(|it| it.series.right == Right::Call) {
        let (root, expiry) = (it.series.root, it.series.expiry);
        let distance = Points::from_f64(it.series.strike.points()).distance(spot);
        let place = known.iter().position(|it| (it.root, it.expiry) == (root, expiry));
        let nearest = place.and_then(|i| known.get(i)).map(|it| it.distance);
        if nearest.is_some_and(|it| it <= distance) {
            continue;
        }
        let put = OccSymbol { right: Right::Put, ..it.series };
        let put = book.series().binary_search_by_key(&put, |it| it.series).ok();
        let put = put.and_then(|i| book.series().get(i));
        let Some(years) = years_to_settlement(now, &it.series).ok().filter(|it| *it > DAY) else { continue };
        let Some((call, put)) = mid(it).zip(put.and_then(mid)) else { continue };
        let forward = it.series.strike.points() + call - put;
        if forward <= 0.0 || spot.0 <= 0 {
            continue;
        }
        let carry = (ln_ratio(forward, spot.to_f64()) / years).clamp(-CARRY_MAX, CARRY_MAX);
        let found = Carry { root, expiry, carry, distance };
        match place.and_then(|i| known.get_mut(i)) {
            Some(it) => *it = found,
            None => known.push(found),
        }
    }
    known
}

fn row(book: &OptionBook, it: &SeriesState, carry: f64, spot: Points, now: UtcNanos) -> Option<GammaRow> {
    let mid = it.quote.filter(|quote| book.is_fresh(quote, now))?.mid()?;
    let years = years_to_settlement(now, &it.series).ok()?;
    let (spot, strike) = (spot.to_f64(), it.series.strike.points());
    let inputs = Inputs { spot, strike, years, rate: carry, div: 0.0, vol: 0.0 };
    let vol = implied_vol(it.series.right, mid, &inputs).ok()?;
    let net_bought = book.knows_flow().then_some(it.net_bought);
    let row = GammaRow {
        series: it.series,
        vol,
        years,
        carry,
        gamma: 0.0,
        open_interest: it.open_interest,
        net_bought,
    };
    let (d1, sd) = row.d1(spot)?;
    Some(GammaRow { gamma: normal_pdf(d1) / (spot * sd), ..row })
}

/// Dollars per percent of the index and contract of a gamma.
fn dollars(gamma: f64, spot: f64) -> f64 {
    gamma * 100.0 * spot * spot * 0.01
}

fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

impl GammaProfile {
    /// Of rows in series order.
    pub fn of(rows: Vec<GammaRow>, spot: Points, left_out: u32) -> Self {
        let at = spot.to_f64();
        let mut strikes: Vec<StrikeGamma> = Vec::new();
        for row in &rows {
            let strike = Points::from_f64(row.series.strike.points());
            let i = match strikes.binary_search_by_key(&strike, |it| it.strike) {
                Ok(i) => i,
                Err(i) => {
                    strikes.insert(i, StrikeGamma { strike, calls: None, puts: None, flow: None });
                    i
                }
            };
            let Some(it) = strikes.get_mut(i) else { continue };
            let unit = dollars(row.gamma, at);
            let naive = row.open_interest.map(|oi| unit * f64::from(oi));
            match row.series.right {
                Right::Call => it.calls = sum(it.calls, naive),
                Right::Put => it.puts = sum(it.puts, naive.map(|it| -it)),
            }
            it.flow = sum(it.flow, row.net_bought.map(|net| -(net as f64) * unit));
        }
        let has_oi = rows.iter().any(|it| it.open_interest.is_some());
        let has_flow = rows.iter().any(|it| it.net_bought.is_some());
        Self {
            source: match (has_oi, has_flow) {
                (true, true) => OiSource::OiPlusFlow,
                (true, false) => OiSource::OiBaseline,
                (false, _) => OiSource::Unavailable,
            },
            call_wall: wall(&strikes, spot, |it| it.calls),
            put_wall: wall(&strikes, spot, |it| it.puts.map(|it| -it)),
            flip: has_oi.then(|| flip(&rows, at)).flatten(),
            strikes,
            rows,
            left_out,
        }
    }

    /// The strike nearest to a price, the lower one of two.
    pub fn nearest(&self, price: Points) -> Option<usize> {
        let distance = |it: &StrikeGamma| it.strike.distance(price);
        let nearest = self.strikes.iter().enumerate().min_by_key(|(_, it)| distance(it));
        nearest.map(|(i, _)| i)
    }
}

/// The strike where a side weighs most; of equals the one nearest to spot.
fn wall(
    strikes: &[StrikeGamma],
    spot: Points,
    weight: impl Fn(&StrikeGamma) -> Option<f64>,
) -> Option<Points> {
    let mut best: Option<(f64, Points)> = None;
    for it in strikes {
        let Some(weight) = weight(it).filter(|it| *it > 0.0) else { continue };
        let nearer = |than: Points| it.strike.distance(spot) < than.distance(spot);
        if best.is_none_or(|(most, at)| weight > most || (weight >= most && nearer(at))) {
            best = Some((weight, it.strike));
        }
    }
    best.map(|it| it.1)
}

/// A row as the flip needs it.
struct Held {
    /// d1 at spot.
    d1: f64,
    /// 1 over the deviation to the settlement.
    per_sd: f64,
    /// Contracts over the deviation.
    weight: f64,
}

/// The spot nearest to `spot` at which the total changes its sign on the grid, between two steps in a straight line.
fn flip(rows: &[GammaRow], spot: f64) -> Option<Points> {
    let held: Vec<Held> = rows
        .iter()
        .filter_map(|it| Some((it.d1(spot)?, it.held())))
        .filter(|(_, contracts)| contracts.abs() > 0.0)
        .map(|((d1, sd), contracts)| Held { d1, per_sd: 1.0 / sd, weight: contracts / sd })
        .collect();
    if held.is_empty() {
        return None;
    }
    // At g x spot d1 grows by ln(g) over the deviation, and gamma x spot^2 is n(d1) x spot over it.
    let total = |step: i32| {
        let factor = 1.0 + GRID_STEP * f64::from(step);
        let (at, log) = (spot * factor, ln_ratio(factor, 1.0));
        let sum: f64 = held.iter().map(|it| it.weight * normal_pdf(it.d1 + log * it.per_sd)).sum();
        (at, sum * at)
    };
    let grid: Vec<(f64, f64)> = (-GRID_STEPS..=GRID_STEPS).map(total).collect();
    let mut best: Option<f64> = None;
    for pair in grid.windows(2) {
        let &[(a, at_a), (b, at_b)] = pair else { continue };
        // Both 0 is no change of sign: nothing reaches there.
        let crosses = (at_a < 0.0 && at_b >= 0.0) || (at_a > 0.0 && at_b <= 0.0);
        if !crosses {
            continue;
        }
        let zero = a + (b - a) * (at_a / (at_a - at_b));
        if best.is_none_or(|it| (zero - spot).abs() < (it - spot).abs()) {
            best = Some(zero);
        }
    }
    best.map(Points::from_f64)
}

//! The quotes of one day's SPXW series around a path of the index, generated or recorded.

use std::time::Duration;

use domain::calendar::Session;
use domain::market::{ListedSeries, MarketEvent, OptionQuote};
use domain::money::{Price, Side, TickGrid};
use domain::symbol::{OccSymbol, Right, Root, Strike};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::pricing::{Inputs, greeks, price, years_between};

use super::dice::Dice;
use super::path::DayVol;

/// Strikes are listed within this part of the opening value.
const WINDOW: f64 = 0.03;
/// Points between strikes.
const STRIKE_STEP: u32 = 5;
/// Smile: change of volatility per standard deviation of moneyness, and per its square.
const SKEW: f64 = -0.05;
const SMILE: f64 = 0.012;
/// Standard deviations beyond which the smile is flat.
const SMILE_ENDS: f64 = 6.0;
/// A quote is renewed after this time even if nothing moved: near the money and far from it.
const REFRESH: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(30));

/// One series and its standing quote.
#[derive(Debug, Clone, Copy)]
struct Listed {
    series: OccSymbol,
    open_interest: u32,
    /// `None` before the first quote.
    quote: Option<OptionQuote>,
    delta: f64,
    /// A model move of this size makes a new quote.
    tolerance: f64,
}

/// The call and the put of one strike, always priced together so that parity holds between them.
#[derive(Debug, Clone, Copy)]
struct Pair {
    strike: f64,
    call: Listed,
    put: Listed,
    spot: f64,
    refresh_at: UtcNanos,
    /// Where in each second the pair may quote.
    offset_ns: i64,
}

/// The chain of a session and the volatility it is priced at.
///
/// Each second, [`ChainModel::second`] moves the volatility with the index and renews the quotes that the move has
/// made wrong by more than a tick, or that have grown old.
#[derive(Debug, Clone)]
pub struct ChainModel {
    session: Session,
    grid: TickGrid,
    dice: Dice,
    vol: DayVol,
    /// Standard deviation of the whole session's log return that the morning's options cost.
    day_move: f64,
    /// Implied over planned volatility; rises when the index falls.
    level: f64,
    pairs: Vec<Pair>,
}

/// What all pairs are priced with at one instant.
#[derive(Debug, Clone, Copy)]
struct Pricing {
    now: UtcNanos,
    years: f64,
    atm: f64,
    /// Spreads are wider in the first minutes.
    width: f64,
}

impl ChainModel {
    /// The series expiring on the session's date, every five points within 3 % of `open`, priced for a session
    /// whose log return has the standard deviation `day_move`.
    pub fn new(seed: u64, session: Session, open: f64, day_move: f64) -> Self {
        let mut dice = Dice::new(seed, 3);
        let step = f64::from(STRIKE_STEP);
        let first = (open * (1.0 - WINDOW) / step).ceil().max(1.0) as u32;
        let last = (open * (1.0 + WINDOW) / step).floor().max(1.0) as u32;
        let count = i64::from(last.saturating_sub(first)) + 1;
        let mut pairs = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        for (i, strike) in (first..=last).map(|it| it * STRIKE_STEP).enumerate() {
            let mut listed = |right: Right| Listed {
                series: OccSymbol {
                    root: Root::SPXW,
                    expiry: session.date,
                    right,
                    strike: Strike::from_points(strike),
                },
                open_interest: open_interest(&mut dice, right, strike, open),
                quote: None,
                delta: 0.0,
                tolerance: 0.0,
            };
            let (call, put) = (listed(Right::Call), listed(Right::Put));
            pairs.push(Pair {
                strike: f64::from(strike),
                call,
                put,
                spot: 0.0,
                refresh_at: session.open,
                offset_ns: 5_000_000 + 985_000_000 / count * i64::try_from(i).unwrap_or_default(),
            });
        }
        let seconds = session_seconds(&session);
        let grid = TickGrid::single_leg(&Root::SPXW, session.date);
        Self { session, grid, dice, vol: DayVol::new(seconds), day_move, level: 1.05, pairs }
    }

    /// What is listed, sorted.
    pub fn series(&self) -> Vec<ListedSeries> {
        let listed = |it: &Listed| ListedSeries { series: it.series, open_interest: Some(it.open_interest) };
        let mut all: Vec<_> = self.pairs.iter().flat_map(|it| [listed(&it.call), listed(&it.put)]).collect();
        all.sort_unstable_by_key(|it| it.series);
        all
    }

    /// The quotes of the second that begins at `start`, in order of time, while the index goes from `from` to
    /// `to`. Nothing outside the session.
    pub fn second(&mut self, start: UtcNanos, from: f64, to: f64, out: &mut Vec<MarketEvent>) {
        if !self.session.holds(start) {
            return;
        }
        self.move_level(from, to);
        let second = usize::try_from((start.0 - self.session.open.0) / NANOS_PER_SEC).unwrap_or_default();
        let years = years_between(start, self.session.close);
        let a_minute = 60.0 / (self.vol.seconds() as f64);
        let left = self.vol.remaining(second).max(a_minute);
        let pricing = Pricing {
            now: start,
            years,
            atm: self.level * self.day_move * libm::sqrt(left / years),
            width: 1.0 + libm::exp(-(second as f64) / 240.0),
        };
        for pair in &mut self.pairs {
            let now = UtcNanos(start.0 + pair.offset_ns);
            let spot = from + (to - from) * (pair.offset_ns as f64) / 1e9;
            if pair.is_due(now, spot) {
                pair.requote(Pricing { now, ..pricing }, spot, self.grid, &mut self.dice, out);
            }
        }
    }

    /// Volatility rises as the index falls, drifts back, and has a life of its own.
    fn move_level(&mut self, from: f64, to: f64) {
        let shock = (to - from) / (from.max(1.0) * self.day_move);
        self.level += 4e-4 * (1.0 - self.level) - 0.06 * shock + 0.001 * self.dice.normal();
        self.level = self.level.clamp(0.75, 1.6);
    }
}

/// Whole seconds from open to close.
pub(super) fn session_seconds(session: &Session) -> usize {
    usize::try_from(session.close.since(session.open).as_secs()).unwrap_or_default()
}

/// Round strikes hold more; puts sit below the index, calls above.
fn open_interest(dice: &mut Dice, right: Right, strike: u32, open: f64) -> u32 {
    let distance = (f64::from(strike) - open) / open;
    let out_of_the_money = right.sign() * distance > -0.004;
    let round = if strike.is_multiple_of(100) {
        5.0
    } else if strike.is_multiple_of(25) {
        2.2
    } else {
        1.0
    };
    let side = if out_of_the_money { 1.0 } else { 0.12 };
    let mean = 1_800.0 * round * side * libm::exp(-distance.abs() / 0.013);
    (mean * dice.between(0.3, 1.7)) as u32
}

impl Pair {
    fn is_due(&self, now: UtcNanos, spot: f64) -> bool {
        let moved = (spot - self.spot).abs();
        let wrong = |it: &Listed| moved * it.delta.abs() >= it.tolerance;
        now >= self.refresh_at || wrong(&self.call) || wrong(&self.put)
    }

    /// Prices both sides at `spot`; a side whose prices stay and that is not old keeps its quote.
    fn requote(
        &mut self,
        pricing: Pricing,
        spot: f64,
        grid: TickGrid,
        dice: &mut Dice,
        out: &mut Vec<MarketEvent>,
    ) {
        let spread_in_sd = libm::log(self.strike / spot) / (pricing.atm * libm::sqrt(pricing.years));
        let z = spread_in_sd.clamp(-SMILE_ENDS, SMILE_ENDS);
        let vol = pricing.atm * (1.0 + SKEW * z + SMILE * z * z);
        // Interest and dividends over less than a day are worth less than half a tick and left out.
        let inputs = Inputs { spot, strike: self.strike, years: pricing.years, rate: 0.0, div: 0.0, vol };
        let right = if spot < self.strike { Right::Call } else { Right::Put };
        let value = price(right, &inputs);
        let delta = greeks(right, &inputs).delta;
        let intrinsic = (spot - self.strike).abs();
        let (call, put) = match right {
            Right::Call => ((value, delta), (value + intrinsic, delta - 1.0)),
            Right::Put => ((value + intrinsic, delta + 1.0), (value, delta)),
        };
        let refresh = pricing.now >= self.refresh_at;
        if refresh {
            let age = if z.abs() < 2.0 { REFRESH.0 } else { REFRESH.1 };
            self.refresh_at = pricing.now.plus(age);
        }
        self.spot = spot;
        for (listed, (value, delta)) in [(&mut self.call, call), (&mut self.put, put)] {
            let quote = two_sides(value, pricing, grid, dice);
            listed.delta = delta;
            let spread = match (quote.bid, quote.ask) {
                (Some(bid), Some(ask)) => ask.to_f64() - bid.to_f64(),
                _ => 0.0,
            };
            listed.tolerance = (0.7 * spread).max(grid.one_tick().to_f64());
            let same = listed.quote.is_some_and(|it| it.bid == quote.bid && it.ask == quote.ask);
            if refresh || !same {
                listed.quote = Some(quote);
                out.push(MarketEvent::OptionQuote(listed.series, quote));
            }
        }
    }
}

/// The market makers' bid and ask about a model value, on the grid; nobody bids for what is worth less than a tick.
fn two_sides(value: f64, pricing: Pricing, grid: TickGrid, dice: &mut Dice) -> OptionQuote {
    let half = (0.02 + 0.006 * value).min(1.5) * pricing.width;
    let on_grid = |dollars: f64, side| Price::from_model(dollars.max(0.0), side, grid).ok();
    let bid = on_grid(value - half, Side::Buy).filter(|it| *it > Price::ZERO);
    let ask = on_grid(value + half, Side::Sell);
    let depth = 12.0 + 500.0 / (1.0 + 3.0 * value);
    let mut lots = |there: bool| if there { 1 + (depth * dice.between(0.2, 1.8)) as u32 } else { 0 };
    let bid_size = lots(bid.is_some());
    let ask_size = lots(ask.is_some());
    OptionQuote { ts: pricing.now, bid, ask, bid_size, ask_size }
}

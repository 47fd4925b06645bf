//! A market that costs nothing until somebody looks: an index that walks by the second, and quotes around a model of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use domain::calendar::Session;
use domain::market::{ListedSeries, MarketEvent, OptionQuote, Points, PrintCounts, Trade};
use domain::money::{Price, Side, TickGrid};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::pricing::{Inputs, price, years_between};
use sim::broker::Sandbox;
use sim::perils::mixed;

use super::course::{Course, Draws};

/// Where the index stands at the start, and how far strikes are listed around it.
const SPOT: i64 = 5_600;
const STRIKES: u32 = 60;
const STEP: u32 = 5;
/// The volatility every option is quoted at.
const VOL: f64 = 0.30;

/// What is unusual about the market just now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mood {
    pub(crate) is_halted: bool,
    pub(crate) is_index_silent: bool,
    pub(crate) is_wide: bool,
    pub(crate) is_without_bids: bool,
}

/// The market of a session.
#[derive(Debug)]
pub(crate) struct Tape {
    seed: u64,
    session: Session,
    start: UtcNanos,
    /// The index by the second, in hundredths of a point.
    index: Vec<i64>,
    size_max: u32,
    grid: TickGrid,
    mood: Cell<Mood>,
    quoted: RefCell<BTreeMap<OccSymbol, UtcNanos>>,
    sandbox: Rc<RefCell<Sandbox>>,
}

impl Tape {
    pub(crate) fn new(course: &Course, sandbox: Rc<RefCell<Sandbox>>) -> Self {
        let seconds = course.end.since(course.start).as_secs();
        let mut draws = Draws::new(course.seed, 2);
        let mut at = SPOT * 100;
        let walk = (0..=seconds).map(|_| {
            // Twelve uniform bytes: about normal, with a deviation of 16 hundredths of a point.
            let sum: i64 = (0..3u32)
                .map(|_| draws.bits().to_le_bytes()[..4].iter().map(|it| i64::from(*it)).sum::<i64>())
                .sum();
            at += (sum - 1_530) / 16;
            at
        });
        Self {
            seed: course.seed,
            session: course.session,
            start: course.start,
            index: walk.collect(),
            size_max: course.size_max,
            grid: TickGrid::single_leg(&Root::SPXW, course.session.date),
            mood: Cell::default(),
            quoted: RefCell::default(),
            sandbox,
        }
    }

    pub(crate) const fn mood(&self) -> Mood {
        self.mood.get()
    }

    pub(crate) fn set_mood(&self, change: impl FnOnce(&mut Mood)) {
        let mut mood = self.mood.get();
        change(&mut mood);
        self.mood.set(mood);
    }

    /// What is listed.
    pub(crate) fn listed(course: &Course) -> Vec<ListedSeries> {
        let strikes = Self::strikes().into_iter();
        let both = strikes.flat_map(|strike| [Right::Call, Right::Put].map(|right| (right, strike)));
        let series = both.map(|(right, strike)| OccSymbol {
            root: Root::SPXW,
            expiry: course.session.date,
            right,
            strike,
        });
        series.map(|series| ListedSeries { series, open_interest: Some(1_000) }).collect()
    }

    pub(crate) fn strikes() -> Vec<Strike> {
        let spot = u32::try_from(SPOT).unwrap_or(0);
        let steps = STRIKES / STEP;
        (0..=2 * steps).map(|it| Strike::from_points(spot - STRIKES + it * STEP)).collect()
    }

    pub(crate) fn spot(&self, at: UtcNanos) -> Points {
        let second = usize::try_from(at.since(self.start).as_secs()).unwrap_or(usize::MAX);
        let hundredths = self.index.get(second).or(self.index.last()).copied().unwrap_or(0);
        Points(hundredths * 100)
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    /// When the broker was last shown a quote of a series.
    pub(crate) fn quoted_at(&self, series: &OccSymbol) -> Option<UtcNanos> {
        self.quoted.borrow().get(series).copied()
    }

    /// The official close.
    pub(crate) fn close(&self) -> Points {
        self.spot(self.session.close)
    }

    /// The quote of a series as it stands at `at`.
    pub(crate) fn quote(&self, series: &OccSymbol, at: UtcNanos) -> OptionQuote {
        let mood = self.mood.get();
        let inputs = Inputs {
            spot: self.spot(at).to_f64(),
            strike: series.strike.points(),
            years: years_between(at, self.session.close),
            rate: 0.0,
            div: 0.0,
            vol: VOL,
        };
        let value = price(series.right, &inputs);
        let second = at.0.checked_div(NANOS_PER_SEC).unwrap_or(0).unsigned_abs();
        let bits = mixed(self.seed ^ mixed(second ^ u64::from(series.strike.0) << 24));
        let ticks = i32::try_from(bits % 2).unwrap_or(0);
        let under = Price::from_model(value.max(0.0), Side::Buy, self.grid).unwrap_or(Price::ZERO);
        let wide = if mood.is_wide { 12 } else { 0 };
        let bid = self.grid.step_by(under, -ticks - wide);
        let ask = self.grid.step_by(self.grid.up(under), i32::try_from(bits >> 8 & 1).unwrap_or(0) + wide);
        let size = |shift: u32| {
            let drawn = u32::try_from(bits >> shift & 0xffff).unwrap_or(0);
            1 + drawn.checked_rem(self.size_max).unwrap_or(0)
        };
        let is_bid = bid > Price::ZERO && !mood.is_without_bids;
        OptionQuote {
            ts: at,
            bid: is_bid.then_some(bid),
            ask: Some(ask),
            bid_size: if is_bid { size(16) } else { 0 },
            ask_size: size(32),
        }
    }

    /// Brings the index and these series to the broker as they stand at `at`.
    pub(crate) fn show(&self, series: &[OccSymbol], at: UtcNanos) {
        let mood = self.mood.get();
        if mood.is_halted || at >= self.session.close {
            return;
        }
        let mut sandbox = self.sandbox.borrow_mut();
        if !mood.is_index_silent {
            sandbox.on_market(&self.index_print(at));
        }
        let mut quoted = self.quoted.borrow_mut();
        for series in series {
            quoted.insert(*series, at);
            sandbox.on_market(&MarketEvent::OptionQuote(*series, self.quote(series, at)));
        }
    }

    /// The index's value at the close, printed when the session ends.
    pub(crate) fn show_close(&self) {
        let print = self.index_print(self.session.close);
        self.sandbox.borrow_mut().on_market(&print);
    }

    fn index_print(&self, at: UtcNanos) -> MarketEvent {
        let trade =
            Trade { ts: at, sequence: None, price: self.spot(at), size: 0, counts: PrintCounts::Everywhere };
        MarketEvent::Trade(Underlying::SPX, trade)
    }

    /// The market comes to an order's limit: a quote that executes part of it or all.
    pub(crate) fn meet(&self, series: &OccSymbol, side: Side, limit: Price, at: UtcNanos) {
        if self.mood.get().is_halted || at >= self.session.close || limit == Price::ZERO {
            return;
        }
        let quote = self.quote(series, at);
        let met = match side {
            Side::Buy => OptionQuote {
                ask: Some(limit),
                bid: Some(self.grid.down(limit)).filter(|it| *it > Price::ZERO),
                ..quote
            },
            Side::Sell => {
                OptionQuote { bid: Some(limit), bid_size: 1, ask: Some(self.grid.up(limit)), ..quote }
            }
        };
        self.sandbox.borrow_mut().on_market(&MarketEvent::OptionQuote(*series, met));
    }
}

//! The microbar fold: prints joined with the quote that stood strictly before them.
//!
//! Standing is decided by exchange time: with millisecond stamps a quote of the print's own millisecond may be the
//! print's effect, so the last quote *strictly before* is used (measured: the quote rule signs 92.7 % right so, 65.4 %
//! with "at or before").

use domain::market::{Microbar, Ohlc, PrintCounts, Quote, QuoteSide, Trade};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use serde::{Deserialize, Serialize};

/// Nothing is due.
const NEVER: i64 = i64::MAX;
/// A quote of the recorded equity ticks and of SPY is stale after this.
pub const EQUITY_QUOTE_AGE_MAX_NS: i64 = 5 * NANOS_PER_SEC;
/// A quote of an option is stale after this.
pub const OPTION_QUOTE_AGE_MAX_NS: i64 = 60 * NANOS_PER_SEC;

/// How one symbol is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldRules {
    /// Length of a bar: a second or a multiple of it.
    pub step_ns: i64,
    /// A standing quote older than this leaves the print unquoted.
    pub quote_age_max_ns: i64,
    /// Off (`MICROSTRUCTURE_QUOTES_ENABLED=false`), every print is unquoted and its volume neutral.
    pub quotes: bool,
    /// An index: its values have no size and count as trades all the same.
    pub index: bool,
}

impl FoldRules {
    /// Second bars of a share; `resolution_ns` is one step of the source, below which no quote is stale.
    pub fn share(resolution_ns: i64, quotes: bool) -> Self {
        Self {
            step_ns: NANOS_PER_SEC,
            quote_age_max_ns: EQUITY_QUOTE_AGE_MAX_NS.max(resolution_ns),
            quotes,
            index: false,
        }
    }

    /// Second bars of an option series.
    pub fn option(resolution_ns: i64, quotes: bool) -> Self {
        Self {
            quote_age_max_ns: OPTION_QUOTE_AGE_MAX_NS.max(resolution_ns),
            ..Self::share(resolution_ns, quotes)
        }
    }

    /// Second bars of an index, which has no quotes.
    pub fn index() -> Self {
        Self { index: true, quotes: false, ..Self::share(0, false) }
    }

    /// The same with bars of `secs` seconds.
    pub fn with_step_secs(self, secs: i64) -> Self {
        Self { step_ns: secs.max(1).saturating_mul(NANOS_PER_SEC), ..self }
    }
}

/// A quote as the fold keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    ts: i64,
    /// Bid and ask of a valid quote.
    sides: Option<(QuoteSide, QuoteSide)>,
    /// Spread in 1e-6 basis points, once somebody asked; -1 before.
    spread: i64,
}

impl Standing {
    const NONE: Self = Self { ts: i64::MIN, sides: None, spread: -1 };

    /// The sides at `ts`, when valid and not older than `age_max`.
    #[inline]
    fn fresh(&self, ts: i64, age_max: i64) -> Option<(QuoteSide, QuoteSide)> {
        if ts.saturating_sub(self.ts) <= age_max { self.sides } else { None }
    }
}

/// 1e4 x (ask - bid)/mid in 1e-6 basis points, rounded half to even, for 0 < bid <= ask.
pub fn spread_e6_bps(bid: i64, ask: i64) -> i64 {
    let (wide, sum) = (ask.saturating_sub(bid), ask.saturating_add(bid));
    // Up to a width of 92,000 dollars the product fits 64 bits, whose division is the fast one.
    if let (Some(n), Ok(d)) =
        (u64::try_from(wide).ok().and_then(|it| it.checked_mul(20_000_000_000)), u64::try_from(sum))
        && d > 0
        && d < u64::MAX / 2
    {
        let (q, r) = (n / d, n % d);
        let up = 2 * r > d || (2 * r == d && q % 2 == 1);
        return i64::try_from(q + u64::from(up)).unwrap_or(i64::MAX);
    }
    let (n, d) = (i128::from(wide) * 20_000_000_000, i128::from(sum).max(1));
    let (q, r) = (n / d, n % d);
    let up = 2 * r > d || (2 * r == d && q % 2 == 1);
    i64::try_from(q + i128::from(up)).unwrap_or(i64::MAX)
}

/// The fold of one symbol. Prints and quotes must come in order of exchange time; [`super::tape::Tape`] sees to it.
///
/// # Examples
/// ```
/// use domain::market::{Points, PrintCounts, Trade};
/// use domain::time::UtcNanos;
/// use engine::bars::fold::{Fold, FoldRules};
///
/// let mut fold = Fold::new(FoldRules::index());
/// let print = |secs, points| Trade {
///     ts: UtcNanos::from_secs(secs),
///     sequence: None,
///     price: Points::whole(points),
///     size: 0,
///     counts: PrintCounts::Everywhere,
/// };
/// assert!(fold.trade(&print(10, 5_600)).is_none());
/// let bar = fold.trade(&print(11, 5_601)).ok_or("a print of the next second closes the bar")?;
/// assert_eq!((bar.ts_open, bar.trades, bar.volume), (UtcNanos::from_secs(10), 1, 0));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    rules: FoldRules,
    /// The last quote.
    latest: Standing,
    /// The last quote of an earlier instant than `latest`.
    before: Standing,
    bar: Microbar,
    /// End of the open bar; `NEVER` without one.
    end: i64,
    /// End of the last second with prints, at which the sizes at the close are read; `NEVER` once read.
    settle_at: i64,
    /// The earlier of the two.
    due: i64,
}

impl Fold {
    /// An empty fold.
    pub fn new(rules: FoldRules) -> Self {
        Self {
            rules,
            latest: Standing::NONE,
            before: Standing::NONE,
            bar: Microbar::empty(UtcNanos::default()),
            end: NEVER,
            settle_at: NEVER,
            due: NEVER,
        }
    }

    /// End of the open bar, where there is one.
    pub fn open_until(&self) -> Option<UtcNanos> {
        if self.end == NEVER { None } else { Some(UtcNanos(self.end)) }
    }

    /// Takes a quote. Returns the bar that ended before it.
    #[inline]
    pub fn quote(&mut self, quote: &Quote) -> Option<Microbar> {
        let closed = self.close(quote.ts);
        if !self.rules.quotes {
            return closed;
        }
        if quote.ts.0 > self.latest.ts {
            self.before = self.latest;
        }
        self.latest = Standing { ts: quote.ts.0, sides: quote.valid(), spread: -1 };
        closed
    }

    /// Takes a print. Returns the bar that ended before it. Prints that count nowhere open no bar.
    #[inline]
    pub fn trade(&mut self, trade: &Trade) -> Option<Microbar> {
        let closed = self.close(trade.ts);
        if trade.counts != PrintCounts::Nowhere {
            if self.settle_at == NEVER {
                self.begin(trade.ts);
            }
            self.add(trade);
        }
        closed
    }

    /// Ends the open bar if it ends at `now` or before.
    #[inline]
    pub fn close(&mut self, now: UtcNanos) -> Option<Microbar> {
        if now.0 >= self.due { self.turn(now.0) } else { None }
    }

    /// Ends the open bar: nothing comes any more.
    pub fn finish(&mut self) -> Option<Microbar> {
        self.close(UtcNanos(NEVER - 1))
    }

    /// A print in a second without one so far.
    #[cold]
    fn begin(&mut self, ts: UtcNanos) {
        if self.end == NEVER {
            let open = ts.floor_to(self.rules.step_ns);
            self.bar = Microbar::empty(open);
            self.end = open.0.saturating_add(self.rules.step_ns);
        }
        let second_end = ts.floor_to(NANOS_PER_SEC).0.saturating_add(NANOS_PER_SEC);
        self.settle_at = second_end.min(self.end);
        self.due = self.settle_at;
    }

    /// Reads the sizes at the end of a second with prints, and hands the bar on where it ends too.
    #[cold]
    fn turn(&mut self, now: i64) -> Option<Microbar> {
        if now >= self.settle_at {
            // Every quote taken so far is strictly before that end, or this would have run at its arrival.
            let standing = self.latest.fresh(self.settle_at, self.rules.quote_age_max_ns);
            self.bar.bid_size_at_close = standing.and_then(|(bid, _)| bid.size);
            self.bar.ask_size_at_close = standing.and_then(|(_, ask)| ask.size);
            self.settle_at = NEVER;
        }
        let mut closed = None;
        if now >= self.end {
            closed = Some(self.bar);
            self.end = NEVER;
        }
        self.due = self.settle_at.min(self.end);
        closed
    }

    #[inline]
    fn add(&mut self, trade: &Trade) {
        let (bar, size, price) = (&mut self.bar, u64::from(trade.size), trade.price);
        bar.volume = bar.volume.saturating_add(size);
        if trade.counts == PrintCounts::VolumeOnly {
            bar.trades = bar.trades.saturating_add(u32::from(size > 0));
            bar.neutral_volume = bar.neutral_volume.saturating_add(size);
            return;
        }
        bar.trades = bar.trades.saturating_add(u32::from(size > 0 || self.rules.index));
        bar.ticks = bar.ticks.saturating_add(1);
        match &mut bar.ohlc {
            Some(ohlc) => {
                ohlc.high = ohlc.high.max(price);
                ohlc.low = ohlc.low.min(price);
                ohlc.close = price;
            }
            None => bar.ohlc = Some(Ohlc { open: price, high: price, low: price, close: price }),
        }
        let standing = if trade.ts.0 > self.latest.ts { &mut self.latest } else { &mut self.before };
        let Some((bid, ask)) = standing.fresh(trade.ts.0, self.rules.quote_age_max_ns) else {
            bar.neutral_volume = bar.neutral_volume.saturating_add(size);
            return;
        };
        if standing.spread < 0 {
            standing.spread = spread_e6_bps(bid.price.0, ask.price.0);
        }
        bar.quoted_ticks = bar.quoted_ticks.saturating_add(1);
        bar.spread_sum = bar.spread_sum.saturating_add(standing.spread);
        if let (Some(bid_size), Some(ask_size)) = (bid.size, ask.size) {
            bar.bid_size_sum = bar.bid_size_sum.saturating_add(u64::from(bid_size));
            bar.ask_size_sum = bar.ask_size_sum.saturating_add(u64::from(ask_size));
        }
        // The quote rule without a branch: which side it is cannot be predicted. Both (locked) and neither are neutral.
        let (at_ask, at_bid) = (price >= ask.price, price <= bid.price);
        let bought = size * u64::from(at_ask & !at_bid);
        let sold = size * u64::from(at_bid & !at_ask);
        bar.buy_volume = bar.buy_volume.saturating_add(bought);
        bar.sell_volume = bar.sell_volume.saturating_add(sold);
        bar.neutral_volume = bar.neutral_volume.saturating_add(size - bought - sold);
    }
}

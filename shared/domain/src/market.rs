//! Ticks and microbars (spec 1).

use serde::{Deserialize, Serialize};

use crate::calendar::Session;
use crate::money::{Price, Usd};
use crate::symbol::{OccSymbol, Underlying};
use crate::time::UtcNanos;

/// A price of an index or a share in 1/10,000 of a point or dollar. Signed only so that differences are values;
/// a valid price is above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Points(pub i64);

impl Points {
    /// From whole points.
    pub const fn whole(points: i64) -> Self {
        Self(points.saturating_mul(10_000))
    }

    /// From a measurement, rounded half away from zero to 1/10,000; 0 for what is not finite.
    pub fn from_f64(points: f64) -> Self {
        if points.is_finite() { Self((points * 10_000.0).round() as i64) } else { Self(0) }
    }

    /// Parses decimal text exactly to four decimals, rounding further ones half away from zero.
    pub fn parse(text: &str) -> Option<Self> {
        Usd::parse(text).ok().map(|it| Self(it.e4()))
    }

    /// As a measurement.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 10_000.0
    }

    /// The distance between two prices, never negative.
    pub const fn distance(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).saturating_abs())
    }

    /// `self + other`, saturating.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self - other`, saturating.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::fmt::Display for Points {
    /// At least two decimals: `5611.25`, `167.4150`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&Usd::from_e4(self.0), f)
    }
}

/// One side of a standing quote: its price and, where the source has it, its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteSide {
    /// The best price.
    pub price: Points,
    /// Shares or contracts shown, absent where the source has none.
    pub size: Option<u32>,
}

/// Best bid and ask of an index or a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Exchange time.
    pub ts: UtcNanos,
    /// The bid, where there is one.
    pub bid: Option<QuoteSide>,
    /// The ask, where there is one.
    pub ask: Option<QuoteSide>,
}

impl Quote {
    /// Bid and ask of a valid quote: both above 0 and ask >= bid.
    pub fn valid(&self) -> Option<(QuoteSide, QuoteSide)> {
        match (self.bid, self.ask) {
            (Some(bid), Some(ask)) if bid.price.0 > 0 && ask.price >= bid.price => Some((bid, ask)),
            _ => None,
        }
    }
}

/// A trade print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Exchange time.
    pub ts: UtcNanos,
    /// The feed's sequence number, where it has one.
    pub sequence: Option<u64>,
    /// The print's price.
    pub price: Points,
    /// Shares or contracts; 0 for an index value.
    pub size: u32,
    /// What the print's conditions let it update.
    pub counts: PrintCounts,
}

/// What a print may update, decided by the source's condition codes (spec 1, "Which prints count").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrintCounts {
    /// Everything.
    Everywhere,
    /// Volume alone, all of it neutral: average-price and derivatively priced prints.
    VolumeOnly,
    /// Nothing, but it is recorded: suspicious prints, official open and close.
    Nowhere,
}

/// What happened in the market, as a source delivers it, in time order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketEvent {
    /// A print, or an index value.
    Trade(Underlying, Trade),
    /// A quote of an index or a share.
    Quote(Underlying, Quote),
    /// A quote of an option series.
    OptionQuote(OccSymbol, OptionQuote),
}

impl MarketEvent {
    /// Exchange time.
    pub const fn ts(&self) -> UtcNanos {
        match self {
            Self::Trade(_, it) => it.ts,
            Self::Quote(_, it) => it.ts,
            Self::OptionQuote(_, it) => it.ts,
        }
    }
}

/// Best bid and ask of an option series, in cents per share, sizes in contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionQuote {
    /// Exchange time.
    pub ts: UtcNanos,
    /// The bid; `None` when nobody bids.
    pub bid: Option<Price>,
    /// The ask; `None` when nobody offers.
    pub ask: Option<Price>,
    /// Contracts bid for; 0 without a bid.
    pub bid_size: u32,
    /// Contracts offered; 0 without an ask.
    pub ask_size: u32,
}

impl OptionQuote {
    /// Bid and ask when both are above 0 and not crossed.
    pub fn two_sided(&self) -> Option<(Price, Price)> {
        match (self.bid, self.ask) {
            (Some(bid), Some(ask)) if bid > Price::ZERO && ask >= bid => Some((bid, ask)),
            _ => None,
        }
    }

    /// The midpoint in dollars per share of a two-sided quote.
    pub fn mid(&self) -> Option<f64> {
        self.two_sided().map(|(bid, ask)| bid.mid(ask))
    }
}

/// Who crossed the spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggressor {
    /// Price at or above a valid ask.
    Buyer,
    /// Price at or below a valid bid.
    Seller,
    /// Neither, both, or no valid quote.
    Neutral,
}

/// Open, high, low and close over eligible prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ohlc {
    /// First eligible price.
    pub open: Points,
    /// Highest eligible price.
    pub high: Points,
    /// Lowest eligible price.
    pub low: Points,
    /// Last eligible price.
    pub close: Points,
}

/// A bar over a fixed interval, with the sums from which every ratio is computed when shown, so that bars add up
/// exactly: a minute built from its seconds equals a minute built from ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Microbar {
    /// Start of the interval; the bar's key.
    pub ts_open: UtcNanos,
    /// Null when no eligible print fell in the bar (average-price prints alone still add volume).
    pub ohlc: Option<Ohlc>,
    /// Shares traded in eligible prints; 0 for an index.
    pub volume: u64,
    /// Prints that added volume or, for an index, set a value.
    pub trades: u32,
    /// Volume at or above the ask.
    pub buy_volume: u64,
    /// Volume at or below the bid.
    pub sell_volume: u64,
    /// The rest of the volume.
    pub neutral_volume: u64,
    /// Prints that count everywhere.
    pub ticks: u32,
    /// Of these, those on a valid and fresh quote.
    pub quoted_ticks: u32,
    /// Sum of bid sizes over quoted ticks with both sizes.
    pub bid_size_sum: u64,
    /// Sum of ask sizes over the same ticks.
    pub ask_size_sum: u64,
    /// Sum over quoted ticks of 1e4 x (ask - bid)/mid, in 1e-6 basis points, each rounded half to even.
    pub spread_sum: i64,
    /// Bid size standing at the end of the bar's last second with prints.
    pub bid_size_at_close: Option<u32>,
    /// Ask size standing at the same instant.
    pub ask_size_at_close: Option<u32>,
}

impl Microbar {
    /// A bar without a print.
    pub const fn empty(ts_open: UtcNanos) -> Self {
        Self {
            ts_open,
            ohlc: None,
            volume: 0,
            trades: 0,
            buy_volume: 0,
            sell_volume: 0,
            neutral_volume: 0,
            ticks: 0,
            quoted_ticks: 0,
            bid_size_sum: 0,
            ask_size_sum: 0,
            spread_sum: 0,
            bid_size_at_close: None,
            ask_size_at_close: None,
        }
    }

    /// Buy less sell volume.
    pub const fn delta_volume(&self) -> i64 {
        self.buy_volume as i64 - self.sell_volume as i64
    }

    /// (B - A)/(B + A) over summed sizes, in [-1, 1]; `None` when B + A = 0.
    pub fn bid_ask_imbalance(&self) -> Option<f64> {
        ratio(
            self.bid_size_sum as f64 - self.ask_size_sum as f64,
            self.bid_size_sum as f64 + self.ask_size_sum as f64,
        )
    }

    /// Ask size over bid size at the close; `None` without a bid size or with 0.
    pub fn ask_bid_size_ratio(&self) -> Option<f64> {
        ratio(f64::from(self.ask_size_at_close?), f64::from(self.bid_size_at_close?))
    }

    /// 100 x quoted ticks / ticks; `None` for a bar without ticks.
    pub fn quote_coverage_pct(&self) -> Option<f64> {
        ratio(100.0 * f64::from(self.quoted_ticks), f64::from(self.ticks))
    }

    /// Mean spread over quoted ticks in basis points; `None` without quotes.
    pub fn avg_spread_bps(&self) -> Option<f64> {
        ratio(self.spread_sum as f64 / 1e6, f64::from(self.quoted_ticks))
    }

    /// (buy - sell)/(buy + sell) in [-1, 1]; `None` when both are 0.
    pub fn aggressor_skew(&self) -> Option<f64> {
        ratio(self.delta_volume() as f64, self.buy_volume as f64 + self.sell_volume as f64)
    }
}

/// `numerator / denominator`, absent rather than NaN for a denominator of 0.
fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    if denominator > 0.0 { Some(numerator / denominator) } else { None }
}

/// High, low and close of the session before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriorDay {
    /// Its high.
    pub high: Points,
    /// Its low.
    pub low: Points,
    /// Its close.
    pub close: Points,
}

/// A series a source can quote, with the morning's open interest where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedSeries {
    /// The series.
    pub series: OccSymbol,
    /// Open interest of the morning.
    pub open_interest: Option<u32>,
}

/// What a source can do. Freshness limits are at least one step of its resolution; what it lacks is missing as
/// itself and closes the gate it feeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProfile {
    /// Kept with every decision: `generated:seed=7`, `recorded:2013-10-07`.
    pub name: String,
    /// The index the setups are on.
    pub index: Underlying,
    /// How the index was made where it is not the index itself: `SPY x 10`.
    pub index_note: Option<String>,
    /// Whose volume, quotes and sizes stand in for the index's, labelled `spy_proxy`; `None` where the source has none.
    pub proxy: Option<Underlying>,
    /// One step of the source in nanoseconds: a minute for minute bars, 1 for ticks.
    pub resolution_ns: i64,
    /// Whether its sequence numbers have no gaps unless something was lost.
    pub contiguous_sequence: bool,
    /// The session it covers.
    pub session: Session,
    /// The session before, where known.
    pub prior_day: Option<PriorDay>,
    /// What it quotes, sorted.
    pub series: Vec<ListedSeries>,
}

/// A source could not deliver: where it broke and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: expected {expected}")]
pub struct SourceError {
    /// The file, or the source's name.
    pub file: String,
    /// From 1; 0 where the file itself is the trouble.
    pub line: u64,
    /// From 1; 0 where the whole line is the trouble.
    pub column: u64,
    /// What should have stood there.
    pub expected: String,
}

/// A session's events in order of exchange time: generated, recorded or live.
pub trait MarketSource {
    /// What it can do.
    fn profile(&self) -> &SourceProfile;

    /// The next event; `None` at the end. Times never go back.
    ///
    /// # Errors
    /// [`SourceError`] where the source is broken; it delivers nothing after it.
    fn next_event(&mut self) -> Result<Option<MarketEvent>, SourceError>;
}

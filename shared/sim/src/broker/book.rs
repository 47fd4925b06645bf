//! What the sandbox knows of the market.

use std::collections::BTreeMap;

use domain::market::{ListedSeries, OptionQuote, Points, PrintCounts, Quote, Trade};
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

/// A series: its standing quote and what our accounts already took of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeriesState {
    /// The standing quote.
    pub quote: Option<OptionQuote>,
    /// Contracts our accounts sold to this bid.
    pub taken_bid: u32,
    /// Contracts our accounts bought from this ask.
    pub taken_ask: u32,
    /// Open interest of the morning.
    pub open_interest: Option<u32>,
    /// Contracts our accounts traded today: the feed tells of no option prints.
    pub volume: u32,
}

impl SeriesState {
    /// Contracts left at the bid.
    pub fn bid_left(&self) -> u32 {
        self.quote.map_or(0, |it| it.bid_size.saturating_sub(self.taken_bid))
    }

    /// Contracts left at the ask.
    pub fn ask_left(&self) -> u32 {
        self.quote.map_or(0, |it| it.ask_size.saturating_sub(self.taken_ask))
    }

    /// Whether bid and ask are crossed, which executes nothing.
    pub fn crossed(&self) -> bool {
        self.quote.is_some_and(|it| matches!((it.bid, it.ask), (Some(bid), Some(ask)) if bid > ask))
    }
}

/// An index or a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnderlyingState {
    /// The first value of the session.
    pub open: Option<Points>,
    /// The last value.
    pub last: Option<Points>,
    /// When it was.
    pub last_at: Option<UtcNanos>,
    /// The highest.
    pub high: Option<Points>,
    /// The lowest.
    pub low: Option<Points>,
    /// The last value at or before the close.
    pub official: Option<Points>,
    /// Shares traded.
    pub volume: u64,
    /// Size of the last print.
    pub last_size: u32,
    /// The standing quote.
    pub quote: Option<Quote>,
    /// Shares our accounts sold to this bid.
    #[serde(default)]
    pub taken_bid: u32,
    /// Shares our accounts bought from this ask.
    #[serde(default)]
    pub taken_ask: u32,
}

/// Standing quotes and last values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    series: BTreeMap<OccSymbol, SeriesState>,
    underlyings: BTreeMap<Underlying, UnderlyingState>,
}

impl Book {
    /// A book that lists `series` without quotes.
    pub fn listing(series: &[ListedSeries]) -> Self {
        let mut book = Self::default();
        for listed in series {
            let state = SeriesState { open_interest: listed.open_interest, ..SeriesState::default() };
            book.series.insert(listed.series, state);
        }
        book
    }

    /// Takes a quote in; what was taken of the one before is forgotten.
    pub fn quote(&mut self, series: OccSymbol, quote: OptionQuote) {
        let state = self.series.entry(series).or_default();
        state.quote = Some(quote);
        state.taken_bid = 0;
        state.taken_ask = 0;
    }

    /// Takes a print in. Values up to `close` may become the settlement value.
    pub fn print(&mut self, underlying: Underlying, trade: Trade, close: UtcNanos) {
        if trade.counts != PrintCounts::Everywhere || trade.price.0 <= 0 {
            return;
        }
        let state = self.underlying_mut(underlying);
        state.open = state.open.or(Some(trade.price));
        state.last = Some(trade.price);
        state.last_at = Some(trade.ts);
        state.high = state.high.max(Some(trade.price));
        state.low = Some(state.low.map_or(trade.price, |low| low.min(trade.price)));
        state.volume = state.volume.saturating_add(u64::from(trade.size));
        state.last_size = trade.size;
        if trade.ts <= close {
            state.official = Some(trade.price);
        }
    }

    /// Takes a quote of an index or a share in.
    pub fn stock_quote(&mut self, underlying: Underlying, quote: Quote) {
        let state = self.underlying_mut(underlying);
        state.quote = Some(quote);
        state.taken_bid = 0;
        state.taken_ask = 0;
    }

    /// An underlying's state, to take from.
    pub fn underlying_mut(&mut self, underlying: Underlying) -> &mut UnderlyingState {
        self.underlyings.entry(underlying).or_default()
    }

    /// A series' state.
    pub fn series(&self, series: &OccSymbol) -> Option<&SeriesState> {
        self.series.get(series)
    }

    /// A series' state, to take from.
    pub fn series_mut(&mut self, series: &OccSymbol) -> Option<&mut SeriesState> {
        self.series.get_mut(series)
    }

    /// Every series, sorted.
    pub fn all_series(&self) -> impl Iterator<Item = (&OccSymbol, &SeriesState)> {
        self.series.iter()
    }

    /// An underlying's state.
    pub fn underlying(&self, symbol: &Underlying) -> Option<&UnderlyingState> {
        self.underlyings.get(symbol)
    }

    /// Starts a new session: yesterday's series and the day's extremes go.
    pub fn new_session(&mut self, listed: &[ListedSeries]) {
        let fresh = Self::listing(listed);
        self.series = fresh.series;
        self.underlyings.clear();
    }
}

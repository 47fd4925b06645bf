//! What the sandbox knows of the market.

use std::collections::{BTreeMap, BTreeSet};

use domain::calendar::Session;
use domain::market::{ListedSeries, OptionQuote, Points, PrintCounts, Quote, Trade};
use domain::symbol::{OccSymbol, Right, Root, Strike, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::market::{DayBar, Hourly, MinuteBar};

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
    /// What the hour's greeks are computed from.
    pub hourly: Option<Hourly>,
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
    /// Prints of the day, whatever they counted for.
    pub prints: u64,
    /// The standing quote.
    pub quote: Option<Quote>,
    /// Shares our accounts sold to this bid.
    #[serde(default)]
    pub taken_bid: u32,
    /// Shares our accounts bought from this ask.
    #[serde(default)]
    pub taken_ask: u32,
}

/// Standing quotes, last values, and what was before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    series: BTreeMap<OccSymbol, SeriesState>,
    underlyings: BTreeMap<Underlying, UnderlyingState>,
    /// The roots of each underlying's series.
    roots: BTreeMap<Underlying, BTreeSet<Root>>,
    /// The day's minutes, in order.
    minutes: BTreeMap<Underlying, Vec<MinuteBar>>,
    /// Days before this one, in order.
    days: BTreeMap<Underlying, Vec<DayBar>>,
    /// The close of the session before, where no whole day is known.
    closes: BTreeMap<Underlying, Points>,
}

impl Book {
    /// A book that lists `series` without quotes.
    pub fn listing(series: &[ListedSeries]) -> Self {
        let mut book = Self::default();
        for listed in series {
            let state = SeriesState { open_interest: listed.open_interest, ..SeriesState::default() };
            book.series.insert(listed.series, state);
            book.roots.entry(listed.series.underlying()).or_default().insert(listed.series.root);
        }
        book
    }

    /// Takes a quote in; what was taken of the one before is forgotten.
    pub fn quote(&mut self, series: OccSymbol, quote: OptionQuote) {
        let state = match self.series.get_mut(&series) {
            Some(state) => state,
            None => {
                self.roots.entry(series.underlying()).or_default().insert(series.root);
                self.series.entry(series).or_default()
            }
        };
        state.quote = Some(quote);
        state.taken_bid = 0;
        state.taken_ask = 0;
        if Hourly::is_due(state.hourly.as_ref(), quote.ts)
            && let Some(spot) = self.underlyings.get(&series.underlying()).and_then(|it| it.last)
            && let Some(hourly) = Hourly::of(&quote, spot)
        {
            state.hourly = Some(hourly);
        }
    }

    /// Takes a print in. Values up to `close` may become the settlement value.
    pub fn print(&mut self, underlying: Underlying, trade: Trade, close: UtcNanos) {
        let state = self.underlying_mut(underlying);
        state.prints = state.prints.saturating_add(1);
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
        MinuteBar::add(self.minutes.entry(underlying).or_default(), &trade);
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

    /// The roots of an underlying's series, sorted.
    pub fn roots(&self, underlying: Underlying) -> impl DoubleEndedIterator<Item = Root> + use<'_> {
        self.roots.get(&underlying).into_iter().flatten().copied()
    }

    /// The series of an underlying, by root, then sorted; of one expiration where that is given.
    pub fn series_of(
        &self,
        underlying: Underlying,
        expiry: Option<Date>,
    ) -> impl Iterator<Item = (&OccSymbol, &SeriesState)> + use<'_> {
        self.roots(underlying).flat_map(move |root| {
            let (first, last) = (expiry.unwrap_or(Date::MIN), expiry.unwrap_or(Date::MAX));
            let low = OccSymbol { root, expiry: first, right: Right::Call, strike: Strike(0) };
            let high = OccSymbol { root, expiry: last, right: Right::Put, strike: Strike(u32::MAX) };
            self.series.range(low..=high)
        })
    }

    /// Every underlying it knows of, sorted.
    pub fn underlyings(&self) -> BTreeSet<Underlying> {
        let known = self.underlyings.keys().chain(self.roots.keys()).chain(self.days.keys());
        known.chain(self.closes.keys()).copied().collect()
    }

    /// The day's minutes of an underlying, in order.
    pub fn minutes(&self, underlying: &Underlying) -> &[MinuteBar] {
        self.minutes.get(underlying).map_or(&[], Vec::as_slice)
    }

    /// The days before this one of an underlying, in order.
    pub fn days(&self, underlying: &Underlying) -> &[DayBar] {
        self.days.get(underlying).map_or(&[], Vec::as_slice)
    }

    /// The close of the session before.
    pub fn previous_close(&self, underlying: &Underlying) -> Option<Points> {
        let last = self.days(underlying).last().map(|it| it.close);
        last.or_else(|| self.closes.get(underlying).copied())
    }

    /// Learns the close of the session before.
    pub fn learn_close(&mut self, underlying: Underlying, close: Points) {
        self.closes.insert(underlying, close);
    }

    /// Learns days before this one.
    pub fn learn_days(&mut self, underlying: Underlying, mut days: Vec<DayBar>) {
        days.sort_unstable_by_key(|it| it.date);
        days.dedup_by_key(|it| it.date);
        self.days.insert(underlying, days);
    }

    /// An underlying's state.
    pub fn underlying(&self, symbol: &Underlying) -> Option<&UnderlyingState> {
        self.underlyings.get(symbol)
    }

    /// Starts a new session: yesterday's series go, and its extremes become a day of the past.
    pub fn new_session(&mut self, ended: &Session, listed: &[ListedSeries]) {
        for (underlying, state) in std::mem::take(&mut self.underlyings) {
            if let Some(day) = DayBar::of(ended.date, &state) {
                let days = self.days.entry(underlying).or_default();
                days.retain(|it| it.date != day.date);
                days.push(day);
            }
        }
        self.minutes.clear();
        let fresh = Self::listing(listed);
        self.series = fresh.series;
        self.roots = fresh.roots;
    }
}

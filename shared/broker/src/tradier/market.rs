//! Quotes, chains, what is listed, bars, clock and calendar.

use std::collections::BTreeMap;

use domain::chain::ChainRow;
use domain::market::OptionQuote;
use domain::ports::{BrokerError, Clock, MarketNow};
use domain::symbol::{OccSymbol, Root, Strike, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;

use super::Tradier;
use crate::budget::Group;
use crate::json::Unreadable;
use crate::rows::{self, Bar, CalendarMonth, Expiration, GreekRow, MarketClock, Quotes, SaleBar};
use crate::transport::{Method, Transport};

/// Symbols in one GET for quotes: keeps the query under five kilobytes.
const GET_MAX: usize = 200;
/// Symbols in one POST for quotes.
const POST_MAX: usize = 1_000;

/// How so many symbols are asked for.
const fn method_for(symbols: usize) -> Method {
    if symbols <= GET_MAX { Method::Get } else { Method::Post }
}

/// How many symbols one request takes.
const fn chunk_of(method: Method) -> usize {
    match method {
        Method::Get | Method::Put | Method::Delete => GET_MAX,
        Method::Post => POST_MAX,
    }
}

/// How long a daily bar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarLength {
    /// A day.
    Daily,
    /// A week.
    Weekly,
    /// A month.
    Monthly,
}

/// How long a bar within the day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaleLength {
    /// Each print. Live only, five days back.
    Tick,
    /// A minute, 20 days back.
    OneMinute,
    /// Five minutes, 40 days back.
    FiveMinutes,
    /// A quarter of an hour, 40 days back.
    FifteenMinutes,
}

impl<T: Transport, C: Clock> Tradier<T, C> {
    /// Quotes of any symbols, and those the broker does not know. Up to 200 go by GET, more by POST, which only reads.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn symbol_quotes(&self, symbols: &[&str]) -> Result<Quotes, BrokerError> {
        let mut all = Quotes::default();
        let method = method_for(symbols.len());
        for part in symbols.chunks(chunk_of(method)) {
            let query = [("symbols", part.join(",")), ("greeks", "false".to_owned())];
            let mut part = self.quotes_of(method, &query, rows::symbol_quotes).await?;
            all.found.append(&mut part.found);
            all.unmatched.append(&mut part.unmatched);
        }
        Ok(all)
    }

    /// The NBBO of each series, in the order asked.
    pub(super) async fn option_quotes(
        &self,
        series: &[OccSymbol],
    ) -> Result<Vec<Option<OptionQuote>>, BrokerError> {
        let mut found = BTreeMap::new();
        let method = method_for(series.len());
        for part in series.chunks(chunk_of(method)) {
            let symbols: Vec<String> = part.iter().map(OccSymbol::to_string).collect();
            let query = [("symbols", symbols.join(",")), ("greeks", "false".to_owned())];
            found.extend(self.quotes_of(method, &query, rows::quotes).await?);
        }
        Ok(series.iter().map(|it| found.get(it).copied()).collect())
    }

    /// The NBBO of a series and the index behind it.
    pub(super) async fn market_of(&self, series: OccSymbol) -> Result<MarketNow, BrokerError> {
        let query =
            [("symbols", format!("{series},{}", series.underlying())), ("greeks", "false".to_owned())];
        self.quotes_of(Method::Get, &query, |body| rows::market(body, &series)).await
    }

    /// Asks for quotes: in the query, or, when there are too many for one, in a form.
    async fn quotes_of<R>(
        &self,
        method: Method,
        fields: &[(&str, String)],
        parse: impl FnOnce(&str) -> Result<R, Unreadable>,
    ) -> Result<R, BrokerError> {
        let path = "/v1/markets/quotes".to_owned();
        if method == Method::Get {
            return self.read(Group::Market, path, fields, parse).await;
        }
        let mut request = self.request(method, path);
        request.form = super::owned(fields);
        let reply = self.send(Group::Market, self.reads, &request).await?;
        self.body(Group::Market, &reply, parse)
    }

    /// The option chain of one expiration, sorted by series; of `root` alone where one is given. Without greeks: the
    /// broker's are an hour old.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn chain(
        &self,
        underlying: Underlying,
        expiration: Date,
        root: Option<Root>,
    ) -> Result<Vec<ChainRow>, BrokerError> {
        self.chain_of(underlying, expiration, false, |body| rows::chain(body, root)).await
    }

    /// The option chain with the broker's greeks; see [`Tradier::chain`].
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn chain_with_greeks(
        &self,
        underlying: Underlying,
        expiration: Date,
        root: Option<Root>,
    ) -> Result<Vec<GreekRow>, BrokerError> {
        self.chain_of(underlying, expiration, true, |body| rows::chain_with_greeks(body, root)).await
    }

    async fn chain_of<R>(
        &self,
        underlying: Underlying,
        expiration: Date,
        greeks: bool,
        parse: impl FnOnce(&str) -> Result<R, Unreadable>,
    ) -> Result<R, BrokerError> {
        let query = [
            ("symbol", underlying.to_string()),
            ("expiration", expiration.to_string()),
            ("greeks", greeks.to_string()),
        ];
        self.read(Group::Market, "/v1/markets/options/chains".to_owned(), &query, parse).await
    }

    /// Expirations of every root of `underlying`, with their strikes where asked.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn expirations(
        &self,
        underlying: Underlying,
        strikes: bool,
    ) -> Result<Vec<Expiration>, BrokerError> {
        let query = [
            ("symbol", underlying.to_string()),
            // Without it the dates that only SPXW has are missing.
            ("includeAllRoots", "true".to_owned()),
            ("strikes", strikes.to_string()),
            ("contractSize", "true".to_owned()),
            ("expirationType", "true".to_owned()),
        ];
        self.read(Group::Market, "/v1/markets/options/expirations".to_owned(), &query, rows::expirations)
            .await
    }

    /// Strikes of one expiration, all roots mixed, sorted.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn strikes(
        &self,
        underlying: Underlying,
        expiration: Date,
    ) -> Result<Vec<Strike>, BrokerError> {
        let query = [("symbol", underlying.to_string()), ("expiration", expiration.to_string())];
        self.read(Group::Market, "/v1/markets/options/strikes".to_owned(), &query, rows::strikes).await
    }

    /// Every listed series of `underlying` by root.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn lookup(&self, underlying: Underlying) -> Result<Vec<(Root, Vec<OccSymbol>)>, BrokerError> {
        let query = [("underlying", underlying.to_string())];
        self.read(Group::Market, "/v1/markets/options/lookup".to_owned(), &query, rows::lookup).await
    }

    /// Bars of days and longer of `symbol`, from `start` to `end`.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn bars(
        &self,
        symbol: &str,
        length: BarLength,
        start: Date,
        end: Date,
    ) -> Result<Vec<Bar>, BrokerError> {
        let interval = match length {
            BarLength::Daily => "daily",
            BarLength::Weekly => "weekly",
            BarLength::Monthly => "monthly",
        };
        let query = [
            ("symbol", symbol.to_owned()),
            ("interval", interval.to_owned()),
            ("start", start.to_string()),
            ("end", end.to_string()),
        ];
        self.read(Group::Market, "/v1/markets/history".to_owned(), &query, rows::bars).await
    }

    /// Time and sales of `symbol` from `start` to `end`, in the session alone.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn sales(
        &self,
        symbol: &str,
        length: SaleLength,
        start: UtcNanos,
        end: UtcNanos,
    ) -> Result<Vec<SaleBar>, BrokerError> {
        let interval = match length {
            SaleLength::Tick => "tick",
            SaleLength::OneMinute => "1min",
            SaleLength::FiveMinutes => "5min",
            SaleLength::FifteenMinutes => "15min",
        };
        // New York wall time, to the minute.
        let wall = |at: UtcNanos| at.new_york().strftime("%Y-%m-%d %H:%M").to_string();
        let query = [
            ("symbol", symbol.to_owned()),
            ("interval", interval.to_owned()),
            ("start", wall(start)),
            ("end", wall(end)),
            ("session_filter", "open".to_owned()),
        ];
        self.read(Group::Market, "/v1/markets/timesales".to_owned(), &query, rows::sales).await
    }

    /// The broker's clock. It is the equity market's: index options go on after its close.
    ///
    /// # Errors
    /// [`BrokerError`] as every read.
    pub async fn market_clock(&self) -> Result<MarketClock, BrokerError> {
        self.read(Group::Market, "/v1/markets/clock".to_owned(), &[], rows::clock).await
    }

    /// A month of the broker's calendar, which is the equity market's.
    ///
    /// # Errors
    /// [`BrokerError::Broken`] also for an answer about another month.
    pub async fn calendar(&self, year: i16, month: i8) -> Result<CalendarMonth, BrokerError> {
        let query = [("month", month.to_string()), ("year", year.to_string())];
        let found =
            self.read(Group::Market, "/v1/markets/calendar".to_owned(), &query, rows::calendar).await?;
        if (found.year, found.month) == (year, month) {
            Ok(found)
        } else {
            let reason = format!("asked for {year}-{month:02}, got {}-{:02}", found.year, found.month);
            Err(BrokerError::Broken { reason })
        }
    }
}

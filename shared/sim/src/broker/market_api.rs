//! Market data over the session's book (TRADIER.md section 15).

use std::collections::BTreeSet;
use std::str::FromStr;

use domain::calendar::{DayKind, day_kind};
use domain::market::{Points, QuoteSide};
use domain::money::Price;
use domain::symbol::{OccSymbol, Right, Root, Underlying};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{Date, time};
use serde::Serialize;

use super::Sandbox;
use super::answer::Answer;
use super::book::{SeriesState, UnderlyingState};
use super::params::{Invalid, Params};
use super::shape::{Collapsed, Under, description};

/// A quote row; options carry the second half too.
#[derive(Serialize)]
struct QuoteRow {
    symbol: String,
    description: String,
    exch: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    last: Option<f64>,
    change: Option<f64>,
    volume: u64,
    open: Option<f64>,
    high: Option<f64>,
    low: Option<f64>,
    close: Option<f64>,
    bid: f64,
    ask: f64,
    #[serde(flatten)]
    option: Option<OptionPart>,
    change_percentage: Option<f64>,
    average_volume: u64,
    last_volume: u64,
    trade_date: i64,
    prevclose: Option<f64>,
    week_52_high: f64,
    week_52_low: f64,
    bidsize: u32,
    bidexch: &'static str,
    bid_date: i64,
    asksize: u32,
    askexch: &'static str,
    ask_date: i64,
    #[serde(flatten)]
    contract: Option<ContractPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_symbols: Option<String>,
}

#[derive(Serialize)]
struct OptionPart {
    underlying: Underlying,
    strike: f64,
}

#[derive(Serialize)]
struct ContractPart {
    open_interest: u32,
    contract_size: u32,
    expiration_date: Date,
    expiration_type: &'static str,
    option_type: &'static str,
    root_symbol: Root,
    /// Asked for and not had: the sandbox computes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    greeks: Option<()>,
}

#[derive(Serialize)]
struct Quotes {
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<Several<QuoteRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unmatched_symbols: Option<Under<Several<String>>>,
}

/// An owned list that collapses.
struct Several<T>(Vec<T>);

impl<T> Several<T> {
    fn some(items: Vec<T>) -> Option<Self> {
        if items.is_empty() { None } else { Some(Self(items)) }
    }
}

impl<T: Serialize> Serialize for Several<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Collapsed(&self.0).serialize(to)
    }
}

#[derive(Serialize)]
struct Expiration {
    date: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strikes: Option<Under<Several<f64>>>,
}

#[derive(Serialize)]
struct Lookup {
    #[serde(rename = "rootSymbol")]
    root: Root,
    options: Vec<String>,
}

#[derive(Serialize)]
struct ClockRow {
    date: Date,
    description: String,
    state: &'static str,
    timestamp: i64,
    next_change: &'static str,
    next_state: &'static str,
}

impl Sandbox {
    pub(super) fn market_route(&self, path: &[&str], params: &Params<'_>) -> Result<Answer, Invalid> {
        match path {
            ["options", "chains"] => self.chain(params),
            ["options", "expirations"] => self.expirations(params),
            ["options", "strikes"] => self.strikes(params),
            ["options", "lookup"] => self.lookup(params),
            ["clock"] => Ok(self.clock()),
            ["calendar"] => self.calendar(params),
            ["history"] => Ok(Answer::json(&Under("history", ()))),
            ["timesales"] => Ok(Answer::json(&Under("series", ()))),
            ["search" | "lookup" | "etb"] => Ok(Answer::json(&Under("securities", ()))),
            _ => Ok(Answer::text(404, &format!("Not found: GET /markets/{}", path.join("/")))),
        }
    }

    pub(super) fn quotes(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let symbols = params.need("symbols")?;
        let greeks = params.flag("greeks")?;
        let (mut rows, mut unmatched) = (Vec::new(), Vec::new());
        for symbol in symbols.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match self.quote_row(symbol, greeks) {
                Some(row) => rows.push(row),
                None => unmatched.push(symbol.to_owned()),
            }
        }
        let unmatched = Several::some(unmatched).map(|it| Under("symbol", it));
        let quotes = Quotes { quote: Several::some(rows), unmatched_symbols: unmatched };
        Ok(Answer::json(&Under("quotes", quotes)))
    }

    fn quote_row(&self, symbol: &str, greeks: bool) -> Option<QuoteRow> {
        if let Ok(series) = OccSymbol::from_str(symbol) {
            return self.book.series(&series).map(|state| option_row(&series, state, greeks));
        }
        let underlying = Underlying::from_str(symbol).ok()?;
        self.book.underlying(&underlying).map(|state| self.stock_row(underlying, state))
    }

    fn stock_row(&self, underlying: Underlying, state: &UnderlyingState) -> QuoteRow {
        let points = |it: Option<Points>| it.map(Points::to_f64);
        let side =
            |it: Option<QuoteSide>| it.map_or((0.0, 0), |it| (it.price.to_f64(), it.size.unwrap_or(0)));
        let quoted = state.quote.map_or(0, |it| it.ts.millis());
        let (bid, ask) = (side(state.quote.and_then(|it| it.bid)), side(state.quote.and_then(|it| it.ask)));
        let exchange = if underlying.is_index() { "C" } else { "Q" };
        let roots: BTreeSet<Root> = self.series_of(underlying).map(|(series, _)| series.root).collect();
        let roots: Vec<String> = roots.iter().rev().map(Root::to_string).collect();
        QuoteRow {
            symbol: underlying.to_string(),
            description: underlying.to_string(),
            exch: exchange,
            kind: if underlying.is_index() { "index" } else { "etf" },
            last: points(state.last),
            change: None,
            volume: state.volume,
            open: points(state.open),
            high: points(state.high),
            low: points(state.low),
            close: if self.now >= self.session.close { points(state.official) } else { None },
            bid: bid.0,
            ask: ask.0,
            option: None,
            change_percentage: None,
            average_volume: 0,
            last_volume: u64::from(state.last_size),
            trade_date: state.last_at.map_or(0, UtcNanos::millis),
            prevclose: None,
            week_52_high: 0.0,
            week_52_low: 0.0,
            bidsize: bid.1,
            bidexch: exchange,
            bid_date: quoted,
            asksize: ask.1,
            askexch: exchange,
            ask_date: quoted,
            contract: None,
            root_symbols: (!roots.is_empty()).then(|| roots.join(",")),
        }
    }

    fn series_of(&self, underlying: Underlying) -> impl Iterator<Item = (&OccSymbol, &SeriesState)> {
        self.book.all_series().filter(move |(series, _)| series.underlying() == underlying)
    }

    fn chain(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let (underlying, date) = (symbol(params, "symbol")?, expiration(params)?);
        let greeks = params.flag("greeks")?;
        let rows = self.series_of(underlying).filter(|(series, _)| series.expiry == date);
        let rows: Vec<_> = rows.map(|(series, state)| option_row(series, state, greeks)).collect();
        let rows = Several::some(rows).map(|it| Under("option", it));
        Ok(Answer::json(&Under("options", rows)))
    }

    fn expirations(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let underlying = symbol(params, "symbol")?;
        let all_roots = params.flag("includeAllRoots")?;
        let (strikes, size) = (params.flag("strikes")?, params.flag("contractSize")?);
        let kind = params.flag("expirationType")?;
        let listed = || {
            let rows = self.series_of(underlying).map(|(series, _)| series);
            rows.filter(move |series| all_roots || series.root.as_str() == underlying.as_str())
        };
        let dates: BTreeSet<Date> = listed().map(|series| series.expiry).collect();
        if !(strikes || size || kind) {
            let dates = Several::some(dates.into_iter().collect()).map(|it| Under("date", it));
            return Ok(Answer::json(&Under("expirations", dates)));
        }
        let row = |date: Date| {
            let of_date: Vec<&OccSymbol> = listed().filter(|it| it.expiry == date).collect();
            let weekly = of_date.iter().any(|it| it.root.as_str() != underlying.as_str());
            let levels: BTreeSet<_> = of_date.iter().map(|it| it.strike).collect();
            let levels = levels.iter().map(|it| it.points()).collect();
            Expiration {
                date,
                contract_size: size.then_some(100),
                expiration_type: kind.then_some(if weekly { "weeklys" } else { "standard" }),
                strikes: strikes.then_some(Under("strike", Several(levels))),
            }
        };
        let rows = Several::some(dates.into_iter().map(row).collect()).map(|it| Under("expiration", it));
        Ok(Answer::json(&Under("expirations", rows)))
    }

    fn strikes(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let (underlying, date) = (symbol(params, "symbol")?, expiration(params)?);
        let listed = self.series_of(underlying).filter(|(series, _)| series.expiry == date);
        let strikes: BTreeSet<_> = listed.map(|(series, _)| series.strike).collect();
        let strikes = Several::some(strikes.iter().map(|it| it.points()).collect());
        Ok(Answer::json(&Under("strikes", strikes.map(|it| Under("strike", it)))))
    }

    fn lookup(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let underlying = symbol(params, "underlying")?;
        let roots: BTreeSet<Root> = self.series_of(underlying).map(|(series, _)| series.root).collect();
        let of = |root: Root| {
            let series = self.series_of(underlying).map(|(series, _)| series).filter(|it| it.root == root);
            Lookup { root, options: series.map(OccSymbol::to_string).collect() }
        };
        let rows: Vec<Lookup> = roots.into_iter().map(of).collect();
        Ok(Answer::json(&Under("symbols", if rows.is_empty() { None } else { Some(rows) })))
    }

    fn clock(&self) -> Answer {
        let close = if self.session.short { "13:00" } else { "16:00" };
        let at = |hour, minute| at_new_york(self.session.date, time(hour, minute, 0, 0));
        let now = self.now;
        let (state, next_change, next_state) = if now < at(7, 0) {
            ("closed", "07:00", "premarket")
        } else if now < self.session.open {
            ("premarket", "09:30", "open")
        } else if now < self.session.close {
            ("open", close, "postmarket")
        } else if now < at(20, 0) {
            ("postmarket", "20:00", "closed")
        } else {
            ("closed", "07:00", "premarket")
        };
        let description = if state == "open" {
            format!("Market is open from 09:30 to {close}")
        } else {
            "Market is closed".to_owned()
        };
        let date = self.session.date;
        Answer::json(&Under(
            "clock",
            ClockRow { date, description, state, timestamp: now.secs(), next_change, next_state },
        ))
    }

    fn calendar(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let today = self.session.date;
        let number = |name: &str, default: i16| match params.get(name) {
            None => Ok(default),
            Some(text) => text.parse::<i16>().map_err(|_| Invalid::new(name, "is not valid.")),
        };
        let (year, month) = (number("year", today.year())?, number("month", i16::from(today.month()))?);
        let month = i8::try_from(month).map_err(|_| Invalid::new("month", "is not valid."))?;
        let first = Date::new(year, month, 1).map_err(|_| Invalid::new("month", "is not valid."))?;
        let days = first.series(jiff::Span::new().days(1)).take_while(|it| it.month() == month);
        let days: Vec<_> =
            days.filter_map(|day| day_kind(day).ok().map(|kind| CalendarDay::of(day, kind))).collect();
        #[derive(Serialize)]
        struct Calendar {
            month: i8,
            year: i16,
            days: Option<Under<Several<CalendarDay>>>,
        }
        let days = Several::some(days).map(|it| Under("day", it));
        Ok(Answer::json(&Under("calendar", Calendar { month, year, days })))
    }
}

#[derive(Serialize)]
struct Hours {
    start: &'static str,
    end: &'static str,
}

#[derive(Serialize)]
struct CalendarDay {
    date: Date,
    status: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    premarket: Option<Hours>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Hours>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postmarket: Option<Hours>,
}

impl CalendarDay {
    fn of(date: Date, kind: DayKind) -> Self {
        let (close, end) = match kind {
            DayKind::Full => ("16:00", "20:00"),
            DayKind::Short => ("13:00", "17:00"),
            DayKind::Closed => {
                let (premarket, open, postmarket) = (None, None, None);
                return Self {
                    date,
                    status: "closed",
                    description: "Market is closed",
                    premarket,
                    open,
                    postmarket,
                };
            }
        };
        Self {
            date,
            status: "open",
            description: "Market is open",
            premarket: Some(Hours { start: "07:00", end: "09:24" }),
            open: Some(Hours { start: "09:30", end: close }),
            postmarket: Some(Hours { start: close, end }),
        }
    }
}

fn symbol(params: &Params<'_>, name: &str) -> Result<Underlying, Invalid> {
    let text = params.need(name)?;
    let root: Root = text.parse().map_err(|_| Invalid::new(name, "is not valid"))?;
    // The root SPXW means its index here, as in orders.
    Ok(root.underlying())
}

fn expiration(params: &Params<'_>) -> Result<Date, Invalid> {
    let text = params.need("expiration")?;
    text.parse().map_err(|_| Invalid::new("expiration", "must be a date such as 2026-11-20."))
}

fn option_row(series: &OccSymbol, state: &SeriesState, greeks: bool) -> QuoteRow {
    let quoted = state.quote.map_or(0, |it| it.ts.millis());
    let price = |it: Option<Price>| it.map_or(0.0, Price::to_f64);
    let quote = state.quote;
    let exchange = if series.underlying().is_index() { "C" } else { "Q" };
    let standard = series.root.as_str() == series.underlying().as_str();
    QuoteRow {
        symbol: series.to_string(),
        description: description(series),
        exch: exchange,
        kind: "option",
        last: None,
        change: None,
        volume: u64::from(state.volume),
        open: None,
        high: None,
        low: None,
        close: None,
        bid: price(quote.and_then(|it| it.bid)),
        ask: price(quote.and_then(|it| it.ask)),
        option: Some(OptionPart { underlying: series.underlying(), strike: series.strike.points() }),
        change_percentage: None,
        average_volume: 0,
        last_volume: 0,
        trade_date: 0,
        prevclose: None,
        week_52_high: 0.0,
        week_52_low: 0.0,
        bidsize: quote.map_or(0, |it| it.bid_size),
        bidexch: exchange,
        bid_date: quoted,
        asksize: quote.map_or(0, |it| it.ask_size),
        askexch: exchange,
        ask_date: quoted,
        contract: Some(ContractPart {
            open_interest: state.open_interest.unwrap_or(0),
            contract_size: 100,
            expiration_date: series.expiry,
            expiration_type: if standard { "standard" } else { "weeklys" },
            option_type: match series.right {
                Right::Call => "call",
                Right::Put => "put",
            },
            root_symbol: series.root,
            greeks: greeks.then_some(()),
        }),
        root_symbols: None,
    }
}

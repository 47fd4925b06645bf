//! SPX by the minute with the real quotes of the series recorded that day.

use std::collections::BTreeMap;
use std::path::Path;
use std::vec::IntoIter;

use domain::market::{
    ListedSeries, MarketEvent, MarketSource, OptionQuote, PrintCounts, SourceError, SourceProfile, Trade,
};
use domain::money::Price;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use jiff::civil::Date;

use super::table::Table;
use super::{daily, day, has_date, not_recorded, session_of};

pub(super) const INDEX: &str = "spx_index_1m.csv.gz";
pub(super) const OPTIONS: &str = "option_minute_quotes.csv.gz";
const OPEN_INTEREST: &str = "option_open_interest.csv.gz";
const MINUTE: i64 = 60 * NANOS_PER_SEC;

/// A session of minute bars: one index print and one quote of each recorded series at each minute's end.
///
/// There is no proxy: what specs 1 and 2 take from SPY is missing and closes the gates it feeds. A day has a few
/// thousand rows, so all of it is read at once.
#[derive(Debug, Clone)]
pub struct SpxMinutes {
    profile: SourceProfile,
    events: IntoIter<MarketEvent>,
}

impl SpxMinutes {
    /// Reads the session of `date`.
    ///
    /// # Errors
    /// [`SourceError`] where a file is missing or malformed or has no rows of `date`.
    pub fn open(dir: &Path, date: Date) -> Result<Self, SourceError> {
        let session = session_of(INDEX, date)?;
        if !has_date(dir, INDEX, date)? || !has_date(dir, OPTIONS, date)? {
            return Err(not_recorded(dir, date));
        }
        // Quotes stand before the prints of their instant: the stable sort keeps that order.
        let mut events = option_quotes(dir, date)?;
        let open_interest = open_interest(dir, date)?;
        let mut series: BTreeMap<OccSymbol, Option<u32>> = BTreeMap::new();
        for event in &events {
            if let MarketEvent::OptionQuote(it, _) = event {
                series.entry(*it).or_insert_with(|| open_interest.get(it).copied());
            }
        }
        events.extend(index_prints(dir, date)?);
        events.sort_by_key(MarketEvent::ts);
        let listed = |(series, open_interest)| ListedSeries { series, open_interest };
        let profile = SourceProfile {
            name: format!("recorded:{date}"),
            index: Underlying::SPX,
            index_note: None,
            proxy: None,
            resolution_ns: MINUTE,
            contiguous_sequence: false,
            session,
            prior_day: daily::day_before(dir, &session, "SPX")?,
            series: series.into_iter().map(listed).collect(),
        };
        Ok(Self { profile, events: events.into_iter() })
    }
}

impl MarketSource for SpxMinutes {
    fn profile(&self) -> &SourceProfile {
        &self.profile
    }

    fn next_event(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        Ok(self.events.next())
    }
}

/// A minute bar is known at its last nanosecond.
const fn end_of_minute(ts_open: UtcNanos) -> UtcNanos {
    UtcNanos(ts_open.0.saturating_add(MINUTE - 1))
}

fn index_prints(dir: &Path, date: Date) -> Result<Vec<MarketEvent>, SourceError> {
    let (from, until) = day(date);
    let mut table = Table::open(dir, INDEX, &["ts_open", "close"])?;
    let mut prints = Vec::new();
    while let Some(ts) = table.next()? {
        if ts >= until {
            break;
        }
        if ts < from {
            continue;
        }
        let price = table.points(1)?;
        let price = table.must(1, price, "the bar's closing value")?;
        let counts = PrintCounts::Everywhere;
        let trade = Trade { ts: end_of_minute(ts), sequence: None, price, size: 0, counts };
        prints.push(MarketEvent::Trade(Underlying::SPX, trade));
    }
    Ok(prints)
}

fn option_quotes(dir: &Path, date: Date) -> Result<Vec<MarketEvent>, SourceError> {
    let (from, until) = day(date);
    let columns = &["ts_open", "osi", "bid_close", "bid_size", "ask_close", "ask_size"];
    let mut table = Table::open(dir, OPTIONS, columns)?;
    let mut quotes = Vec::new();
    while let Some(ts) = table.next()? {
        if ts >= until {
            break;
        }
        if ts < from {
            continue;
        }
        let series = occ_symbol(&table, 1)?;
        // A price of nothing is nobody's: it stands in the data where a side is empty.
        let price = |i| -> Result<Option<Price>, SourceError> {
            let price = table.read(i, "a decimal premium", |it| Price::parse(it).ok())?;
            Ok(price.filter(|it| *it > Price::ZERO))
        };
        let (bid, ask) = (price(2)?, price(4)?);
        let size = |i, there: bool| -> Result<u32, SourceError> {
            Ok(table.count(i)?.filter(|_| there).unwrap_or_default())
        };
        let quote = OptionQuote {
            ts: end_of_minute(ts),
            bid,
            ask,
            bid_size: size(3, bid.is_some())?,
            ask_size: size(5, ask.is_some())?,
        };
        quotes.push(MarketEvent::OptionQuote(series, quote));
    }
    Ok(quotes)
}

/// The morning's open interest of `date`, where the table is there and has it.
fn open_interest(dir: &Path, date: Date) -> Result<BTreeMap<OccSymbol, u32>, SourceError> {
    let mut held = BTreeMap::new();
    if !dir.join(OPEN_INTEREST).exists() {
        return Ok(held);
    }
    let (from, until) = day(date);
    let mut table = Table::open(dir, OPEN_INTEREST, &["ts", "osi", "open_interest"])?;
    while let Some(ts) = table.next()? {
        if ts < from || ts >= until {
            continue;
        }
        if let Some(count) = table.count(2)? {
            held.insert(occ_symbol(&table, 1)?, count);
        }
    }
    Ok(held)
}

fn occ_symbol(table: &Table, i: usize) -> Result<OccSymbol, SourceError> {
    let expected = "an OCC option symbol such as SPXW210104C03700000";
    let series = table.read(i, expected, |it| it.parse().ok())?;
    table.must(i, series, expected)
}

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use domain::market::{MarketEvent, OptionQuote, Points, PrintCounts, Trade};
use domain::money::TickGrid;
use domain::symbol::{Right, Underlying};
use domain::time::NANOS_PER_SEC;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::date;

use super::equity::counts;
use super::*;

/// The recorded data lie beside the checkout, not in it.
fn data() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    if path.join(spy_ticks::TRADES).exists() {
        return Some(path);
    }
    println!("skipped: no recorded sessions at {}", path.display());
    None
}

fn events(mut source: Box<dyn MarketSource>) -> Vec<MarketEvent> {
    std::iter::from_fn(|| source.next_event().unwrap()).collect()
}

fn trades(events: &[MarketEvent], of: Underlying) -> Vec<Trade> {
    let trade = |it: &MarketEvent| match it {
        MarketEvent::Trade(symbol, it) if *symbol == of => Some(*it),
        MarketEvent::Trade(..) | MarketEvent::Quote(..) | MarketEvent::OptionQuote(..) => None,
    };
    events.iter().filter_map(trade).collect()
}

#[test]
fn the_day_of_ticks_has_every_print_an_index_of_ten_spy_and_a_chain_around_it() {
    let Some(dir) = data() else { return };
    let source = open_recorded(&dir, date(2013, 10, 7)).unwrap();
    let profile = source.profile().clone();
    assert_eq!(profile.index_note.as_deref(), Some("SPY x 10"));
    assert_eq!(profile.prior_day.map(|it| it.close), Some(Points::parse("1688.90").unwrap()));
    let events = events(source);
    assert!(events.is_sorted_by_key(MarketEvent::ts), "times never go back");
    let spy = trades(&events, Underlying::SPY);
    let quotes = events.iter().filter(|it| matches!(it, MarketEvent::Quote(..))).count();
    assert_eq!((spy.len(), quotes), (250_601, 27_409));
    let kinds = |counts| spy.iter().filter(|it| it.counts == counts).count();
    assert_eq!((kinds(PrintCounts::Nowhere), kinds(PrintCounts::VolumeOnly)), (4, 299));
    let index = trades(&events, Underlying::SPX);
    assert!(index.len() > 10_000 && index.iter().all(|it| profile.session.holds(it.ts) && it.size == 0));
    // Each value is ten times the last counted print of its own second.
    let last: BTreeMap<i64, Points> = spy
        .iter()
        .filter(|it| it.counts == PrintCounts::Everywhere)
        .map(|it| (it.ts.secs(), it.price))
        .collect();
    assert!(index.iter().all(|it| it.price.0 == 10 * last[&it.ts.secs()].0));
    chain_follows_the_index(&events);
}

/// Pairs near the money imply the index within a spread, on the grid, and are renewed through the day.
fn chain_follows_the_index(events: &[MarketEvent]) {
    let (mut index, mut seen) = (None, 0_u32);
    let mut calls: BTreeMap<u32, OptionQuote> = BTreeMap::new();
    for event in events {
        match event {
            MarketEvent::Trade(symbol, it) if *symbol == Underlying::SPX => index = Some(it.price.to_f64()),
            MarketEvent::Trade(..) | MarketEvent::Quote(..) => {}
            MarketEvent::OptionQuote(series, it) => {
                seen += 1;
                assert!(it.ask.is_some_and(|ask| TickGrid::FIVE_TEN.holds(ask)), "{series} {it:?}");
                if series.right == Right::Call {
                    calls.insert(series.strike.0, *it);
                } else if let (Some(call), Some(spot)) = (calls.get(&series.strike.0), index)
                    && let (Some(call_mid), Some(put_mid)) = (call.mid(), it.mid())
                {
                    let implied = series.strike.points() + call_mid - put_mid;
                    assert!((implied - spot).abs() < 2.0, "{series}: {implied}, index {spot}");
                }
            }
        }
    }
    assert!((20_000..600_000).contains(&seen), "{seen} option quotes");
}

#[test]
fn the_day_of_minutes_has_the_index_and_the_recorded_series_and_nothing_else() {
    let Some(dir) = data() else { return };
    let source = open_recorded(&dir, date(2021, 1, 4)).unwrap();
    let profile = source.profile().clone();
    assert_eq!((profile.proxy, profile.index_note.as_ref()), (None, None));
    assert_eq!(profile.resolution_ns, 60 * NANOS_PER_SEC);
    assert_eq!(profile.prior_day.map(|it| it.close.to_string()).as_deref(), Some("3756.0701"));
    let held = profile.series.iter().filter(|it| it.open_interest.is_some()).count();
    assert_eq!((profile.series.len(), held), (18, 15));
    let events = events(source);
    assert!(events.is_sorted_by_key(MarketEvent::ts), "times never go back");
    let index = trades(&events, Underlying::SPX);
    assert_eq!((index.len(), index[0].ts.to_string().as_str()), (411, "2021-01-04T14:30:59.999999999Z"));
    assert_eq!(index[0].price.to_string(), "3766.63");
    assert_eq!(events.len() - index.len(), 6_993);
    let quotes = events.iter().filter_map(|it| match it {
        MarketEvent::OptionQuote(series, quote) => Some((series.to_string(), quote)),
        MarketEvent::Trade(..) | MarketEvent::Quote(..) => None,
    });
    let worthless: Vec<_> = quotes.filter(|it| it.0 == "SPX210115C04250000").collect();
    assert!(worthless.iter().any(|(_, it)| it.bid.is_none() && it.bid_size == 0 && it.ask_size > 0));
    // The quotes of a minute stand before the index value of the same instant.
    let first_print = events.iter().position(|it| matches!(it, MarketEvent::Trade(..))).unwrap();
    assert!(first_print > 5 && events[..first_print].iter().all(|it| it.ts() == index[0].ts));
}

#[test]
fn a_recorded_day_plays_the_same_twice() {
    let Some(dir) = data() else { return };
    let play = || events(open_recorded(&dir, date(2013, 10, 7)).unwrap());
    assert!(play() == play());
}

#[test]
fn a_day_that_is_not_recorded_is_refused_with_the_days_that_are() {
    let Some(dir) = data() else { return };
    let error = open_recorded(&dir, date(2013, 10, 8)).map(drop).unwrap_err().to_string();
    for part in ["expected a recorded session of 2013-10-08", "2013-10-07", "2021-01-04"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn conditions_decide_what_a_print_counts_for() {
    for (conditions, suspicious, expected) in [
        (0x1, false, PrintCounts::Everywhere),
        (0x2000_0020, false, PrintCounts::Everywhere),
        (0x2010_0200, false, PrintCounts::VolumeOnly),
        (0x10_0000, false, PrintCounts::VolumeOnly),
        (0x200, false, PrintCounts::VolumeOnly),
        (0x400_0000, false, PrintCounts::Nowhere),
        (0x100_0000, false, PrintCounts::Nowhere),
        (0x1, true, PrintCounts::Nowhere),
    ] {
        assert_eq!(counts(conditions, suspicious), expected, "{conditions:x} suspicious {suspicious}");
    }
}

const TRADE_HEADER: &str = "ts_event,symbol,price,size,exchange,sale_condition_hex,suspicious\n";
const QUOTE_HEADER: &str = "ts_open,symbol,bid_close,bid_size,ask_close,ask_size\n";
const GOOD_TRADE: &str = "2013-10-07T13:30:00.464000000Z,SPY,167.41,100,P,1,0\n";
const GOOD_QUOTE: &str = "2013-10-07T13:30:00.000000000Z,SPY,167.40,100,,300\n";

/// A directory of its own with these files, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, files: &[(&str, Vec<u8>)]) -> Self {
        let path = std::env::temp_dir().join(format!("claxton-sources-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for (file, bytes) in files {
            std::fs::write(path.join(file), bytes).unwrap();
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn spy_day(name: &str, trades: Vec<u8>, quotes: Vec<u8>) -> Result<Vec<MarketEvent>, SourceError> {
    let folder = Folder::with(name, &[("spy_trades_tick.csv.gz", trades), ("spy_1s_quotes.csv.gz", quotes)]);
    open_recorded(&folder.0, date(2013, 10, 7)).map(events)
}

#[test]
fn a_small_day_without_daily_figures_plays_with_what_it_has() {
    let trades = gzip(&format!("{TRADE_HEADER}{GOOD_TRADE}"));
    let all = spy_day("small", trades, gzip(&format!("{QUOTE_HEADER}{GOOD_QUOTE}"))).unwrap();
    assert_eq!(all[0].ts().to_string(), "2013-10-07T13:30:00.464000000Z");
    let MarketEvent::Quote(_, quote) = all[1] else { panic!("{:?}", all[1]) };
    assert_eq!((quote.ask, quote.ts.to_string().as_str()), (None, "2013-10-07T13:30:00.999999999Z"));
    let MarketEvent::Trade(symbol, index) = all[2] else { panic!("{:?}", all[2]) };
    assert_eq!(
        (symbol, index.ts, index.price),
        (Underlying::SPX, quote.ts, Points::parse("1674.1").unwrap())
    );
    // One print is a flat index: its chain lives on until the close.
    let before_close = all.last().map(|it| {
        "2013-10-07T20:00:00Z".parse::<jiff::Timestamp>().unwrap().as_nanosecond() - i128::from(it.ts().0)
    });
    assert!(before_close.is_some_and(|it| (0..=31_000_000_000).contains(&it)), "{before_close:?}");
}

#[test]
fn every_malformed_file_is_named_with_line_column_and_what_was_expected() {
    let quotes = || gzip(&format!("{QUOTE_HEADER}{GOOD_QUOTE}"));
    let row = |row: &str| gzip(&format!("{TRADE_HEADER}{GOOD_TRADE}{row}\n"));
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 12);
        bytes
    };
    let cases = [
        (
            "price",
            row("2013-10-07T13:30:01.000000000Z,SPY,16x,100,P,1,0"),
            quotes(),
            "spy_trades_tick.csv.gz:3:3: expected price: a decimal price, found \"16x\"",
        ),
        (
            "size",
            row("2013-10-07T13:30:01.000000000Z,SPY,167.4,-5,P,1,0"),
            quotes(),
            "spy_trades_tick.csv.gz:3:4: expected size: a whole number, found \"-5\"",
        ),
        (
            "empty",
            row("2013-10-07T13:30:01.000000000Z,SPY,,5,P,1,0"),
            quotes(),
            "spy_trades_tick.csv.gz:3:3: expected price: a decimal price, found \"\"",
        ),
        (
            "condition",
            row("2013-10-07T13:30:01.000000000Z,SPY,167.4,5,P,xyz,0"),
            quotes(),
            "spy_trades_tick.csv.gz:3:6: expected sale_condition_hex: sale conditions as a hexadecimal bit mask, found \"xyz\"",
        ),
        (
            "time",
            row("yesterday,SPY,167.4,5,P,1,0"),
            quotes(),
            "spy_trades_tick.csv.gz:3:1: expected ts_event: a UTC time such as 2013-10-07T13:30:00.000000000Z, found \"yesterday\"",
        ),
        (
            "back",
            row("2013-10-07T13:29:59.000000000Z,SPY,167.4,5,P,1,0"),
            quotes(),
            "spy_trades_tick.csv.gz:3:1: expected ts_event: a time at or after 2013-10-07T13:30:00.464000000Z, the row before",
        ),
        (
            "cells",
            row("2013-10-07T13:30:01.000000000Z,SPY,167.4"),
            quotes(),
            "spy_trades_tick.csv.gz:3:0: expected 7 cells as in the header, found 3",
        ),
        (
            "header",
            gzip(&format!("{}{GOOD_TRADE}", TRADE_HEADER.replace("price", "px"))),
            quotes(),
            "spy_trades_tick.csv.gz:1:0: expected a column price in the header",
        ),
        ("cut", row(""), cut(quotes()), "spy_1s_quotes.csv.gz:"),
        (
            "bid",
            row(""),
            gzip(&format!("{QUOTE_HEADER}2013-10-07T13:30:00.000000000Z,SPY,a,1,,\n")),
            "spy_1s_quotes.csv.gz:2:3: expected bid_close: a decimal price, found \"a\"",
        ),
    ];
    for (name, trades, quotes, expected) in cases {
        let error = spy_day(name, trades, quotes).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{name}: {error}");
    }
}

#[test]
fn a_missing_file_is_named_with_its_place() {
    let nothing = Folder::with("nothing", &[]);
    let error = open_recorded(&nothing.0, date(2021, 1, 4)).map(drop).unwrap_err();
    assert_eq!((error.file.as_str(), error.line), ("spy_trades_tick.csv.gz", 0));
    assert!(error.expected.contains(&nothing.0.display().to_string()), "{error}");
    let trades = gzip(&format!("{TRADE_HEADER}{GOOD_TRADE}"));
    let half = Folder::with("half", &[("spy_trades_tick.csv.gz", trades)]);
    let error = open_recorded(&half.0, date(2013, 10, 7)).map(drop).unwrap_err();
    assert_eq!(error.file, "spy_1s_quotes.csv.gz");
}

//! The bars of recorded days against a reference that looks at every print and quote anew for each bar.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::time::UtcNanos;
use flate2::read::MultiGzDecoder;

use super::*;

/// The recorded data lie beside the checkout, not in it.
fn data() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no recorded sessions at {}", path.display());
    None
}

fn ask(trades: &Path, quotes: Option<&Path>, interval: Interval) -> MicrobarsArgs {
    let quotes = quotes.map(Path::to_owned);
    MicrobarsArgs { trades: trades.to_owned(), quotes, interval, option: false, csv: true, json: false }
}

fn run(ask: &MicrobarsArgs) -> (String, String) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    microbars(ask, &mut out, &mut notes).unwrap();
    (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap())
}

struct Recorded {
    names: csv::StringRecord,
    rows: Vec<csv::StringRecord>,
}

impl Recorded {
    fn read(path: &Path) -> Self {
        let mut reader = csv::Reader::from_reader(MultiGzDecoder::new(std::fs::File::open(path).unwrap()));
        let names = reader.headers().unwrap().clone();
        Self { names, rows: reader.records().map(|it| it.unwrap()).collect() }
    }

    /// What gives the cell of a row under `name`.
    fn column(&self, name: &str) -> impl Fn(&csv::StringRecord) -> String {
        let place = self.names.iter().position(|it| it == name).unwrap();
        move |row| row[place].to_owned()
    }
}

fn nanos(text: &str) -> i64 {
    UtcNanos::parse(text).unwrap().0
}

/// Decimal text as an integer of ten-thousandths.
fn e4(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    whole.parse::<i64>().unwrap() * 10_000 + format!("{fraction:0<4}").parse::<i64>().unwrap()
}

struct RefQuote {
    ts: i64,
    sides: Option<(i64, i64)>,
    bid_size: Option<i64>,
    ask_size: Option<i64>,
}

fn quotes(table: &Recorded, bars: bool) -> Vec<RefQuote> {
    let (time, bid, ask) =
        if bars { ("ts_open", "bid_close", "ask_close") } else { ("ts_event", "bid", "ask") };
    let [time, bid, ask, bid_size, ask_size] =
        [time, bid, ask, "bid_size", "ask_size"].map(|it| table.column(it));
    let price = |text: String| (!text.is_empty()).then(|| e4(&text));
    let quote = |row: &csv::StringRecord| {
        let (bid, ask) = (price(bid(row)), price(ask(row)));
        let sides = bid.zip(ask).filter(|(bid, ask)| *bid > 0 && *ask > 0 && ask >= bid);
        let ts = nanos(&time(row)) + if bars { 999_999_999 } else { 0 };
        RefQuote { ts, sides, bid_size: bid_size(row).parse().ok(), ask_size: ask_size(row).parse().ok() }
    };
    table.rows.iter().map(quote).collect()
}

/// The last quote strictly before `ts`, where it is valid and at most five seconds old.
fn standing(quotes: &[RefQuote], ts: i64) -> Option<&RefQuote> {
    let before = quotes.partition_point(|it| it.ts < ts).checked_sub(1)?;
    Some(&quotes[before]).filter(|it| it.sides.is_some() && ts - it.ts <= 5_000_000_000)
}

#[derive(Clone, Copy)]
struct RefPrint {
    ts: i64,
    price: i64,
    size: i64,
    counts: bool,
}

/// Half-even rounding of `n / d`.
fn half_even(n: i128, d: i128) -> i128 {
    let (q, r) = (n.div_euclid(d), n.rem_euclid(d));
    if 2 * r > d || (2 * r == d && q % 2 == 1) { q + 1 } else { q }
}

/// The bars of `step` seconds, as spec 1 defines each field, by looking at all prints of each bar.
fn reference(table: &Recorded, quotes: &[RefQuote], step: i64) -> Vec<Vec<String>> {
    let step = step * 1_000_000_000;
    let mut bars: BTreeMap<i64, Vec<RefPrint>> = BTreeMap::new();
    let names = ["ts_event", "price", "size", "sale_condition_hex", "suspicious"];
    let [time, traded, size, mask, suspicious] = names.map(|it| table.column(it));
    for row in &table.rows {
        let mask = u32::from_str_radix(&mask(row), 16).unwrap();
        if suspicious(row) == "1" || mask & 0x500_0000 != 0 {
            continue;
        }
        let ts = nanos(&time(row));
        let counts = mask & 0x10_0200 == 0;
        let print = RefPrint { ts, price: e4(&traded(row)), size: size(row).parse().unwrap(), counts };
        bars.entry(ts.div_euclid(step) * step).or_default().push(print);
    }
    let text = |it: Option<f64>| it.map_or_else(String::new, |it| it.to_string());
    let ratio = |n: f64, d: f64| (d > 0.0).then(|| n / d);
    let price = |it: i64| {
        let text = format!("{}.{:04}", it / 10_000, it % 10_000);
        let trimmed = text.trim_end_matches('0');
        let decimals = trimmed.len() - trimmed.find('.').unwrap() - 1;
        format!("{trimmed}{}", "0".repeat(2usize.saturating_sub(decimals)))
    };
    let bar = |(start, prints): (i64, Vec<RefPrint>)| {
        let counted: Vec<RefPrint> = prints.iter().filter(|it| it.counts).copied().collect();
        let quoted: Vec<(RefPrint, &RefQuote)> =
            counted.iter().filter_map(|it| Some((*it, standing(quotes, it.ts)?))).collect();
        let side = |wanted: (bool, bool)| -> i64 {
            let of_side = quoted.iter().filter(|(print, quote)| {
                let (bid, ask) = quote.sides.unwrap();
                (print.price >= ask, print.price <= bid) == wanted
            });
            of_side.map(|it| it.0.size).sum()
        };
        let volume: i64 = prints.iter().map(|it| it.size).sum();
        let (bought, sold) = (side((true, false)), side((false, true)));
        let sized = quoted.iter().filter_map(|it| it.1.bid_size.zip(it.1.ask_size));
        let (bids, asks) = sized.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        let spread: i128 = quoted
            .iter()
            .map(|it| {
                let (bid, ask) = it.1.sides.unwrap();
                half_even(i128::from(ask - bid) * 20_000_000_000, i128::from(ask + bid))
            })
            .sum();
        let second_end = (prints.last().unwrap().ts.div_euclid(1_000_000_000) + 1) * 1_000_000_000;
        let close = standing(quotes, second_end);
        let (bid, ask) = (close.and_then(|it| it.bid_size), close.and_then(|it| it.ask_size));
        let size = |it: Option<i64>| it.map_or_else(String::new, |it| it.to_string());
        let of = |it: Option<i64>| it.map_or_else(String::new, price);
        let (n, ticks) = (quoted.len() as f64, counted.len() as f64);
        vec![
            UtcNanos(start).to_string(),
            of(counted.first().map(|it| it.price)),
            of(counted.iter().map(|it| it.price).max()),
            of(counted.iter().map(|it| it.price).min()),
            of(counted.last().map(|it| it.price)),
            volume.to_string(),
            prints.iter().filter(|it| it.size > 0).count().to_string(),
            bought.to_string(),
            sold.to_string(),
            (volume - bought - sold).to_string(),
            (bought - sold).to_string(),
            text(ratio((bids - asks) as f64, (bids + asks) as f64)),
            text(bid.zip(ask).and_then(|(bid, ask)| ratio(ask as f64, bid as f64))),
            text(ratio(100.0 * n, ticks)),
            text(ratio(spread as f64 / 1e6, n)),
            size(bid),
            size(ask),
            text(ratio((bought - sold) as f64, (bought + sold) as f64)),
        ]
    };
    bars.into_iter().map(bar).collect()
}

fn written(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
    reader.records().map(|it| it.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn every_field_of_recorded_days_is_what_a_look_at_all_prints_gives() {
    let Some(dir) = data() else { return };
    let days = [
        ("bac_trades_tick.csv.gz", "bac_quotes_tick.csv.gz"),
        ("spy_trades_tick.csv.gz", "spy_1s_quotes.csv.gz"),
    ];
    for (trades, quoted) in days {
        let prints = Recorded::read(&dir.join(trades));
        let all = quotes(&Recorded::read(&dir.join(quoted)), quoted.contains("1s"));
        for (interval, step) in [
            (Interval::Second, 1),
            (Interval::FiveSeconds, 5),
            (Interval::FifteenSeconds, 15),
            (Interval::Minute, 60),
        ] {
            let (text, notes) = run(&ask(&dir.join(trades), Some(&dir.join(quoted)), interval));
            let (bars, expected) = (written(&text), reference(&prints, &all, step));
            for (bar, expected) in bars.iter().zip(&expected) {
                assert_eq!(bar, expected, "{trades} {step} s");
            }
            assert_eq!((bars.len(), notes.as_str()), (expected.len(), ""), "{trades} {step} s");
        }
    }
}

struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("claxton-microbars-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            std::fs::write(dir.join(file), text).unwrap();
        }
        Self(dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

const PRINTS: &str = "ts_event,price,size
2026-11-20T15:00:00.100000000Z,10.02,100
2026-11-20T15:00:00.300000000Z,10.01,200
2026-11-20T15:00:00.200000000Z,10.00,300
2026-11-20T15:00:01.000000000Z,NaN,300
2026-11-20T15:00:01.000000000Z,-1,300
2026-11-20T15:00:01.000000000Z,10.00,-3
2026-11-20T15:00:02.000000000Z,10.03,50
2026-11-20T15:00:00.400000000Z,10.09,50
";

#[test]
fn rows_that_are_no_ticks_are_left_out_and_counted_and_late_ones_find_their_bar() {
    let quotes = "ts_event,bid,bid_size,ask,ask_size\n2026-11-20T15:00:00.050000000Z,10.00,5,10.02,7\n";
    let folder = Folder::with("bad", &[("trades.csv", PRINTS), ("quotes.csv", quotes)]);
    let (trades, quotes) = (folder.0.join("trades.csv"), folder.0.join("quotes.csv"));
    let (text, notes) = run(&ask(&trades, Some(&quotes), Interval::Second));
    insta::assert_snapshot!(text, @r"
    tsOpen,open,high,low,close,volume,trades,buyVolume,sellVolume,neutralVolume,deltaVolume,bidAskImbalance,askBidSizeRatio,quoteCoveragePct,avgSpreadBps,bidSizeAtClose,askSizeAtClose,aggressorSkew
    2026-11-20T15:00:00.000000000Z,10.02,10.02,10.00,10.01,600,3,100,300,200,-200,-0.16666666666666666,1.4,100,19.98002,5,7,-0.5
    2026-11-20T15:00:02.000000000Z,10.03,10.03,10.03,10.03,50,1,50,0,0,50,-0.16666666666666666,1.4,100,19.98002,5,7,1
    ");
    assert_eq!(
        notes,
        "left out: 2 rows without a price above zero, 1 sizes that are none, 1 rows later than 250 ms\n"
    );
}

#[test]
fn without_quotes_what_derives_from_them_is_empty_and_a_bar_is_one_object() {
    let folder = Folder::with("plain", &[("trades.csv", PRINTS)]);
    let asked =
        MicrobarsArgs { json: true, csv: false, ..ask(&folder.0.join("trades.csv"), None, Interval::Minute) };
    let (text, _) = run(&asked);
    insta::assert_snapshot!(text, @r#"{"tsOpen":"2026-11-20T15:00:00.000000000Z","open":10.02,"high":10.03,"low":10.00,"close":10.03,"volume":650,"trades":4,"buyVolume":0,"sellVolume":0,"neutralVolume":650,"deltaVolume":0,"bidAskImbalance":null,"askBidSizeRatio":null,"quoteCoveragePct":0,"avgSpreadBps":null,"bidSizeAtClose":null,"askSizeAtClose":null,"aggressorSkew":null}"#);
}

#[test]
fn a_table_that_cannot_be_read_is_named_with_its_line_and_column() {
    let cases = [
        ("header", "ts,price,size\n", "1:0: expected a column ts_event in the header"),
        ("time", "ts_event,price,size\nnoon,1,1\n", "2:1: expected ts_event: a UTC time"),
        (
            "mask",
            "ts_event,price,size,sale_condition_hex,suspicious\n2026-11-20T15:00:00Z,1,1,x,0\n",
            "2:4: expected sale_condition_hex",
        ),
        (
            "cut",
            "ts_event,price,size\n2026-11-20T15:00:00Z,1\n",
            "2:0: expected 3 cells as in the header, found 2",
        ),
    ];
    for (name, text, expected) in cases {
        let folder = Folder::with(name, &[("trades.csv", text)]);
        let asked = ask(&folder.0.join("trades.csv"), None, Interval::Second);
        let error = microbars(&asked, &mut Vec::new(), &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

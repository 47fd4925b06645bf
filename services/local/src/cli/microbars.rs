//! `claxton microbars`: bars with order flow, out of prints and quotes.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use csv::Writer;
use domain::market::Microbar;
use engine::bars::fold::{Fold, FoldRules};
use engine::bars::merge::Merge;
use ingester::sources::{Tick, Ticks};

/// Shown under `claxton microbars --help`.
pub(super) const EXAMPLE: &str = "Example:
  claxton microbars --trades bac_trades_tick.csv.gz --quotes bac_quotes_tick.csv.gz --interval 5s --csv > bars.csv";

/// The columns, in order; what is absent is empty.
const COLUMNS: [&str; 18] = [
    "tsOpen",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "trades",
    "buyVolume",
    "sellVolume",
    "neutralVolume",
    "deltaVolume",
    "bidAskImbalance",
    "askBidSizeRatio",
    "quoteCoveragePct",
    "avgSpreadBps",
    "bidSizeAtClose",
    "askSizeAtClose",
    "aggressorSkew",
];

/// How long a bar is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Interval {
    /// A second.
    #[value(name = "1s")]
    Second,
    /// Five seconds.
    #[value(name = "5s")]
    FiveSeconds,
    /// Fifteen seconds.
    #[value(name = "15s")]
    FifteenSeconds,
    /// A minute.
    #[value(name = "1m", alias = "1min")]
    Minute,
}

/// What bars are built of.
#[derive(Debug, Args)]
pub(super) struct MicrobarsArgs {
    /// The prints: a CSV table, compressed with gzip or not.
    #[arg(long, value_name = "FILE")]
    trades: PathBuf,
    /// The quotes; without them whatever derives from a quote is empty.
    #[arg(long, value_name = "FILE")]
    quotes: Option<PathBuf>,
    /// How long a bar is.
    #[arg(long, value_enum, default_value = "1s")]
    interval: Interval,
    /// The prints are of an option: its quotes stand for a minute, not for five seconds.
    #[arg(long)]
    option: bool,
    /// Write comma-separated values, as is the default.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write one JSON object a bar.
    #[arg(long)]
    json: bool,
}

/// Builds the bars and writes them.
pub(super) fn microbars(
    ask: &MicrobarsArgs,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> anyhow::Result<()> {
    let mut ticks = Ticks::open(&ask.trades, ask.quotes.as_deref())?;
    let resolution = ticks.resolution_ns();
    let rules =
        if ask.option { FoldRules::option(resolution, true) } else { FoldRules::share(resolution, true) };
    let mut fold = Fold::new(rules);
    let mut merge = match ask.interval {
        Interval::Second => None,
        Interval::FiveSeconds => Some(Merge::secs(5)),
        Interval::FifteenSeconds => Some(Merge::secs(15)),
        Interval::Minute => Some(Merge::secs(60)),
    };
    let mut lines = if ask.json { Lines::Json(out) } else { Lines::csv(out)? };
    loop {
        let tick = ticks.next_tick()?;
        let second = match &tick {
            Some(Tick::Quote(quote)) => fold.quote(quote),
            Some(Tick::Trade(trade)) => fold.trade(trade),
            None => fold.finish(),
        };
        let bar = match (&mut merge, second) {
            (Some(merge), Some(second)) => merge.push(&second),
            (Some(_), None) => None,
            (None, second) => second,
        };
        let last = merge.as_mut().filter(|_| tick.is_none()).and_then(Merge::finish);
        for bar in [bar, last].into_iter().flatten() {
            if !lines.write(&bar)? {
                return Ok(());
            }
        }
        if tick.is_none() {
            break;
        }
    }
    let left_out = ticks.left_out();
    if left_out != ingester::sources::LeftOut::default() {
        let ingester::sources::LeftOut { bad_price, bad_size, late } = left_out;
        writeln!(
            notes,
            "left out: {bad_price} rows without a price above zero, {bad_size} sizes that are none, {late} rows later than 250 ms"
        )?;
    }
    lines.end()
}

/// Where bars are written.
enum Lines<'a, W: Write> {
    Csv(Box<Writer<&'a mut W>>),
    Json(&'a mut W),
}

impl<'a, W: Write> Lines<'a, W> {
    fn csv(out: &'a mut W) -> anyhow::Result<Self> {
        let mut writer = Writer::from_writer(out);
        writer.write_record(COLUMNS)?;
        Ok(Self::Csv(Box::new(writer)))
    }

    /// Writes a bar; false where nobody reads any more.
    fn write(&mut self, bar: &Microbar) -> anyhow::Result<bool> {
        let cells = cells(bar);
        let written = match self {
            Self::Csv(writer) => writer.write_record(&cells).map_err(std::io::Error::from),
            Self::Json(out) => json(*out, &cells),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Csv(mut writer) => Ok(writer.flush()?),
            Self::Json(out) => Ok(out.flush()?),
        }
    }
}

/// A bar's cells, in the order of [`COLUMNS`].
fn cells(bar: &Microbar) -> [String; 18] {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(String::new, |it| it.to_string())
    }
    [
        bar.ts_open.to_string(),
        text(bar.ohlc.map(|it| it.open)),
        text(bar.ohlc.map(|it| it.high)),
        text(bar.ohlc.map(|it| it.low)),
        text(bar.ohlc.map(|it| it.close)),
        bar.volume.to_string(),
        bar.trades.to_string(),
        bar.buy_volume.to_string(),
        bar.sell_volume.to_string(),
        bar.neutral_volume.to_string(),
        bar.delta_volume().to_string(),
        text(bar.bid_ask_imbalance()),
        text(bar.ask_bid_size_ratio()),
        text(bar.quote_coverage_pct()),
        text(bar.avg_spread_bps()),
        text(bar.bid_size_at_close),
        text(bar.ask_size_at_close),
        text(bar.aggressor_skew()),
    ]
}

/// One line: every cell but the first is a number as it is written, or null.
fn json(out: &mut impl Write, cells: &[String; 18]) -> std::io::Result<()> {
    for (place, (name, cell)) in COLUMNS.iter().zip(cells).enumerate() {
        let value = match cell.as_str() {
            "" => "null".to_owned(),
            text if place == 0 => format!("\"{text}\""),
            number => number.to_owned(),
        };
        let before = if place == 0 { '{' } else { ',' };
        write!(out, "{before}\"{name}\":{value}")?;
    }
    writeln!(out, "}}")
}

#[cfg(test)]
mod tests;

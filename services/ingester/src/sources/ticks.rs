//! Prints and quotes of one symbol from two tables, in order of time.
//!
//! A row may stand late by less than the lateness window. What is later, or is no tick, is left out and counted; what cannot be
//! read at all ends the table with its line.

use std::collections::BTreeMap;
use std::path::Path;

use domain::market::{Points, PrintCounts, Quote, QuoteSide, SourceError, Trade};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use engine::bars::tape::LATENESS_NS;
use serde::Serialize;

use super::equity;
use super::table::Table;

/// What happened to one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Somebody quoted.
    Quote(Quote),
    /// Somebody traded.
    Trade(Trade),
}

/// Rows that are no ticks, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// No price, none above zero, or no number.
    pub bad_price: u64,
    /// A size below zero, of a fraction, or no number.
    pub bad_size: u64,
    /// Later than the lateness window.
    pub late: u64,
}

/// Prints and quotes of one symbol, merged by exchange time; of one instant quotes come first, which joins no print with them.
pub struct Ticks {
    prints: Sorted<Prints>,
    quotes: Option<Sorted<Quotes>>,
    left_out: LeftOut,
}

impl std::fmt::Debug for Ticks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticks").field("left_out", &self.left_out).finish_non_exhaustive()
    }
}

impl Ticks {
    /// Opens a table of prints (`ts_event,price,size`, for equities also `sale_condition_hex,suspicious`), and one of quotes: by
    /// event (`ts_event,bid,bid_size,ask,ask_size`) or as bars, each of which is its close at its last nanosecond
    /// (`ts_open,bid_close,bid_size,ask_close,ask_size`).
    ///
    /// # Errors
    /// [`SourceError`] for a file that is missing, or a header without these columns.
    pub fn open(prints: &Path, quotes: Option<&Path>) -> Result<Self, SourceError> {
        Ok(Self {
            prints: Sorted::new(Prints::open(prints)?),
            quotes: quotes.map(|it| Quotes::open(it).map(Sorted::new)).transpose()?,
            left_out: LeftOut::default(),
        })
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`] with file, line and column of what cannot be read.
    pub fn next_tick(&mut self) -> Result<Option<Tick>, SourceError> {
        let out = &mut self.left_out;
        let print = self.prints.peek(out)?;
        let quote = self.quotes.as_mut().map(|it| it.peek(out)).transpose()?.flatten();
        let is_quote = match (quote, print) {
            (Some(quote), Some(print)) => quote <= print,
            (quote, _) => quote.is_some(),
        };
        if is_quote {
            return Ok(self.quotes.as_mut().and_then(Sorted::pop).map(Tick::Quote));
        }
        Ok(self.prints.pop().map(Tick::Trade))
    }

    /// One step of the quotes: below it none is old.
    pub fn resolution_ns(&self) -> i64 {
        self.quotes.as_ref().map_or(0, |it| it.rows.after_ns)
    }

    /// What was left out so far.
    pub const fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

/// Rows of one kind as they stand in their table.
trait Rows {
    type Row;

    /// The next row that is a tick, with its time.
    fn read(&mut self, left_out: &mut LeftOut) -> Result<Option<(UtcNanos, Self::Row)>, SourceError>;
}

/// Rows in order of time, out of a table that is nearly so.
struct Sorted<R: Rows> {
    rows: R,
    /// By time and place in the table.
    waiting: BTreeMap<(UtcNanos, u64), R::Row>,
    read: u64,
    newest: UtcNanos,
    is_over: bool,
}

impl<R: Rows> Sorted<R> {
    fn new(rows: R) -> Self {
        Self { rows, waiting: BTreeMap::new(), read: 0, newest: UtcNanos(i64::MIN), is_over: false }
    }

    /// The time of the next row: nothing earlier can come any more.
    fn peek(&mut self, left_out: &mut LeftOut) -> Result<Option<UtcNanos>, SourceError> {
        loop {
            let first = self.waiting.first_key_value().map(|it| it.0.0);
            let is_sure = |it: UtcNanos| it.0.saturating_add(LATENESS_NS) <= self.newest.0;
            if self.is_over || first.is_some_and(is_sure) {
                return Ok(first);
            }
            match self.rows.read(left_out)? {
                None => self.is_over = true,
                Some((ts, _)) if ts.0 < self.newest.0.saturating_sub(LATENESS_NS) => {
                    left_out.late = left_out.late.saturating_add(1);
                }
                Some((ts, row)) => {
                    self.newest = self.newest.max(ts);
                    self.read = self.read.saturating_add(1);
                    self.waiting.insert((ts, self.read), row);
                }
            }
        }
    }

    /// Takes the row that was peeked at.
    fn pop(&mut self) -> Option<R::Row> {
        self.waiting.pop_first().map(|it| it.1)
    }
}

const MINUTE_NS: i64 = 60 * NANOS_PER_SEC;
/// Bars looked at to tell seconds from minutes.
const STARTS_LOOKED_AT: usize = 200;

struct Prints(Table);

impl Prints {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let optional = ["sale_condition_hex", "suspicious"];
        Table::open_with(path, &path.to_string_lossy(), &["ts_event", "price", "size"], &optional).map(Self)
    }
}

impl Rows for Prints {
    type Row = Trade;

    fn read(&mut self, left_out: &mut LeftOut) -> Result<Option<(UtcNanos, Trade)>, SourceError> {
        while self.0.next_unordered()? {
            let ts = self.0.time()?;
            let counts = if self.0.has(3) || self.0.has(4) {
                equity::counts_of(&self.0, 3, 4)?
            } else {
                PrintCounts::Everywhere
            };
            let Some(price) = Points::parse(self.0.cell(1)?).filter(|it| it.0 > 0) else {
                left_out.bad_price = left_out.bad_price.saturating_add(1);
                continue;
            };
            let Ok(size) = self.0.cell(2)?.parse() else {
                left_out.bad_size = left_out.bad_size.saturating_add(1);
                continue;
            };
            return Ok(Some((ts, Trade { ts, sequence: None, price, size, counts })));
        }
        Ok(None)
    }
}

struct Quotes {
    table: Table,
    /// From the row's time to when it is known.
    after_ns: i64,
}

impl Quotes {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let file = path.to_string_lossy();
        let by_event = ["ts_event", "bid", "bid_size", "ask", "ask_size"];
        let as_bars = ["ts_open", "bid_close", "bid_size", "ask_close", "ask_size"];
        // Which of the two it is decides the header alone.
        let is_bars = Table::open_with(path, &file, &[], &["ts_open"])?.has(0);
        if !is_bars {
            return Ok(Self { table: Table::open_with(path, &file, &by_event, &[])?, after_ns: 0 });
        }
        // Bars of a minute start on whole minutes, all of them; bars of a second do not for long.
        let mut first = Table::open_with(path, &file, &["ts_open"], &[])?;
        let mut step_ns = MINUTE_NS;
        for _ in 0..STARTS_LOOKED_AT {
            if !first.next_unordered()? {
                break;
            }
            if first.time()?.0 % MINUTE_NS != 0 {
                step_ns = NANOS_PER_SEC;
            }
        }
        Ok(Self { table: Table::open_with(path, &file, &as_bars, &[])?, after_ns: step_ns - 1 })
    }

    fn side(&self, price: usize, size: usize, left_out: &mut LeftOut) -> Result<Option<Side>, SourceError> {
        let text = self.table.cell(price)?;
        if text.is_empty() {
            return Ok(Some(None));
        }
        let Some(price) = Points::parse(text) else {
            left_out.bad_price = left_out.bad_price.saturating_add(1);
            return Ok(None);
        };
        let text = self.table.cell(size)?;
        let size = text.parse().ok();
        if size.is_none() && !text.is_empty() {
            left_out.bad_size = left_out.bad_size.saturating_add(1);
        }
        Ok(Some(Some(QuoteSide { price, size })))
    }
}

/// A side of a quote that may be empty.
type Side = Option<QuoteSide>;

impl Rows for Quotes {
    type Row = Quote;

    fn read(&mut self, left_out: &mut LeftOut) -> Result<Option<(UtcNanos, Quote)>, SourceError> {
        while self.table.next_unordered()? {
            let ts = UtcNanos(self.table.time()?.0.saturating_add(self.after_ns));
            let (bid, ask) = (self.side(1, 2, left_out)?, self.side(3, 4, left_out)?);
            if let (Some(bid), Some(ask)) = (bid, ask) {
                return Ok(Some((ts, Quote { ts, bid, ask })));
            }
        }
        Ok(None)
    }
}

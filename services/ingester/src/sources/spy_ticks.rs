//! SPY tick by tick, the index made from it, and a chain modelled around the path.

use std::collections::VecDeque;
use std::path::Path;

use domain::calendar::Session;
use domain::market::{
    MarketEvent, MarketSource, Points, PrintCounts, PriorDay, Quote, QuoteSide, SourceError, SourceProfile,
    Trade,
};
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use jiff::civil::Date;
use sim::market::ChainModel;

use super::table::{Table, broken};
use super::{daily, day, equity, has_date, not_recorded, session_of};

pub(super) const TRADES: &str = "spy_trades_tick.csv.gz";
const QUOTES: &str = "spy_1s_quotes.csv.gz";
/// Standard deviation of the session's log return that options cost where no VIX of the evening before is at hand.
const DAY_MOVE: f64 = 0.008;
/// The part of a day's implied move that falls between the open and the close.
const SESSION_PART: f64 = 0.8;
/// How the index was made.
const NOTE: &str = "SPY x 10";

/// A session of SPY prints and one-second quotes.
///
/// The index is SPY x 10, printed once a second like the real one: ten times the last print of the second that
/// counts everywhere, at the second's end less a nanosecond, during the session only. The chain expires that day and
/// follows the index of the second before, so that no option knows a price ahead of the tape. Prints and quotes
/// outside the session are delivered as recorded.
pub struct SpyTicks {
    profile: SourceProfile,
    tape: SpyTape,
    chain: ChainModel,
    /// Index of the second before and of the last.
    index: Option<(f64, f64)>,
    /// The index value of the second at hand, due at its end.
    due: Option<Trade>,
    next_chain_second: Option<UtcNanos>,
    ready: VecDeque<MarketEvent>,
    scratch: Vec<MarketEvent>,
}

impl std::fmt::Debug for SpyTicks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpyTicks").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl SpyTicks {
    /// Opens the session of `date` after reading it through once.
    ///
    /// # Errors
    /// [`SourceError`] where a file is missing or malformed or has no rows of `date`.
    pub fn open(dir: &Path, date: Date) -> Result<Self, SourceError> {
        let session = session_of(TRADES, date)?;
        if !has_date(dir, TRADES, date)? {
            return Err(not_recorded(dir, date));
        }
        let open = read_through(dir, &session)?;
        let vix = daily::day_before(dir, &session, "VIX")?;
        let day_move = vix.map_or(DAY_MOVE, |it| SESSION_PART * it.close.to_f64() / 100.0 / 252.0_f64.sqrt());
        // The day's own number: the same chain each time the day is played.
        let seed = u64::try_from(session.open.secs()).unwrap_or_default();
        let chain = ChainModel::new(seed, session, ten_times(open).to_f64(), day_move);
        let profile = SourceProfile {
            name: format!("recorded:{date}"),
            index: Underlying::SPX,
            index_note: Some(NOTE.to_owned()),
            proxy: Some(Underlying::SPY),
            resolution_ns: NANOS_PER_SEC,
            contiguous_sequence: false,
            session,
            prior_day: daily::day_before(dir, &session, "SPY")?.map(|it| PriorDay {
                high: ten_times(it.high),
                low: ten_times(it.low),
                close: ten_times(it.close),
            }),
            series: chain.series(),
        };
        Ok(Self {
            profile,
            tape: SpyTape::open(dir, date)?,
            chain,
            index: None,
            due: None,
            next_chain_second: None,
            ready: VecDeque::new(),
            scratch: Vec::new(),
        })
    }

    /// The index value that a print of the session leads to at the end of its second.
    fn follow(&mut self, print: &Trade) {
        if print.counts == PrintCounts::Everywhere && self.profile.session.holds(print.ts) {
            let end = UtcNanos(print.ts.floor_to(NANOS_PER_SEC).0.saturating_add(NANOS_PER_SEC - 1));
            self.due =
                Some(Trade { ts: end, sequence: None, price: ten_times(print.price), size: 0, ..*print });
        }
    }

    /// Quotes the chain for the second that begins now.
    fn quote_chain(&mut self, start: UtcNanos) {
        if let Some((from, to)) = self.index {
            self.chain.second(start, from, to, &mut self.scratch);
            self.ready.extend(self.scratch.drain(..));
            self.index = Some((to, to));
        }
        let next = UtcNanos(start.0.saturating_add(NANOS_PER_SEC));
        self.next_chain_second = Some(next).filter(|it| self.profile.session.holds(*it));
    }
}

impl MarketSource for SpyTicks {
    fn profile(&self) -> &SourceProfile {
        &self.profile
    }

    fn next_event(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        loop {
            let tape = self.tape.peek().map(|event| (event.ts(), matches!(event, MarketEvent::Quote(..))));
            let option = self.ready.front().map(MarketEvent::ts);
            let index = self.due.map(|it| it.ts);
            let Some(first) = [tape.map(|it| it.0), option, index].into_iter().flatten().min() else {
                match self.next_chain_second {
                    Some(start) => self.quote_chain(start),
                    None => return Ok(None),
                }
                continue;
            };
            if let Some(start) = self.next_chain_second.filter(|start| *start <= first) {
                self.quote_chain(start);
                continue;
            }
            // Of one instant: quote, option quotes, print, index.
            if option == Some(first) && tape != Some((first, true)) {
                return Ok(self.ready.pop_front());
            }
            if tape.is_some_and(|(ts, _)| ts == first) {
                let event = self.tape.pop()?;
                if let Some(MarketEvent::Trade(_, print)) = &event {
                    self.follow(print);
                }
                return Ok(event);
            }
            if let Some(trade) = self.due.take() {
                let value = trade.price.to_f64();
                self.index = Some((self.index.map_or(value, |it| it.1), value));
                let next = UtcNanos(trade.ts.0.saturating_add(1));
                self.next_chain_second = self
                    .next_chain_second
                    .or_else(|| Some(next).filter(|it| self.profile.session.holds(*it)));
                return Ok(Some(MarketEvent::Trade(Underlying::SPX, trade)));
            }
        }
    }
}

/// SPY to the index, exactly: both count in 1/10,000.
const fn ten_times(price: Points) -> Points {
    Points(price.0.saturating_mul(10))
}

/// Checks every row of the day; gives the first print of the session that counts.
fn read_through(dir: &Path, session: &Session) -> Result<Points, SourceError> {
    let mut tape = SpyTape::open(dir, session.date)?;
    let mut open = None;
    while let Some(event) = tape.pop()? {
        if let MarketEvent::Trade(_, it) = event
            && open.is_none()
            && it.counts == PrintCounts::Everywhere
            && session.holds(it.ts)
        {
            open = Some(it.price);
        }
    }
    open.ok_or_else(|| {
        broken(TRADES, 0, 0, format!("a print between 09:30 and the close of {}", session.date))
    })
}

/// The day's prints and quotes merged by time, quotes first.
struct SpyTape {
    trades: Table,
    quotes: Table,
    from: UtcNanos,
    until: UtcNanos,
    trade: Option<MarketEvent>,
    quote: Option<MarketEvent>,
}

impl SpyTape {
    fn open(dir: &Path, date: Date) -> Result<Self, SourceError> {
        let (from, until) = day(date);
        let trades =
            Table::open(dir, TRADES, &["ts_event", "price", "size", "sale_condition_hex", "suspicious"])?;
        let quotes =
            Table::open(dir, QUOTES, &["ts_open", "bid_close", "bid_size", "ask_close", "ask_size"])?;
        let mut tape = Self { trades, quotes, from, until, trade: None, quote: None };
        tape.trade = tape.next_trade()?;
        tape.quote = tape.next_quote()?;
        Ok(tape)
    }

    fn quote_is_first(&self) -> bool {
        match (&self.quote, &self.trade) {
            (Some(quote), Some(trade)) => quote.ts() <= trade.ts(),
            (quote, _) => quote.is_some(),
        }
    }

    fn peek(&self) -> Option<&MarketEvent> {
        if self.quote_is_first() { self.quote.as_ref() } else { self.trade.as_ref() }
    }

    fn pop(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        if self.quote_is_first() {
            let next = self.next_quote()?;
            return Ok(std::mem::replace(&mut self.quote, next));
        }
        if self.trade.is_none() {
            return Ok(None);
        }
        let next = self.next_trade()?;
        Ok(std::mem::replace(&mut self.trade, next))
    }

    fn next_trade(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        let Some(ts) = next_of_day(&mut self.trades, self.from, self.until)? else { return Ok(None) };
        let it = &self.trades;
        let price = it.must(1, it.points(1)?, "a decimal price")?;
        let size = it.must(2, it.count(2)?, "a whole number of shares")?;
        let counts = equity::counts_of(it, 3, 4)?;
        let trade = Trade { ts, sequence: None, price, size, counts };
        Ok(Some(MarketEvent::Trade(Underlying::SPY, trade)))
    }

    /// A one-second bar is one quote: its close, at the bar's last nanosecond.
    fn next_quote(&mut self) -> Result<Option<MarketEvent>, SourceError> {
        let Some(ts) = next_of_day(&mut self.quotes, self.from, self.until)? else { return Ok(None) };
        let it = &self.quotes;
        let side = |price: usize, size: usize| -> Result<Option<QuoteSide>, SourceError> {
            let size = it.count(size)?;
            Ok(it.points(price)?.map(|price| QuoteSide { price, size }))
        };
        let ts = UtcNanos(ts.0.saturating_add(NANOS_PER_SEC - 1));
        let quote = Quote { ts, bid: side(1, 2)?, ask: side(3, 4)? };
        Ok(Some(MarketEvent::Quote(Underlying::SPY, quote)))
    }
}

/// Moves to the next row of the day; `None` after its last.
fn next_of_day(table: &mut Table, from: UtcNanos, until: UtcNanos) -> Result<Option<UtcNanos>, SourceError> {
    while let Some(ts) = table.next()? {
        if ts >= until {
            return Ok(None);
        }
        if ts >= from {
            return Ok(Some(ts));
        }
    }
    Ok(None)
}

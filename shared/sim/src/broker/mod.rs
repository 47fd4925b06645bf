//! Tradier's sandbox as a pure state machine: `answer(request) -> reply` over its state and market time.
//!
//! [`Sandbox`] reads no clock and no network. Its caller feeds it the market ([`Sandbox::on_market`]), requests with the
//! market time they arrive at ([`Sandbox::answer`]), and time itself ([`Sandbox::advance`], due at
//! [`Sandbox::next_due`]). The same calls give the same [transcript](TranscriptLine), which is the ground truth from
//! which [`Facts`] are computed.
//!
//! # How orders execute
//! - A buy at or above the ask executes at the ask, a sell at or below the bid at the bid: at most the size shown, and
//!   what our accounts took of a quote is gone until its next update. Market orders are always at the touch.
//! - A limit strictly inside the spread executes at its own price with a chance per quote update: a quarter of the
//!   squared way from its own touch to the far one. It gets at most the size shown on the far side.
//! - A limit at its own touch or behind it waits until the far touch comes to it.
//! - Stops trigger on the quote: a sell stop on the bid, a buy stop on the ask. Those of shares trigger on the last
//!   price. What is triggered goes on as a market order, or as a limit, in its old place in time.
//! - Several legs execute in ratio, all legs of a unit or none, when the net of the far touches meets the net price.
//!   Shares beside options count by the hundred, in the ratio and in the net price.
//! - Orders of our accounts at one instrument go by price, then by time; a change of price takes a new place in time.
//!   Single orders go before several legs, which go by what they pay, then by time.
//! - Of two orders that exclude each other no more executes than one of them was for.
//! - Nothing executes against a crossed quote, before the open or after the last trade of the series.
//! - Shares trade against the quotes of the underlying; orders for before the open and after the close in their hours.
//!
//! Draws come from a hash of seed, order and quote time, so they do not depend on what else happens.

mod account;
mod account_api;
mod answer;
mod ask;
mod book;
mod brackets;
mod buying;
mod change;
mod check;
mod config;
mod day_trades;
mod engine;
mod facts;
pub mod faults;
mod frames;
mod instrument;
mod ladder;
mod limits;
mod margin;
mod market;
mod matching;
mod order;
mod orders_api;
mod overview;
mod params;
mod place;
mod preview;
mod reports;
mod settlement;
mod shape;
mod stream;
mod subscription;
mod touch;
mod transcript;
mod transport;
mod watchlists;
mod words;
pub mod written;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::calendar::Session;
use domain::market::{ListedSeries, MarketEvent, Points};
use domain::secret::Token;
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

pub use account::{Account, Applied, Closed, Position, Value};
pub use config::{AccountConfig, Config, Latencies, Limits, Practice, Rules, UserConfig};
pub use day_trades::DayTrades;
pub use facts::{AccountFacts, Facts};
pub use instrument::Instrument;
pub use market::DayBar;
pub use order::{Leg, LegSide, Lifetime, Order, OrderClass, OrderType, Status, Terms};
pub use overview::{AccountView, Overview};
pub use params::{pairs as read_pairs, path as read_path};
pub use place::ForeignOrder;
pub use reports::Reports;
pub use stream::{AttachError, Frame, StreamKind};
pub use transcript::{AcceptedLeg, FilledLeg, TranscriptEvent, TranscriptLine};
pub use transport::InMemoryTransport;

use book::Book;
use engine::Due;
use faults::Faults;
use ladder::Ladder;
use limits::Windows;
use market::GreeksCache;
use orders_api::RowCache;
use stream::{Audience, Notice, StreamSession};
use watchlists::Watchlist;

/// Where the real sandbox's streams are reached.
const STREAM_BASE: &str = "wss://sandbox-ws.tradier.com";

/// Bytes of transcript kept for whoever takes it; beyond, the oldest quarter leaves, which shows as a gap in `seq`.
const TRANSCRIPT_MAX: usize = 256 << 20;

/// A user as the sandbox keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    id: String,
    name: String,
    token_hashes: Vec<String>,
    accounts: Vec<String>,
}

/// The broker. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    rules: Rules,
    session: Session,
    now: UtcNanos,
    users: Vec<User>,
    accounts: BTreeMap<String, Account>,
    orders: BTreeMap<u64, Order>,
    /// Orders that ended, in that order.
    #[serde(default)]
    ended: VecDeque<u64>,
    book: Book,
    due: BTreeSet<Due>,
    due_seq: u64,
    next_order: u64,
    next_position: u64,
    next_place: u64,
    next_session: u64,
    windows: Windows,
    streams: BTreeMap<String, StreamSession>,
    notices: VecDeque<Notice>,
    /// On their way to connections, which do not outlive the process.
    #[serde(skip)]
    frames: VecDeque<Frame>,
    #[serde(default)]
    watchlists: BTreeMap<String, Vec<Watchlist>>,
    stream_base: String,
    transcript: Vec<TranscriptLine>,
    /// Bytes in the transcript, about.
    #[serde(default)]
    kept: usize,
    lines: u64,
    revision: u64,
    #[serde(default)]
    faults: Faults,
    /// Orders at the market by what they trade; rebuilt from the orders.
    #[serde(skip)]
    watched: BTreeMap<Instrument, Ladder>,
    /// Who hears the market stream of what; rebuilt from the subscriptions.
    #[serde(skip)]
    audience: Audience,
    /// The hour's greeks as far as somebody asked; computed from the book.
    #[serde(skip)]
    greeks: GreeksCache,
    /// Rows of orders that ended; written from the orders.
    #[serde(skip)]
    rows: RowCache,
    /// Orders as the list shows them until it has caught up, and since when they are another.
    #[serde(skip)]
    before: BTreeMap<u64, (UtcNanos, Order)>,
}

/// A saved state that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the saved broker state cannot be read: {0}; remove it to start the session anew")]
pub struct StateError(#[from] serde_json::Error);

impl Sandbox {
    /// A sandbox before the open of its session.
    pub fn new(config: Config) -> Self {
        let mut accounts = BTreeMap::new();
        let mut users = Vec::new();
        for user in config.users {
            let numbers = user.accounts.iter().map(|it| it.number.as_str().to_owned()).collect();
            for it in user.accounts {
                let account = Account::opening(&it);
                accounts.insert(account.number.clone(), account);
            }
            let token_hashes = user.tokens.iter().map(token_hash).collect();
            users.push(User { id: user.id, name: user.name, token_hashes, accounts: numbers });
        }
        let mut it = Self {
            next_order: config.rules.first_order_id,
            rules: config.rules,
            session: config.session,
            now: UtcNanos(i64::MIN),
            users,
            accounts,
            orders: BTreeMap::new(),
            ended: VecDeque::new(),
            book: Book::listing(&config.series),
            due: BTreeSet::new(),
            due_seq: 0,
            next_position: 990_001,
            next_place: 1,
            next_session: 1,
            windows: Windows::default(),
            streams: BTreeMap::new(),
            notices: VecDeque::new(),
            frames: VecDeque::new(),
            watchlists: BTreeMap::new(),
            stream_base: STREAM_BASE.to_owned(),
            transcript: Vec::new(),
            kept: 0,
            lines: 0,
            revision: 0,
            faults: Faults::default(),
            watched: BTreeMap::new(),
            audience: Audience::default(),
            greeks: GreeksCache::default(),
            rows: RowCache::default(),
            before: BTreeMap::new(),
        };
        it.open_session(config.session);
        it
    }

    /// Takes a market event in, after whatever was due before it.
    pub fn on_market(&mut self, event: &MarketEvent) {
        self.advance(event.ts());
        let before = if self.has_audience() { self.extremes(event) } else { None };
        let (instrument, fresh) = match event {
            MarketEvent::Trade(underlying, trade) => {
                self.book.print(*underlying, *trade, self.session.close);
                (Instrument::Share(*underlying), false)
            }
            MarketEvent::Quote(underlying, quote) => {
                self.book.stock_quote(*underlying, *quote);
                (Instrument::Share(*underlying), true)
            }
            MarketEvent::OptionQuote(series, quote) => {
                self.book.quote(*series, *quote);
                (Instrument::Option(*series), true)
            }
        };
        if self.watched.contains_key(&instrument) {
            self.match_instrument(&instrument, fresh);
        }
        if self.has_audience() {
            self.stream_market(event, before);
        }
    }

    /// Starts the next session: yesterday's orders leave the lists (but for what still works), series are relisted.
    /// Positions in series that are not listed any more stay.
    pub fn start_session(&mut self, session: Session, listed: &[ListedSeries]) {
        if session.date > self.session.date {
            // What the old session still owes happens in it.
            let over = self.session.wall(jiff::civil::time(20, 0, 0, 0));
            self.advance(self.now.max(over));
        }
        let orders = std::mem::take(&mut self.orders);
        let live = |order: &Order| {
            let bracket = order.parent.and_then(|it| orders.get(&it)).unwrap_or(order);
            bracket.is_live()
        };
        let gone: Vec<u64> = orders.values().filter(|it| !live(it)).map(|it| it.id).collect();
        self.orders = orders;
        for id in gone {
            self.orders.remove(&id);
        }
        self.ended.clear();
        self.book.new_session(&self.session, listed);
        for account in self.accounts.values_mut() {
            account.realized = domain::money::Usd::ZERO;
            account.unsettled = domain::money::Usd::ZERO;
            account.orders.retain(|id| self.orders.contains_key(id));
        }
        self.session = session;
        self.open_session(session);
    }

    /// Tells the close of the session before `underlying`'s first one here, which quotes show changes from.
    pub fn learn_close(&mut self, underlying: Underlying, close: Points) {
        self.book.learn_close(underlying, close);
    }

    /// Tells days before this one, for history and the 52-week range.
    pub fn learn_days(&mut self, underlying: Underlying, days: Vec<DayBar>) {
        self.book.learn_days(underlying, days);
    }

    /// Where streams are reached, such as `ws://127.0.0.1:8080`: shown in session answers.
    pub fn set_stream_base(&mut self, base: impl Into<String>) {
        self.stream_base = base.into();
    }

    /// Counts what changed in orders, money and sessions; reads do not count. Equal numbers, equal state to save.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The session it trades.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The latest market time it has seen.
    pub const fn now(&self) -> UtcNanos {
        self.now
    }

    /// An account as it stands.
    pub fn account(&self, number: &str) -> Option<&Account> {
        self.accounts.get(number)
    }

    /// An order as it stands.
    pub fn order(&self, id: u64) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// The sequence of the last transcript line.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Lines since the last call, in order.
    pub fn take_transcript(&mut self) -> Vec<TranscriptLine> {
        self.kept = 0;
        std::mem::take(&mut self.transcript)
    }

    /// Everything, to be restored by [`Self::from_bytes`]. Tokens are in it as hashes alone.
    ///
    /// # Errors
    /// [`StateError`] should a value not be representable.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// A sandbox that goes on where `bytes` were written. Stream connections are gone; sessions are not.
    ///
    /// # Errors
    /// [`StateError`] for bytes of anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut it: Self = serde_json::from_slice(bytes)?;
        it.index();
        it.detach_all();
        Ok(it)
    }

    /// Rebuilds what follows from the orders.
    fn index(&mut self) {
        for order in self.orders.values() {
            let Some(account) = self.accounts.get_mut(&order.account) else { continue };
            account.orders.insert(order.id);
            if !order.is_live() || order.status == Status::Held {
                continue;
            }
            if order.leans {
                account.leaning.insert(order.id);
            }
            if order.claims && order.sells() {
                account.selling.insert(order.id);
            }
            for leg in order.legs.iter().filter(|_| order.claims) {
                Self::claim(account, (leg.instrument, leg.side), i64::from(leg.remaining()));
            }
        }
        let working = self.orders.values().filter(|it| it.status.is_working());
        for id in working.map(|it| it.id).collect::<Vec<_>>() {
            self.watch(id);
        }
    }

    fn record(&mut self, event: TranscriptEvent) {
        self.lines = self.lines.saturating_add(1);
        self.kept = self.kept.saturating_add(event.weight());
        self.transcript.push(TranscriptLine { seq: self.lines, at: self.now, event });
        if self.kept > TRANSCRIPT_MAX {
            let gone = self.transcript.len().div_ceil(4);
            let freed: usize = self.transcript.drain(..gone).map(|it| it.event.weight()).sum();
            self.kept = self.kept.saturating_sub(freed);
        }
    }

    fn touch(&mut self) {
        self.revision = self.revision.saturating_add(1);
    }

    fn user_of(&self, token: &Token) -> Option<&User> {
        if token.is_empty() { None } else { self.user_behind(&token_hash(token)) }
    }

    /// The user with the token of this hash.
    fn user_behind(&self, hash: &str) -> Option<&User> {
        self.users.iter().find(|user| user.token_hashes.iter().any(|it| it == hash))
    }

    fn owner(&self, account: &str) -> Option<&User> {
        self.users.iter().find(|user| user.accounts.iter().any(|it| it == account))
    }
}

fn token_hash(token: &Token) -> String {
    blake3::hash(token.reveal().as_bytes()).to_hex().to_string()
}

//! Stream sessions, order notices, heartbeats and market frames (TRADIER.md section 16).

use std::collections::BTreeSet;
use std::time::Duration;

use domain::market::{MarketEvent, OptionQuote, Quote, Trade};
use domain::money::Price;
use domain::secret::Token;
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::engine::Action;
use super::shape::uuid;

/// A session must be used within this time.
const LIFE: Duration = Duration::from_secs(300);
/// A stream that has nothing to tell says so this often.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// What a stream tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// Orders of the user's accounts.
    Account,
    /// Quotes and trades.
    Market,
}

impl StreamKind {
    /// The path it is reached at.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Account => "/v1/accounts/events",
            Self::Market => "/v1/markets/events",
        }
    }
}

/// A text for one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The session it goes to.
    pub session: String,
    /// The text.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamSession {
    kind: StreamKind,
    user: String,
    created: UtcNanos,
    attached: bool,
    excluded: BTreeSet<String>,
    symbols: BTreeSet<String>,
    filter: BTreeSet<String>,
}

/// A fact on its way to its owner's account stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) due: UtcNanos,
    pub(super) user: String,
    pub(super) account: String,
    pub(super) text: String,
}

/// Why a stream was not attached. Its text goes out as the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The message is not what a client sends first.
    #[error("{{\"error\":\"invalid subscription\"}}")]
    Message,
    /// No such session, or of the other stream, or older than five minutes.
    #[error("{{\"error\":\"session not found\"}}")]
    Session,
}

#[derive(Deserialize)]
struct Subscription {
    sessionid: String,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default, rename = "excludeAccounts")]
    excluded: BTreeSet<String>,
    #[serde(default)]
    symbols: BTreeSet<String>,
    #[serde(default)]
    filter: BTreeSet<String>,
}

impl Sandbox {
    pub(super) fn new_stream(&mut self, user: &str, kind: StreamKind) -> String {
        let now = self.now;
        // Never connected and too old to be: nobody will ask for it again.
        self.streams.retain(|_, it| it.attached || now.since(it.created) <= LIFE);
        let seed = self.rules.seed.to_le_bytes();
        let id = uuid(&[b"stream", &seed, &self.next_session.to_le_bytes(), user.as_bytes()]);
        self.next_session = self.next_session.saturating_add(1);
        let session = StreamSession {
            kind,
            user: user.to_owned(),
            created: now,
            attached: false,
            excluded: BTreeSet::new(),
            symbols: BTreeSet::new(),
            filter: BTreeSet::new(),
        };
        self.streams.insert(id.clone(), session);
        self.touch();
        id
    }

    /// Opens a stream session for the user behind `token`, as the request for one would; `None` for an unknown token.
    pub fn open_stream(&mut self, token: &Token, kind: StreamKind, now: UtcNanos) -> Option<String> {
        self.advance(now);
        let user = self.user_of(token)?.id.clone();
        Some(self.new_stream(&user, kind))
    }

    pub(super) fn stream_url(&self, kind: StreamKind) -> String {
        format!("{}{}", self.stream_base, kind.path())
    }

    /// Connects a stream by its client's first message, or changes its subscription by a later one. The user's older
    /// stream of the same kind ends.
    ///
    /// # Errors
    /// [`AttachError`]; its text is the frame to send before closing.
    pub fn attach(&mut self, now: UtcNanos, kind: StreamKind, message: &str) -> Result<String, AttachError> {
        self.advance(now);
        let ask: Subscription = serde_json::from_str(message).map_err(|_| AttachError::Message)?;
        let now = self.now;
        let found = self.streams.get_mut(&ask.sessionid).filter(|it| it.kind == kind);
        let session = found.filter(|it| it.attached || now.since(it.created) <= LIFE);
        let session = session.ok_or(AttachError::Session)?;
        if kind == StreamKind::Account && !ask.events.is_empty() && !ask.events.iter().any(|it| it == "order")
        {
            return Err(AttachError::Message);
        }
        let first = !session.attached;
        session.attached = true;
        session.excluded = ask.excluded;
        session.symbols = ask.symbols;
        session.filter = ask.filter;
        let user = session.user.clone();
        self.streams
            .retain(|id, it| *id == ask.sessionid || it.user != user || it.kind != kind || !it.attached);
        if first {
            self.schedule(now.plus(HEARTBEAT), Action::Heartbeat(ask.sessionid.clone()));
        }
        self.touch();
        Ok(ask.sessionid)
    }

    /// Forgets a stream whose connection is gone. Frames not yet taken are lost, as on the wire.
    pub fn detach(&mut self, session: &str) {
        if self.streams.remove(session).is_some() {
            self.touch();
        }
        self.frames.retain(|frame| frame.session != session);
    }

    /// Whether a stream is connected; a newer one of its user ends it.
    pub fn is_attached(&self, session: &str) -> bool {
        self.streams.get(session).is_some_and(|it| it.attached)
    }

    pub(super) fn detach_all(&mut self) {
        self.streams.retain(|_, it| !it.attached);
        self.frames.clear();
    }

    /// What is to be sent now, in order.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        self.frames.drain(..).collect()
    }

    /// Whether an account stream of `user` is connected.
    pub(super) fn listens(&self, user: &str) -> bool {
        self.streams.values().any(|it| it.attached && it.kind == StreamKind::Account && it.user == user)
    }

    pub(super) fn release_notices(&mut self) {
        while self.notices.front().is_some_and(|it| it.due <= self.now) {
            let Some(notice) = self.notices.pop_front() else { break };
            for (id, session) in &self.streams {
                let wants = session.attached
                    && session.kind == StreamKind::Account
                    && session.user == notice.user
                    && !session.excluded.contains(&notice.account);
                if wants {
                    self.frames.push_back(Frame { session: id.clone(), text: notice.text.clone() });
                }
            }
        }
    }

    pub(super) fn heartbeat(&mut self, session: &str) {
        let Some(stream) = self.streams.get(session).filter(|it| it.attached) else { return };
        let text = match stream.kind {
            StreamKind::Account => {
                format!(r#"{{"event":"heartbeat","status":"active","timestamp":"{}"}}"#, self.now)
            }
            StreamKind::Market => format!(r#"{{"type":"heartbeat","timestamp":"{}"}}"#, self.now),
        };
        self.frames.push_back(Frame { session: session.to_owned(), text });
        self.schedule(self.now.plus(HEARTBEAT), Action::Heartbeat(session.to_owned()));
    }

    pub(super) fn stream_market(&mut self, event: &MarketEvent) {
        if !self.streams.values().any(|it| it.attached && it.kind == StreamKind::Market) {
            return;
        }
        let (symbol, sort, text) = match event {
            MarketEvent::Trade(underlying, trade) => {
                (underlying.to_string(), "trade", trade_text(underlying.as_str(), trade))
            }
            MarketEvent::Quote(underlying, quote) => {
                (underlying.to_string(), "quote", stock_text(underlying.as_str(), quote))
            }
            MarketEvent::OptionQuote(series, quote) => {
                let symbol = series.to_string();
                let text = option_text(&symbol, quote);
                (symbol, "quote", text)
            }
        };
        for (id, session) in &self.streams {
            let wants = session.attached
                && session.kind == StreamKind::Market
                && session.symbols.contains(&symbol)
                && (session.filter.is_empty() || session.filter.contains(sort));
            if wants {
                self.frames.push_back(Frame { session: id.clone(), text: text.clone() });
            }
        }
    }
}

#[derive(Serialize)]
struct QuoteFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    symbol: &'a str,
    bid: f64,
    bidsz: u32,
    bidexch: &'static str,
    biddate: String,
    ask: f64,
    asksz: u32,
    askexch: &'static str,
    askdate: String,
}

fn option_text(symbol: &str, quote: &OptionQuote) -> String {
    let price = |it: Option<Price>| it.map_or(0.0, Price::to_f64);
    quote_text(symbol, "C", quote.ts, (price(quote.bid), quote.bid_size), (price(quote.ask), quote.ask_size))
}

fn stock_text(symbol: &str, quote: &Quote) -> String {
    let side = |it: Option<domain::market::QuoteSide>| {
        it.map_or((0.0, 0), |it| (it.price.to_f64(), it.size.unwrap_or(0)))
    };
    quote_text(symbol, "Q", quote.ts, side(quote.bid), side(quote.ask))
}

fn quote_text(
    symbol: &str,
    exchange: &'static str,
    ts: UtcNanos,
    bid: (f64, u32),
    ask: (f64, u32),
) -> String {
    let date = ts.millis().to_string();
    let frame = QuoteFrame {
        kind: "quote",
        symbol,
        bid: bid.0,
        bidsz: bid.1,
        bidexch: exchange,
        biddate: date.clone(),
        ask: ask.0,
        asksz: ask.1,
        askexch: exchange,
        askdate: date,
    };
    serde_json::to_string(&frame).unwrap_or_default()
}

#[derive(Serialize)]
struct TradeFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    symbol: &'a str,
    exch: &'static str,
    price: String,
    size: String,
    cvol: String,
    date: String,
    last: String,
}

fn trade_text(symbol: &str, trade: &Trade) -> String {
    let price = trade.price.to_string();
    let frame = TradeFrame {
        kind: "trade",
        symbol,
        exch: "Q",
        price: price.clone(),
        size: trade.size.to_string(),
        cvol: trade.size.to_string(),
        date: trade.ts.millis().to_string(),
        last: price,
    };
    serde_json::to_string(&frame).unwrap_or_default()
}

//! What really happened at the broker, line by line: the ground truth of a run.

use domain::account::AccountType;
use domain::money::{Price, Usd};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::faults::Fault;
use super::instrument::Instrument;
use super::order::{LegSide, Lifetime, OrderClass, OrderType};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptLine {
    /// From 1, without gaps over the life of a sandbox, restarts included.
    pub seq: u64,
    /// Market time.
    pub at: UtcNanos,
    /// What happened.
    #[serde(flatten)]
    pub event: TranscriptEvent,
}

/// A leg of an accepted order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedLeg {
    /// What it trades.
    #[serde(rename = "series")]
    pub instrument: Instrument,
    /// What it does.
    pub side: LegSide,
    /// Contracts or shares.
    pub quantity: u32,
}

/// A leg of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilledLeg {
    /// What it trades.
    #[serde(rename = "series")]
    pub instrument: Instrument,
    /// What it does.
    pub side: LegSide,
    /// Contracts or shares.
    pub quantity: u32,
    /// Price per share.
    pub price: Price,
    /// Charges taken from the account.
    pub fee: Usd,
}

/// What happened. No event carries a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum TranscriptEvent {
    /// A session began.
    SessionOpened {
        /// Its New York date.
        date: Date,
        /// When it closes.
        close: UtcNanos,
    },
    /// An account as it stood when a session began.
    Account {
        /// Its number.
        account: String,
        /// Margin, pattern day trader or cash.
        kind: AccountType,
        /// Dollars.
        cash: Usd,
    },
    /// A request and its answer. Long bodies are left out; their length and hash stay.
    Request {
        /// Who called; absent when nobody was recognised.
        user: Option<String>,
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// Query, then form.
        params: Vec<(String, String)>,
        /// The HTTP status.
        status: u16,
        /// The body, or `<n bytes, blake3 h>`.
        body: String,
    },
    /// An order was received.
    Accepted {
        /// Its account.
        account: String,
        /// Its number.
        order: u64,
        /// What it is made of.
        class: OrderClass,
        /// How it is priced.
        kind: OrderType,
        /// How long it works.
        duration: Lifetime,
        /// The limit.
        price: Option<Price>,
        /// The stop.
        stop: Option<Price>,
        /// Whatever its sender called it.
        tag: Option<String>,
        /// Whether it came from elsewhere than the API.
        foreign: bool,
        /// Its legs; of a bracket those of all its orders.
        legs: Vec<AcceptedLeg>,
        /// The bracket it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<u64>,
    },
    /// An order went to the market.
    Opened {
        /// Its account.
        account: String,
        /// Its number.
        order: u64,
    },
    /// An order was refused after it was received.
    Rejected {
        /// Its account.
        account: String,
        /// Its number.
        order: u64,
        /// Why.
        reason: String,
    },
    /// An order's terms changed.
    Changed {
        /// Its account.
        account: String,
        /// Its number.
        order: u64,
        /// The limit now.
        price: Option<Price>,
        /// The stop now.
        stop: Option<Price>,
    },
    /// A cancel was asked for; it decides nothing yet.
    CancelRequested {
        /// Its account.
        account: String,
        /// Its number.
        order: u64,
    },
    /// One execution, all legs of it.
    Filled {
        /// Its account.
        account: String,
        /// The order's number.
        order: u64,
        /// Each leg's part, in order.
        legs: Vec<FilledLeg>,
        /// Whether the order is done.
        whole: bool,
    },
    /// An order ended by a cancel, or by the broker's own after the close.
    Canceled {
        /// Its account.
        account: String,
        /// Its number.
        order: u64,
    },
    /// A day order ended with its day.
    Expired {
        /// Its account.
        account: String,
        /// Its number.
        order: u64,
    },
    /// A fault on demand struck.
    FaultStruck {
        /// Which.
        fault: Fault,
        /// The rule's number in its script, from 1; absent for one that was drawn by its rate.
        rule: Option<usize>,
        /// What it struck.
        on: String,
    },
    /// The session closed.
    SessionClosed {
        /// Its New York date.
        date: Date,
    },
    /// A position turned into cash.
    Settled {
        /// Its account.
        account: String,
        /// The series.
        series: OccSymbol,
        /// Contracts, below zero when short.
        quantity: i64,
        /// Worth per share.
        value: Usd,
        /// What the account received, below zero when it paid.
        cash: Usd,
    },
    /// A position in options turned into shares, by exercise when it was long, by assignment when it was short.
    Delivered {
        /// Its account.
        account: String,
        /// The series.
        series: OccSymbol,
        /// Contracts, below zero when short.
        quantity: i64,
        /// Shares that came, below zero for shares that went.
        shares: i64,
        /// What the account received at the strike, below zero when it paid.
        cash: Usd,
    },
}

impl TranscriptEvent {
    /// Bytes it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        const LINE: usize = 400;
        let Self::Request { path, params, body, .. } = self else { return LINE };
        let params =
            params.iter().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(48));
        params.fold(LINE.saturating_add(path.len()).saturating_add(body.len()), usize::saturating_add)
    }
}

/// A body as the transcript keeps it.
pub(crate) fn body_text(body: &[u8]) -> String {
    const KEPT: usize = 4_096;
    if body.len() <= KEPT {
        return match std::str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
    }
    format!("<{} bytes, blake3 {}>", body.len(), blake3::hash(body).to_hex())
}

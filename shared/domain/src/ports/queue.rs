//! Queues and what travels through them.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::account::AccountRef;
use crate::ids::{BrokerOrderId, IntentId, SetupId};
use crate::time::UtcNanos;

/// Which queue a message goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queue {
    /// Setup transitions.
    Transitions,
    /// Opening intents and their follow-ups.
    Entries,
    /// Closing intents and their follow-ups.
    Exits,
    /// Events of the broker's account streams.
    BrokerEvents,
    /// The flatten and its follow-ups.
    Flatten,
    /// Alerts, delivered by `notify`.
    Alerts,
}

impl Queue {
    /// All queues, in the order a single worker would drain them: exits before entries.
    pub const ALL: [Self; 6] =
        [Self::Flatten, Self::Exits, Self::BrokerEvents, Self::Transitions, Self::Entries, Self::Alerts];

    /// The queue's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transitions => "transitions",
            Self::Entries => "entries",
            Self::Exits => "exits",
            Self::BrokerEvents => "broker-events",
            Self::Flatten => "flatten",
            Self::Alerts => "alerts",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// What travels through a queue. `wire` gives each a version and its spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum Message {
    /// A setup took a step.
    Transition {
        /// The setup.
        setup: SetupId,
        /// Its step.
        sequence: u32,
        /// How often the message was early and rewritten.
        tries: u16,
    },
    /// Work an intent one step further.
    Step {
        /// Whose.
        account: AccountRef,
        /// Which.
        intent: IntentId,
        /// The version this step was written for; another one means somebody moved on, and the message is done.
        #[serde(rename = "intentVersion")]
        version: i64,
        /// How often the message was early and rewritten.
        tries: u16,
    },
    /// The account stream spoke of an order: poll it.
    BrokerOrder {
        /// Whose.
        account: AccountRef,
        /// Which.
        order: BrokerOrderId,
    },
    /// Close what we own in series that stop trading on `session`, one pass.
    Flatten {
        /// Whose.
        account: AccountRef,
        /// The session's date.
        session: Date,
        /// Whether it starts now, whatever the hour: a hard stop, or the operator's word.
        #[serde(default)]
        at_once: bool,
    },
    /// Tell somebody.
    Alert {
        /// A key under which it is told once: `not_flat:<account>:<date>`.
        key: String,
        /// `critical`, `warning` or `info`.
        level: String,
        /// One sentence.
        text: String,
    },
}

impl Message {
    /// The queue it belongs to; a step's follows from its intent's effect.
    pub const fn queue(&self, opens: bool) -> Queue {
        match self {
            Self::Transition { .. } => Queue::Transitions,
            Self::Step { .. } if opens => Queue::Entries,
            Self::Step { .. } => Queue::Exits,
            Self::BrokerOrder { .. } => Queue::BrokerEvents,
            Self::Flatten { .. } => Queue::Flatten,
            Self::Alert { .. } => Queue::Alerts,
        }
    }

    /// An early message as it was written first, with how often it was rewritten; `None` for one that never was.
    pub fn rewritten(&self) -> Option<(Self, u16)> {
        match self {
            Self::Transition { setup, sequence, tries } if *tries > 0 => {
                Some((Self::Transition { setup: *setup, sequence: *sequence, tries: 0 }, *tries))
            }
            Self::Step { account, intent, version, tries } if *tries > 0 => {
                Some((Self::Step { account: *account, intent: *intent, version: *version, tries: 0 }, *tries))
            }
            Self::Transition { .. }
            | Self::Step { .. }
            | Self::BrokerOrder { .. }
            | Self::Flatten { .. }
            | Self::Alert { .. } => None,
        }
    }
}

/// A message waiting to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Ascending with the order of writing.
    pub id: i64,
    /// Where to.
    pub queue: Queue,
    /// What.
    pub message: Message,
    /// Not before.
    pub due_at: UtcNanos,
}

/// A message that cannot be worked, kept with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue it came from.
    pub queue: String,
    /// Its id there.
    pub message_id: String,
    /// Why, in one sentence.
    pub reason: String,
    /// When.
    pub at: UtcNanos,
}

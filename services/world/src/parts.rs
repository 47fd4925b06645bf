//! What a day is run on.

use domain::account::{AccountRef, Switches};
use domain::market::MarketEvent;
use domain::ports::{Brokers, Clock, Ledger, OwnedNotes, Queue, Secrets, SendError, Sender};
use domain::time::UtcNanos;

/// A clock that the day moves.
pub trait SteeredClock: Clock {
    /// Moves to `to`; an earlier instant changes nothing.
    fn advance_to(&self, to: UtcNanos);
}

/// A message in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The queue's id of the message.
    pub id: String,
    /// What gives it back or deletes it.
    pub receipt: String,
    /// Its body.
    pub body: String,
    /// How often it was received, this time included.
    pub receives: u32,
}

/// Queues that can be read as well as written.
#[allow(async_fn_in_trait, reason = "a day is driven by one caller")]
pub trait Mailboxes: Sender {
    /// Takes what is visible in a queue in hand; empty when nothing is.
    async fn receive(&self, queue: Queue) -> Result<Vec<Delivery>, SendError>;

    /// The message was worked.
    async fn delete(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError>;

    /// The message was not worked: visible again at once, counted.
    async fn give_back(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError>;

    /// The message was received too often: it goes to the dead letters.
    async fn bury(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError>;
}

/// A frame of an account's stream, for its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFrame {
    /// Whose stream it came on.
    pub account: AccountRef,
    /// Its text.
    pub text: String,
}

/// The broker as something that happens in time: the market reaches it, and what it does on its own falls due.
#[allow(async_fn_in_trait, reason = "a day is driven by one caller")]
pub trait Venue {
    /// The market moved.
    fn on_market(&self, event: &MarketEvent);

    /// When something falls due next.
    fn next_due(&self) -> Option<UtcNanos>;

    /// Time has come to `now`.
    fn advance(&self, now: UtcNanos);

    /// Frames of account streams that arrived, all of those sent so far.
    async fn frames(&self) -> Vec<AccountFrame>;
}

/// Everything a day is run on.
pub trait Parts {
    /// The books.
    type Ledger: Ledger;
    /// The brokers.
    type Brokers: Brokers;
    /// Notes of what is owned.
    type Notes: OwnedNotes;
    /// Where tokens live.
    type Secrets: Secrets;
    /// The queues.
    type Mail: Mailboxes;
    /// The broker in time.
    type Venue: Venue;
    /// The market's clock.
    type Clock: SteeredClock;

    /// The books.
    fn ledger(&self) -> &Self::Ledger;
    /// The brokers.
    fn brokers(&self) -> &Self::Brokers;
    /// Notes of what is owned.
    fn notes(&self) -> &Self::Notes;
    /// Where tokens live.
    fn secrets(&self) -> &Self::Secrets;
    /// The queues.
    fn mail(&self) -> &Self::Mail;
    /// The broker in time.
    fn venue(&self) -> &Self::Venue;
    /// The market's clock.
    fn clock(&self) -> &Self::Clock;
    /// The deployment's switches.
    fn switches(&self) -> Switches;
}

//! The ledger in memory, with the semantics PostgreSQL has.
//!
//! Both pass [`crate::conformance`]; what a write makes of an intent and what follows from the fills is
//! [`domain::books`], the same code for both. What is left to each ledger is keys, order and atomicity:
//!
//! - **Accounts** exist from their first stored credential. A method called with a user who does not own the account
//!   reads nothing and is refused when it writes; so is a write about an account or an intent that is not there.
//! - **Keys**: a transition by (setup, sequence), an intent by its id, a bar by (symbol, start), a snapshot and a
//!   reconciliation by (account, instant), a dead letter by (queue, message id), a report by (account, session). The
//!   first write wins, but for reports and checkpoints, where the last does.
//! - **Versions** start at 1 and rise with every write to an intent. Checks come in this order: the intent is there,
//!   the fence is the account's, the version is the one read, then the rules of [`domain::books`].
//! - **Fences**: every taking of a lease raises the fence. A write is refused as late when its fence is not the
//!   latest; a lease that ran out but was taken by nobody still lets its holder write.
//! - **The outbox** is ordered by (due, id). Two unsent rows never carry the same message for the same queue and
//!   instant: the second write changes nothing. An alert is written once per key, sent or not.
//! - **Follow-ups**: a transaction that leaves an intent in a state that is not final writes exactly one step for
//!   its new version. A final intent may leave one, to ask for a price that is still missing.
//! - **The kill switch** is read in [`Ledger::mark_submitting`] for entries alone: an exit is marked whatever it
//!   says. A flip to `safe_mode` or `hard_stop` asks every entry it covers that is not final to stop; all accounts
//!   are at the broker [`BROKER`].
//! - **Settlement** is booked once per entry, as a fill of the entry under [`domain::books::SETTLEMENT`].
//!
//! There is no clock, no randomness and no thread. [`State`] is a value: cloning it is a snapshot.

mod act;
mod breakable;
mod members;
mod port;
mod read;
mod state;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

pub use breakable::Breakable;
pub use state::{AuditLine, BROKER, State};

use domain::gate::GateCheck;
use domain::ids::{AccountId, IntentId};
use domain::kill::{KillRow, KillScope};
use domain::market::Microbar;
#[expect(unused_imports, reason = "linked from the module's documentation")]
use domain::ports::Ledger;
use domain::ports::{DeadLetter, IntentView};
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use jiff::civil::Date;

/// The books in memory. See the module for their rules.
#[derive(Debug, Default)]
pub struct MemLedger {
    state: RefCell<State>,
}

impl MemLedger {
    /// Empty books.
    pub fn new() -> Self {
        Self::default()
    }

    /// Books that go on from a snapshot.
    pub const fn from_state(state: State) -> Self {
        Self { state: RefCell::new(state) }
    }

    /// A snapshot.
    pub fn snapshot(&self) -> State {
        self.state.borrow().clone()
    }

    /// Looks at an intent where it lies.
    pub fn look<T>(&self, intent: IntentId, at: impl FnOnce(&IntentView) -> T) -> Option<T> {
        self.state.borrow().intents.get(&intent).map(|it| at(&it.view))
    }

    /// Every intent of every account, in order of ids.
    pub fn intent_ids(&self) -> Vec<IntentId> {
        self.state.borrow().intents.keys().copied().collect()
    }

    /// The kill switch's row of a scope.
    pub fn kill_row(&self, scope: &KillScope) -> Option<KillRow> {
        self.state.borrow().kill.get(scope).cloned()
    }

    /// When the first unsent message is due.
    pub fn outbox_due(&self) -> Option<UtcNanos> {
        self.state.borrow().outbox.next_due()
    }

    /// What was written, in order: when, to which account, what.
    pub fn audit(&self) -> Vec<AuditLine> {
        self.state.borrow().audit.clone()
    }

    /// The gates kept with an intent: of its decision, then of each later pass.
    pub fn gates(&self, intent: IntentId) -> Vec<GateCheck> {
        self.state.borrow().intents.get(&intent).map(|it| it.gates.clone()).unwrap_or_default()
    }

    /// The breakdown kept with an intent's decision.
    pub fn breakdown(&self, intent: IntentId) -> String {
        self.state.borrow().intents.get(&intent).map(|it| it.breakdown.clone()).unwrap_or_default()
    }

    /// Messages that could not be worked, by queue and id.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.state.borrow().dead_letters.values().cloned().collect()
    }

    /// Keys of every alert written so far.
    pub fn alerted(&self) -> Vec<String> {
        self.state.borrow().outbox.alerted().cloned().collect()
    }

    /// Stored bars of a symbol, in order.
    pub fn microbars(&self, symbol: Underlying) -> Vec<Microbar> {
        let state = self.state.borrow();
        state.microbars.get(&symbol).map(|bars| bars.values().copied().collect()).unwrap_or_default()
    }

    /// The report of an account's session.
    pub fn report(&self, account: AccountId, session: Date) -> Option<String> {
        self.state.borrow().reports.get(&(account, session)).map(|it| it.0.clone())
    }
}

//! What is written and read of one intent.

use super::super::queue::{Message, Queue};
use super::Fence;
use crate::account::AccountRef;
use crate::gate::GateCheck;
use crate::ids::{AttemptNo, IntentId, OrderTag};
use crate::intent::{IntentState, OrderIntent};
use crate::kill::{KillRow, KillScope};
use crate::money::{Price, Side};
use crate::order::{Attempt, ComboAttempt, Mark, Touch};
use crate::position::Fill;
use crate::symbol::OccSymbol;
use crate::time::UtcNanos;

/// An intent to be written with the gates that decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewIntent {
    /// The intent.
    pub intent: OrderIntent,
    /// `Ready`, `Blocked` or `WouldSubmit`. Ready writes its first step into the outbox, the others no message. A
    /// flatten's intent is written `Working`, also without a message: the flatten works it itself.
    pub state: IntentState,
    /// Why it is blocked; empty when ready.
    pub reason: String,
    /// The gates as they stood.
    pub gates: Vec<GateCheck>,
    /// The sizing or whatever else explains it, as JSON text; empty for none.
    pub breakdown: String,
    /// Market time.
    pub at: UtcNanos,
}

impl NewIntent {
    /// An intent that no gate is asked for: a close, or what follows from an entry. Its first step is due at once.
    pub const fn ready(intent: OrderIntent, at: UtcNanos) -> Self {
        Self {
            intent,
            state: IntentState::Ready,
            reason: String::new(),
            gates: Vec::new(),
            breakdown: String::new(),
            at,
        }
    }

    /// When its first step is due: when it is written, or at its turn where it waits for one.
    pub fn first_step_due(&self) -> UtcNanos {
        match &self.intent {
            OrderIntent::Opening(it) => it.release_at.map_or(self.at, |turn| turn.max(self.at)),
            OrderIntent::Closing(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => self.at,
        }
    }
}

/// An intent with everything recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub struct IntentView {
    /// The intent.
    pub intent: OrderIntent,
    /// Where it stands.
    pub state: IntentState,
    /// Why it stands there.
    pub reason: String,
    /// Its attempts, in order.
    pub attempts: Vec<Attempt>,
    /// Fills of all attempts, in order of recording.
    pub fills: Vec<Fill>,
    /// Contracts executed over all attempts.
    pub filled: u32,
    /// Somebody asked it to stop; at the next step its order is cancelled and confirmed.
    pub stop_requested: bool,
    /// Raised by every write.
    pub version: i64,
}

impl IntentView {
    /// Whether a recorded execution of `attempt` lacks a price that is known now.
    pub fn is_priced_by(&self, attempt: &Attempt) -> bool {
        let said = |series: &OccSymbol| match &attempt.combo {
            None => attempt.average.is_some(),
            Some(combo) => combo.legs.iter().any(|it| it.series == *series && it.average.is_some()),
        };
        self.fills.iter().any(|it| it.attempt == attempt.no && it.price.is_none() && said(&it.series))
    }

    /// The attempt worked on, the last.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }
}

/// Asks for the right to send: the row that must be committed before a request leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct MarkRequest {
    /// Whose.
    pub account: AccountRef,
    /// Which intent.
    pub intent: IntentId,
    /// The version read.
    pub version: i64,
    /// The account's lease.
    pub fence: Fence,
    /// Which attempt; it must be the one after the last.
    pub attempt: AttemptNo,
    /// Buy or sell; of an order on a structure, whether it opens or closes.
    pub side: Side,
    /// Contracts; of an order on a structure, units.
    pub quantity: u32,
    /// The limit.
    pub price: Price,
    /// The legs of an order on a structure with its net limit; `None` for a single long.
    pub combo: Option<ComboAttempt>,
    /// The market it is sent into, where it was two-sided.
    pub arrival: Option<Touch>,
    /// Scopes of the kill switch, read FOR SHARE in this transaction. Empty for closes.
    pub kill_scopes: Vec<KillScope>,
    /// The gates of the second pass, kept with the intent. Empty for closes.
    pub gates: Vec<GateCheck>,
    /// Market time.
    pub at: UtcNanos,
    /// When the outcome is asked for if no answer is recorded.
    pub follow_up: UtcNanos,
}

/// What a mark was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marking {
    /// Committed: the request may leave.
    Marked(Mark),
    /// The kill switch says no.
    Killed(KillRow),
    /// Somebody wrote in between.
    Stale,
    /// The lease is somebody else's.
    LeaseLost,
}

/// What the broker answered to the request of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whose.
    pub account: AccountRef,
    /// Which order.
    pub tag: OrderTag,
    /// The version read or marked.
    pub version: i64,
    /// The account's lease.
    pub fence: Fence,
    /// The attempt after the answer.
    pub attempt: Attempt,
    /// Where the intent stands after it, and why.
    pub state: IntentState,
    /// The reason with the state; empty for none.
    pub reason: String,
    /// In the broker's words, for the audit.
    pub broker_words: String,
    /// Market time.
    pub at: UtcNanos,
    /// When the intent takes its next step; `None` when it is final.
    pub follow_up: Option<UtcNanos>,
}

/// What a step found out or did: attempts as they stand, executions seen, and what follows. One transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Whose.
    pub account: AccountRef,
    /// Which intent.
    pub intent: IntentId,
    /// The version read.
    pub version: i64,
    /// The account's lease; `None` for reconciliation, which writes facts and sends nothing.
    pub fence: Option<Fence>,
    /// The attempts that changed.
    pub attempts: Vec<Attempt>,
    /// Executions seen: observations, not rows. `to` is the cumulative executed quantity of the order leg, `price`
    /// the average so far where the broker said one, `from` is ignored, `fees` is the charge for **one** contract.
    /// The ledger computes the stretch against what is recorded for (intent, attempt, series) and charges it `fees`
    /// times its contracts, anew when a later average completes its price; what is not above the record and
    /// completes nothing changes nothing. [`books::progressed`](crate::books::progressed) is that rule, for every
    /// ledger.
    pub fills: Vec<Fill>,
    /// Where the intent stands now, and why.
    pub state: IntentState,
    /// The reason with the state; empty for none.
    pub reason: String,
    /// Gates of a second pass that refused; empty otherwise.
    pub gates: Vec<GateCheck>,
    /// What happened, for the audit: `modified`, `cancel requested`, `polled`.
    pub what: String,
    /// Market time.
    pub at: UtcNanos,
    /// When the next step is due; refused when `None` leaves an intent that is not final.
    pub follow_up: Option<UtcNanos>,
    /// Other messages that leave with it: alerts, a flatten.
    pub also: Vec<(Queue, Message, UtcNanos)>,
}

//! The desk: record, gate, send, record. The only place that sends an order.
//!
//! An order leaves in four steps: the attempt's row is committed as `submitting` together with the message that will
//! ask for its outcome; the request is sent, once; what came back is recorded; what follows is a row in the outbox.
//! A crash between any two leaves a question, never a guess: the follow-up asks the broker for the attempt's tag.

#![forbid(unsafe_code)]

mod combo;

use std::cell::Cell;
use std::time::Duration;

use domain::account::{AccountRef, CredentialRecord, CredentialStatus};
use domain::gate::GateCheck;
use domain::ids::{AttemptNo, BrokerOrderId, IntentId, OrderTag};
use domain::intent::{Approved, CloseBound, ClosingIntent, IntentState, OpeningIntent};
use domain::kill::{KillRow, KillScope};
use domain::money::{Price, Side};
use domain::order::{
    Attempt, AttemptError, AttemptEvent, AttemptState, ComboAttempt, Mark, Ticket, Touch, Trace,
};
use domain::planted::{self, Bug};
use domain::ports::{
    Answer, BrokerError, BrokerPort, Clock, CredentialChange, Fence, Ledger, LedgerError, MarkRequest,
    Marking, REFUSED_TOKEN_AGE_MAX, UserMessage, Written,
};
use domain::symbol::OccSymbol;
use domain::ticket::{
    ComboLeg, ComboOpening, ComboTicket, CoveredClose, EmergencyToken, LegClose, MarketTicket, Net,
    ProtectiveTicket, StopLimit,
};
use domain::time::UtcNanos;

/// How long after its mark the outcome of an attempt is asked for when no answer was recorded.
pub const OUTCOME_ASKED_AFTER: Duration = Duration::from_secs(5);
/// How old the look-up of a derived tag may be when a flatten without the books sends under it.
pub const LOOKED_UP_WITHIN: Duration = Duration::from_secs(4);
/// How long after a lost answer the broker is asked for the tag.
pub const LOOK_UP_AFTER: Duration = Duration::from_secs(1);
/// How long after a refused close the next attempt is made.
pub const CLOSE_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Why a user is told about their token.
const CREDENTIAL_REFUSED: &str = "credential_refused";

/// Why the desk stopped in between. The attempt's row decides what is true.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The ledger did not take a write.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The answer does not fit the attempt.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
}

/// Where in an intent's life an order is sent.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Whose.
    pub account: AccountRef,
    /// The intent's version as it was read.
    pub version: i64,
    /// The account's lease.
    pub fence: Fence,
    /// The attempt to be made: the one after the last.
    pub attempt: AttemptNo,
    /// The limit, on the grid and within the plan.
    pub price: Price,
    /// The market it is sent into, where it was two-sided.
    pub arrival: Option<Touch>,
    /// When the intent takes its next step once the broker has the order.
    pub next_step: UtcNanos,
}

/// The net limit of an order on a structure, and the market of its legs that it is sent into.
#[derive(Debug, Clone, Copy)]
pub struct NetAt<'a> {
    /// The limit.
    pub net: Net,
    /// Bid and ask by series, where there were both.
    pub touches: &'a [(OccSymbol, Touch)],
}

/// A derived tag that no order of the account carries, and when the account's orders were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookedUp {
    /// The tag.
    pub tag: OrderTag,
    /// When.
    pub at: UtcNanos,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    /// The request was sent once and its answer recorded.
    Answered {
        /// The attempt after the answer.
        attempt: Attempt,
        /// The intent's version.
        version: i64,
    },
    /// The kill switch refused the mark; nothing was sent.
    Killed(KillRow),
    /// Somebody else wrote in between; nothing was sent, or the answer is theirs to record.
    Stale,
    /// The account's lease is somebody else's by now.
    LeaseLost,
}

/// The desk of one account.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a, L, B, C> {
    /// The books.
    pub ledger: &'a L,
    /// The account at its broker.
    pub broker: &'a B,
    /// Market time.
    pub clock: &'a C,
}

/// What differs between an entry and a close.
enum Kind<'a> {
    Entry {
        approved: &'a Approved<OpeningIntent>,
        scopes: Vec<KillScope>,
        gates: &'a [GateCheck],
    },
    Close {
        intent: &'a ClosingIntent,
        bound: &'a Approved<CloseBound>,
    },
    /// A close that rests: its terms, and how many moves of the trail they took in.
    Protection {
        intent: &'a ClosingIntent,
        bound: &'a Approved<CloseBound>,
        terms: StopLimit,
        moves: u16,
    },
    /// A close at any price, for which the token is given up.
    Market {
        intent: &'a ClosingIntent,
        bound: &'a Approved<CloseBound>,
        token: Cell<Option<EmergencyToken>>,
    },
    ComboEntry {
        intent: IntentId,
        approved: &'a Approved<ComboOpening>,
        scopes: Vec<KillScope>,
        gates: &'a [GateCheck],
        at: NetAt<'a>,
    },
    ComboClose {
        intent: IntentId,
        covered: &'a CoveredClose,
        at: NetAt<'a>,
    },
    LegClose {
        intent: IntentId,
        close: &'a LegClose,
        at: NetAt<'a>,
    },
}

impl Kind<'_> {
    fn opens(&self) -> bool {
        matches!(self, Kind::Entry { .. } | Kind::ComboEntry { .. })
    }

    fn quantity(&self) -> u32 {
        match self {
            Kind::Entry { approved, .. } => approved.get().quantity,
            Kind::Close { bound, .. } | Kind::Protection { bound, .. } | Kind::Market { bound, .. } => {
                bound.get().quantity()
            }
            Kind::ComboEntry { approved, .. } => approved.get().units,
            Kind::ComboClose { covered, .. } => covered.units(),
            Kind::LegClose { close, .. } => close.contracts(),
        }
    }

    /// The legs of an order on a structure.
    fn combo(&self) -> Option<ComboAttempt> {
        match self {
            Kind::Entry { .. } | Kind::Close { .. } | Kind::Protection { .. } | Kind::Market { .. } => None,
            Kind::ComboEntry { approved, at, .. } => {
                Some(ComboAttempt::of(approved.get().risk.legs(), at.net).met(at.touches))
            }
            Kind::ComboClose { covered, at, .. } => {
                Some(ComboAttempt::of(covered.legs(), at.net).met(at.touches))
            }
            Kind::LegClose { close, at, .. } => {
                let leg = ComboLeg { series: close.series(), side: close.side(), ratio: 1 };
                Some(ComboAttempt::of(&[leg], at.net).met(at.touches))
            }
        }
    }

    /// The one request of an attempt.
    async fn place<B: BrokerPort>(
        &self,
        broker: &B,
        mark: &Mark,
        price: Price,
    ) -> Result<BrokerOrderId, BrokerError> {
        match self {
            Kind::Entry { approved, .. } => {
                broker.place(&Ticket::buy_to_open(approved, mark, self.quantity(), price)).await
            }
            Kind::Close { intent, bound } => {
                broker.place(&Ticket::sell_to_close(bound, mark, intent.head.series, price)).await
            }
            Kind::Protection { intent, bound, terms, .. } => {
                let ticket = ProtectiveTicket::sell_to_close(bound, mark, intent.head.series, *terms);
                broker.place_protection(&ticket).await
            }
            Kind::Market { intent, bound, token } => match token.take() {
                Some(token) => {
                    let ticket = MarketTicket::sell_to_close(bound, mark, intent.head.series, token);
                    broker.place_market(&ticket).await
                }
                None => Err(BrokerError::NotSent { reason: "its emergency's token is used".to_owned() }),
            },
            Kind::ComboEntry { approved, at, .. } => {
                broker.place_combo(&ComboTicket::open(approved, mark, self.quantity(), at.net)).await
            }
            Kind::ComboClose { covered, at, .. } => {
                broker.place_combo(&ComboTicket::close(covered, mark, at.net)).await
            }
            Kind::LegClose { close, .. } => broker.place(&Ticket::close_leg(close, mark, price)).await,
        }
    }
}

impl<L: Ledger, B: BrokerPort, C: Clock> Desk<'_, L, B, C> {
    /// Sends an approved entry. The approval is used up.
    ///
    /// # Errors
    /// [`DeskError`] when the ledger fails. Before the mark nothing was sent; after it the follow-up asks.
    pub async fn submit_entry(
        &self,
        approved: Approved<OpeningIntent>,
        slot: Slot,
        scopes: Vec<KillScope>,
        gates: &[GateCheck],
    ) -> Result<Submitted, DeskError> {
        self.submit(Kind::Entry { approved: &approved, scopes, gates }, slot).await
    }

    /// Sends a close bounded by what is held. The bound is used up.
    ///
    /// # Errors
    /// [`DeskError`] when the ledger fails, as for entries.
    pub async fn submit_close(
        &self,
        intent: &ClosingIntent,
        bound: Approved<CloseBound>,
        slot: Slot,
    ) -> Result<Submitted, DeskError> {
        self.submit(Kind::Close { intent, bound: &bound }, slot).await
    }

    /// Sends a close at the market, in an emergency. The bound and the token are used up; the attempt's price is what it
    /// would have been offered at.
    ///
    /// # Errors
    /// [`DeskError`] when the ledger fails, as for entries.
    pub async fn submit_market(
        &self,
        intent: &ClosingIntent,
        bound: Approved<CloseBound>,
        slot: Slot,
        token: EmergencyToken,
    ) -> Result<Submitted, DeskError> {
        let token = Cell::new(Some(token));
        self.submit(Kind::Market { intent, bound: &bound, token }, slot).await
    }

    /// Sends a protection that rests at the broker, bounded by what is held. The bound is used up. The attempt's price is
    /// its limit, and its rung says how many moves of the trail its terms took in.
    ///
    /// # Errors
    /// [`DeskError`] when the ledger fails, as for entries.
    pub async fn submit_protection(
        &self,
        intent: &ClosingIntent,
        bound: Approved<CloseBound>,
        slot: Slot,
        terms: StopLimit,
        moves: u16,
    ) -> Result<Submitted, DeskError> {
        let slot = Slot { price: terms.limit(), ..slot };
        self.submit(Kind::Protection { intent, bound: &bound, terms, moves }, slot).await
    }

    /// Sends a flatten's close with the books down: the derived tag, looked up at `looked_up.at`, stands for the row. What the
    /// broker says is booked afterwards, by reconciliation.
    ///
    /// # Errors
    /// The broker's, sorted as ever; [`BrokerError::NotSent`] for a look-up older than [`LOOKED_UP_WITHIN`]. Nothing here
    /// sends twice.
    pub async fn submit_by_tag(
        &self,
        intent: &ClosingIntent,
        bound: Approved<CloseBound>,
        looked_up: LookedUp,
        price: Price,
    ) -> Result<BrokerOrderId, BrokerError> {
        let mark = self.mark_by_tag(looked_up)?;
        self.broker.place(&Ticket::sell_to_close(&bound, &mark, intent.head.series, price)).await
    }

    /// The mark of a close without a row. Whoever stood still since the look-up must look again.
    fn mark_by_tag(&self, LookedUp { tag, at }: LookedUp) -> Result<Mark, BrokerError> {
        let age = self.clock.now().since(at);
        if age < LOOKED_UP_WITHIN {
            return Ok(Mark { tag, at, version: 0 });
        }
        let allowed = LOOKED_UP_WITHIN.as_millis();
        let reason = format!("its tag was looked up {} ms ago, {allowed} are allowed", age.as_millis());
        Err(BrokerError::NotSent { reason })
    }

    async fn submit(&self, kind: Kind<'_>, slot: Slot) -> Result<Submitted, DeskError> {
        let mark = match self.ledger.mark_submitting(&self.mark_request(&kind, &slot)).await? {
            Marking::Marked(mark) => mark,
            Marking::Killed(row) => return Ok(Submitted::Killed(row)),
            Marking::Stale => return Ok(Submitted::Stale),
            Marking::LeaseLost => return Ok(Submitted::LeaseLost),
        };
        // Whoever stood still since the mark is too late: the outcome is being asked for, and a close goes on without it.
        let age = self.clock.now().since(mark.at);
        let mut reply = if age < OUTCOME_ASKED_AFTER {
            kind.place(self.broker, &mark, slot.price).await
        } else {
            let reason = format!("the attempt was marked {} ms ago, 5000 are allowed", age.as_millis());
            Err(BrokerError::NotSent { reason })
        };
        if planted::is(Bug::RetryPost) && matches!(reply, Err(BrokerError::Unknown { .. })) {
            reply = kind.place(self.broker, &mark, slot.price).await;
        }
        if let Err(BrokerError::Authentication { .. }) = &reply {
            // Its user is told once; what was held stays visible and closable by hand. Whoever works an order may have stood
            // still since it read the token.
            self.ledger
                .change_credential(
                    &slot.account,
                    &CredentialChange::Refused,
                    mark.at.minus(REFUSED_TOKEN_AGE_MAX * 5),
                )
                .await?;
            self.tell_refused(&slot.account).await?;
        }
        self.record(&kind, &slot, &mark, reply).await
    }

    /// Tells a user whose token is marked as refused; one that was replaced since is not.
    async fn tell_refused(&self, account: &AccountRef) -> Result<(), DeskError> {
        let records = self.ledger.credentials(account.user).await?;
        let is_refused = |it: &CredentialRecord| {
            it.account.account == account.account && it.status == CredentialStatus::Refused
        };
        if !records.iter().any(is_refused) {
            return Ok(());
        }
        let message = UserMessage {
            user: account.user,
            reason: CREDENTIAL_REFUSED.to_owned(),
            key: CREDENTIAL_REFUSED.to_owned(),
            text: "your broker refuses the stored token: store a new one, nothing is opened until then"
                .to_owned(),
            at: self.clock.now(),
        };
        self.ledger.tell_user(&message).await?;
        Ok(())
    }

    fn mark_request(&self, kind: &Kind<'_>, slot: &Slot) -> MarkRequest {
        let at = self.clock.now();
        let (intent, side, kill_scopes, gates) = match kind {
            Kind::Entry { approved, scopes, gates } => {
                (approved.get().head.id, Side::Buy, scopes.clone(), gates.to_vec())
            }
            Kind::Close { intent, .. } | Kind::Protection { intent, .. } | Kind::Market { intent, .. } => {
                (intent.head.id, Side::Sell, Vec::new(), Vec::new())
            }
            Kind::ComboEntry { intent, scopes, gates, .. } => {
                (*intent, Side::Buy, scopes.clone(), gates.to_vec())
            }
            Kind::ComboClose { intent, .. } | Kind::LegClose { intent, .. } => {
                (*intent, Side::Sell, Vec::new(), Vec::new())
            }
        };
        MarkRequest {
            account: slot.account,
            intent,
            version: slot.version,
            fence: slot.fence,
            attempt: slot.attempt,
            side,
            quantity: kind.quantity(),
            price: slot.price,
            combo: kind.combo(),
            arrival: slot.arrival,
            kill_scopes,
            gates,
            at,
            follow_up: at.plus(OUTCOME_ASKED_AFTER),
        }
    }

    async fn record(
        &self,
        kind: &Kind<'_>,
        slot: &Slot,
        mark: &Mark,
        reply: Result<BrokerOrderId, BrokerError>,
    ) -> Result<Submitted, DeskError> {
        let at = self.clock.now();
        let broker_words =
            reply.as_ref().map_or_else(ToString::to_string, |id| format!("accepted as order {id}"));
        let is_acked = reply.is_ok();
        let mut attempt = marked_attempt(kind, slot, mark).apply(&event_of(reply))?;
        attempt.trace.acked_at = is_acked.then_some(at);
        let (state, follow_up) = what_follows(kind.opens(), &attempt, slot, at);
        let answer = Answer {
            account: slot.account,
            tag: mark.tag,
            version: mark.version,
            fence: slot.fence,
            reason: if state == IntentState::Done {
                attempt.reason.clone().unwrap_or_default()
            } else {
                String::new()
            },
            attempt: attempt.clone(),
            state,
            broker_words,
            at,
            follow_up,
        };
        Ok(match self.ledger.record_answer(&answer).await? {
            Written::Version(version) => Submitted::Answered { attempt, version },
            Written::Stale => Submitted::Stale,
            Written::LeaseLost => Submitted::LeaseLost,
        })
    }
}

/// The attempt as the mark committed it.
fn marked_attempt(kind: &Kind<'_>, slot: &Slot, mark: &Mark) -> Attempt {
    let OrderTag { attempt: no, .. } = mark.tag;
    Attempt {
        no,
        state: AttemptState::Submitting,
        broker_order: None,
        side: if kind.opens() { Side::Buy } else { Side::Sell },
        quantity: kind.quantity(),
        price: slot.price,
        rung: match kind {
            Kind::Entry { .. }
            | Kind::Close { .. }
            | Kind::Market { .. }
            | Kind::ComboEntry { .. }
            | Kind::ComboClose { .. }
            | Kind::LegClose { .. } => 0,
            Kind::Protection { moves, .. } => *moves,
        },
        executed: 0,
        average: None,
        marked_at: mark.at,
        repriced_at: mark.at,
        cancel_at: None,
        reason: None,
        combo: kind.combo(),
        trace: Trace { arrival: slot.arrival, ..Trace::default() },
    }
}

/// What an answer to the one POST means for its attempt.
fn event_of(reply: Result<BrokerOrderId, BrokerError>) -> AttemptEvent {
    match reply {
        Ok(id) => AttemptEvent::Accepted(id),
        Err(BrokerError::Refused { reason }) => AttemptEvent::Refused(reason),
        // The gateway turned it away before it reached the broker.
        Err(BrokerError::Authentication { reason }) => AttemptEvent::Refused(reason),
        // The adapter's own budget held it back; a 429 of the broker comes as `Unknown`.
        Err(BrokerError::NotSent { .. } | BrokerError::RateLimited { .. }) => AttemptEvent::NotSent,
        Err(BrokerError::Unknown { .. } | BrokerError::Broken { .. }) => AttemptEvent::AnswerLost,
    }
}

/// An entry that is not at the broker is over; a close goes on.
fn what_follows(
    opens: bool,
    attempt: &Attempt,
    slot: &Slot,
    at: UtcNanos,
) -> (IntentState, Option<UtcNanos>) {
    match attempt.state {
        AttemptState::Working | AttemptState::PartiallyFilled => (IntentState::Working, Some(slot.next_step)),
        AttemptState::Created | AttemptState::Submitting | AttemptState::Unknown => {
            (IntentState::Working, Some(at.plus(LOOK_UP_AFTER)))
        }
        AttemptState::Filled
        | AttemptState::Canceled
        | AttemptState::Rejected
        | AttemptState::Expired
        | AttemptState::Missed => {
            if opens {
                (IntentState::Done, None)
            } else {
                (IntentState::Working, Some(at.plus(CLOSE_AGAIN_AFTER)))
            }
        }
    }
}

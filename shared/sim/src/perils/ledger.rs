//! The books behind a connection that breaks.

use std::rc::Rc;

use domain::account::{AccountRef, CredentialRecord, UserSettings};
use domain::chain::ChainSnapshot;
use domain::combo::OwnedCombo;
use domain::expiry::Expiry;
use domain::ids::{BrokerOrderId, ChainId, IntentId, SetupId, UserId};
use domain::kill::{KillRow, KillScope, Reading};
use domain::market::Microbar;
use domain::money::Usd;
use domain::ports::{
    Answer, CredentialChange, DayBook, DeadLetter, Fence, IntentView, KillFlip, Ledger, LedgerError,
    MarkRequest, Marking, Members, Message, NewIntent, OpeningContext, OutboxRow, Progress, Queue,
    ReconciliationRun, Recorded, SetupBook, Snapshot, StoredMessage, UserMessage, Written,
};
use domain::position::{FillSource, Owned};
use domain::setup::TransitionRecord;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;

use super::{Database, Peril, Perils, Port};

/// Whether a method writes: in a failover reads are still answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// A ledger whose every call may meet a peril.
#[derive(Debug)]
pub struct PerilousLedger<L> {
    inner: Rc<L>,
    perils: Rc<Perils>,
}

impl<L> PerilousLedger<L> {
    /// Over `inner`.
    pub const fn new(inner: Rc<L>, perils: Rc<Perils>) -> Self {
        Self { inner, perils }
    }

    /// Why the database does not answer, if so.
    fn away(&self, access: Access, peril: Option<Peril>) -> Option<&'static str> {
        match (self.perils.database(), access) {
            (Database::Down, _) => Some("the database is down"),
            (Database::ReadOnly, Access::Write) => Some("the database is read-only"),
            (Database::Up | Database::ReadOnly, _) if peril == Some(Peril::LostBefore) => {
                Some("the connection broke")
            }
            (Database::Up | Database::ReadOnly, _) => None,
        }
    }
}

macro_rules! perilous {
    ($($access:ident $name:ident($($argument:ident: $type:ty),*) -> $answer:ty
        $({ |$seen:pat_param, $told:ident| $tell:expr })?;)*) => {
        $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, LedgerError> {
            let port = if stringify!($name) == "mark_submitting" { Port::Mark } else { Port::Ledger };
            let peril = self.perils.enter(stringify!($name), port).await;
            let unavailable = |why: &str| {
                Err(LedgerError::Unavailable { what: stringify!($name), why: why.to_owned() })
            };
            if let Some(why) = self.away(Access::$access, peril.map(|it| it.0)) {
                self.perils.told(|it| it.unanswered(self.perils.running().task));
                return unavailable(why);
            }
            let answer = self.inner.$name($($argument),*).await;
            $(if let Ok($seen) = &answer {
                self.perils.told(|$told| $tell);
            })?
            self.perils.leave(peril).await;
            if peril.is_some_and(|it| it.0 == Peril::LostAfter) {
                return unavailable("the connection broke while the answer was on its way");
            }
            answer
        })*
    };
}

impl<L: Ledger> Members for PerilousLedger<L> {
    perilous! {
        Write tell_user(message: &UserMessage) -> Recorded;
        Read user_messages(user: UserId, limit: u32) -> Vec<StoredMessage>;
        Write read_message(user: UserId, id: i64, at: UtcNanos) -> bool;
        Write take_over(account: &AccountRef, series: &OccSymbol, contracts: u32, at: UtcNanos) -> ();
        Read taken_over(account: &AccountRef) -> Vec<(OccSymbol, u32)>;
        Write record_expiry(account: &AccountRef, expiry: &Expiry) -> Recorded;
        Read expiries(account: &AccountRef, session: Date) -> Vec<Expiry>;
        Write record_reading(reading: &Reading) -> ();
        Read readings(since: UtcNanos) -> Vec<Reading>;
    }
}

impl<L: Ledger> Ledger for PerilousLedger<L> {
    perilous! {
        Write store_chain(chain: &ChainSnapshot) -> ChainId;
        Write record_transition(record: &TransitionRecord, at: UtcNanos) -> Recorded;
        Write store_microbars(symbol: Underlying, bars: &[Microbar]) -> ();
        Write save_checkpoint(session: Date, checkpoint: &[u8]) -> ();
        Read checkpoint(session: Date) -> Option<Vec<u8>>;
        Write record_broker_event(account: &AccountRef, order: BrokerOrderId, at: UtcNanos) -> ();
        Read transition(setup: SetupId, sequence: u32) -> Option<TransitionRecord>;
        Read chain(id: ChainId) -> Option<ChainSnapshot>;
        Read handled_up_to(setup: SetupId) -> Option<u32>;
        Write mark_handled(setup: SetupId, sequence: u32) -> ();
        Read active_accounts() -> Vec<AccountRef>;
        Read opening_context(account: &AccountRef, session: Date, scopes: &[KillScope]) -> OpeningContext;
        Write record_intent(intent: &NewIntent) -> Recorded { |it, told| told.recorded(it, intent) };
        Read intents_of(account: &AccountRef, setup: SetupId) -> Vec<IntentView>;
        Read intent(account: &AccountRef, id: IntentId) -> Option<IntentView>;
        Read intent_of_order(account: &AccountRef, order: BrokerOrderId) -> Option<IntentId>;
        Read open_intents(account: &AccountRef) -> Vec<IntentView>;
        Write take_lease(account: &AccountRef, holder: &str, now: UtcNanos, until: UtcNanos) -> Option<Fence>;
        Write release_lease(account: &AccountRef, fence: Fence) -> ();
        Write mark_submitting(request: &MarkRequest) -> Marking { |it, told| told.marked(it, request) };
        Write record_answer(said: &Answer) -> Written { |it, told| told.answered(it, said) };
        Write record_progress(progress: &Progress) -> Written { |it, told| told.progressed(it, progress) };
        Write request_stop(account: &AccountRef, intent: IntentId, at: UtcNanos) -> ()
            { |(), told| told.stopped(account, intent) };
        Write send_later(queue: Queue, message: &Message, due_at: UtcNanos) -> () { |(), told| told.later(message) };
        Read due_outbox(now: UtcNanos, limit: u32) -> Vec<OutboxRow>;
        Read next_due() -> Option<UtcNanos>;
        Write mark_sent(ids: &[i64], at: UtcNanos) -> ();
        Write record_dead_letter(letter: &DeadLetter) -> ();
        Read owned(account: &AccountRef, session: Date) -> Vec<Owned>;
        Read structures(account: &AccountRef, session: Date) -> Vec<OwnedCombo>;
        Write record_snapshot(account: &AccountRef, snapshot: &Snapshot, reason: &str) -> ();
        Read snapshots(account: &AccountRef, session: Date) -> Vec<Snapshot>;
        Write record_reconciliation(account: &AccountRef, run: &ReconciliationRun) -> ()
            { |(), told| told.reconciled(account, run) };
        Write record_settlement(account: &AccountRef, opening: IntentId, price: Usd, at: UtcNanos, source: FillSource) -> Recorded;
        Write record_combo_settlement(account: &AccountRef, opening: IntentId, prices: &[(OccSymbol, Usd)], at: UtcNanos, source: FillSource) -> Recorded;
        Write flip_kill_switch(flip: &KillFlip) -> KillRow { |it, told| told.flipped(it, flip) };
        Read kill_switch() -> Vec<KillRow>;
        Write change_credential(account: &AccountRef, change: &CredentialChange, at: UtcNanos) -> ();
        Read credentials(user: UserId) -> Vec<CredentialRecord>;
        Read settings(user: UserId) -> UserSettings;
        Write store_settings(user: UserId, settings: &UserSettings) -> ();
        Read day_book(account: &AccountRef, session: Date) -> DayBook;
        Read setups(session: Date) -> Vec<SetupBook>;
        Write store_report(account: &AccountRef, session: Date, report: &str, at: UtcNanos) -> ();
    }
}

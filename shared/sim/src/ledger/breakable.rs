//! A ledger that can be taken down and brought up again.

use std::cell::Cell;

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

/// Passes every method on while it is up, and does not answer while it is down.
#[derive(Debug, Default)]
pub struct Breakable<L> {
    inner: L,
    is_down: Cell<bool>,
}

impl<L> Breakable<L> {
    /// Over `inner`, up.
    pub const fn new(inner: L) -> Self {
        Self { inner, is_down: Cell::new(false) }
    }

    /// Takes it down, or brings it up.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.set(is_down);
    }

    /// The ledger behind it, up or down.
    pub const fn inner(&self) -> &L {
        &self.inner
    }

    fn ask(&self, what: &'static str) -> Result<&L, LedgerError> {
        if self.is_down.get() {
            return Err(LedgerError::Unavailable { what, why: "taken down".to_owned() });
        }
        Ok(&self.inner)
    }
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, LedgerError> {
            self.ask(stringify!($name))?.$name($($argument),*).await
        })*
    };
}

impl<L: Ledger> Members for Breakable<L> {
    pass_on! {
        tell_user(message: &UserMessage) -> Recorded;
        user_messages(user: UserId, limit: u32) -> Vec<StoredMessage>;
        read_message(user: UserId, id: i64, at: UtcNanos) -> bool;
        take_over(account: &AccountRef, series: &OccSymbol, contracts: u32, at: UtcNanos) -> ();
        taken_over(account: &AccountRef) -> Vec<(OccSymbol, u32)>;
        record_expiry(account: &AccountRef, expiry: &Expiry) -> Recorded;
        expiries(account: &AccountRef, session: Date) -> Vec<Expiry>;
        record_reading(reading: &Reading) -> ();
        readings(since: UtcNanos) -> Vec<Reading>;
    }
}

impl<L: Ledger> Ledger for Breakable<L> {
    pass_on! {
        store_chain(chain: &ChainSnapshot) -> ChainId;
        record_transition(record: &TransitionRecord, at: UtcNanos) -> Recorded;
        store_microbars(symbol: Underlying, bars: &[Microbar]) -> ();
        save_checkpoint(session: Date, checkpoint: &[u8]) -> ();
        checkpoint(session: Date) -> Option<Vec<u8>>;
        record_broker_event(account: &AccountRef, order: BrokerOrderId, at: UtcNanos) -> ();
        transition(setup: SetupId, sequence: u32) -> Option<TransitionRecord>;
        chain(id: ChainId) -> Option<ChainSnapshot>;
        handled_up_to(setup: SetupId) -> Option<u32>;
        mark_handled(setup: SetupId, sequence: u32) -> ();
        active_accounts() -> Vec<AccountRef>;
        opening_context(account: &AccountRef, session: Date, scopes: &[KillScope]) -> OpeningContext;
        record_intent(intent: &NewIntent) -> Recorded;
        intents_of(account: &AccountRef, setup: SetupId) -> Vec<IntentView>;
        intent(account: &AccountRef, id: IntentId) -> Option<IntentView>;
        intent_of_order(account: &AccountRef, order: BrokerOrderId) -> Option<IntentId>;
        open_intents(account: &AccountRef) -> Vec<IntentView>;
        take_lease(account: &AccountRef, holder: &str, now: UtcNanos, until: UtcNanos) -> Option<Fence>;
        release_lease(account: &AccountRef, fence: Fence) -> ();
        mark_submitting(request: &MarkRequest) -> Marking;
        record_answer(answer: &Answer) -> Written;
        record_progress(progress: &Progress) -> Written;
        request_stop(account: &AccountRef, intent: IntentId, at: UtcNanos) -> ();
        send_later(queue: Queue, message: &Message, due_at: UtcNanos) -> ();
        due_outbox(now: UtcNanos, limit: u32) -> Vec<OutboxRow>;
        next_due() -> Option<UtcNanos>;
        mark_sent(ids: &[i64], at: UtcNanos) -> ();
        record_dead_letter(letter: &DeadLetter) -> ();
        owned(account: &AccountRef, session: Date) -> Vec<Owned>;
        structures(account: &AccountRef, session: Date) -> Vec<OwnedCombo>;
        record_snapshot(account: &AccountRef, snapshot: &Snapshot, reason: &str) -> ();
        snapshots(account: &AccountRef, session: Date) -> Vec<Snapshot>;
        record_reconciliation(account: &AccountRef, run: &ReconciliationRun) -> ();
        record_settlement(account: &AccountRef, opening: IntentId, price: Usd, at: UtcNanos, source: FillSource) -> Recorded;
        record_combo_settlement(account: &AccountRef, opening: IntentId, prices: &[(OccSymbol, Usd)], at: UtcNanos, source: FillSource) -> Recorded;
        flip_kill_switch(flip: &KillFlip) -> KillRow;
        kill_switch() -> Vec<KillRow>;
        change_credential(account: &AccountRef, change: &CredentialChange, at: UtcNanos) -> ();
        credentials(user: UserId) -> Vec<CredentialRecord>;
        settings(user: UserId) -> UserSettings;
        store_settings(user: UserId, settings: &UserSettings) -> ();
        day_book(account: &AccountRef, session: Date) -> DayBook;
        setups(session: Date) -> Vec<SetupBook>;
        store_report(account: &AccountRef, session: Date, report: &str, at: UtcNanos) -> ();
    }
}

//! [`Ledger`] in SQL: each method is one whole transaction of the module that knows it.

use domain::account::{AccountRef, CredentialRecord, UserSettings};
use domain::chain::ChainSnapshot;
use domain::combo::OwnedCombo;
use domain::ids::{BrokerOrderId, ChainId, IntentId, SetupId, UserId};
use domain::kill::{KillRow, KillScope};
use domain::market::Microbar;
use domain::money::Usd;
use domain::ports::{
    Answer, CredentialChange, DayBook, DeadLetter, Fence, IntentView, KillFlip, Ledger, LedgerError,
    MarkRequest, Marking, Message, NewIntent, OpeningContext, OutboxRow, Progress, Queue, ReconciliationRun,
    Recorded, SetupBook, Snapshot, Written,
};
use domain::position::{FillSource, Owned};
use domain::setup::TransitionRecord;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;

use crate::pool::Store;
use crate::{control, ingest, intents, outbox, positions};

impl Ledger for Store {
    async fn store_chain(&self, chain: &ChainSnapshot) -> Result<ChainId, LedgerError> {
        ingest::store_chain(self, chain).await
    }

    async fn record_transition(
        &self,
        record: &TransitionRecord,
        at: UtcNanos,
    ) -> Result<Recorded, LedgerError> {
        ingest::record(self, record, at).await
    }

    async fn store_microbars(&self, symbol: Underlying, bars: &[Microbar]) -> Result<(), LedgerError> {
        ingest::store_microbars(self, symbol, bars).await
    }

    async fn save_checkpoint(&self, session: Date, checkpoint: &[u8]) -> Result<(), LedgerError> {
        ingest::save_checkpoint(self, session, checkpoint).await
    }

    async fn checkpoint(&self, session: Date) -> Result<Option<Vec<u8>>, LedgerError> {
        ingest::checkpoint(self, session).await
    }

    async fn record_broker_event(
        &self,
        account: &AccountRef,
        order: BrokerOrderId,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        positions::broker_event(self, account, order, at).await
    }

    async fn transition(
        &self,
        setup: SetupId,
        sequence: u32,
    ) -> Result<Option<TransitionRecord>, LedgerError> {
        ingest::transition(self, setup, sequence).await
    }

    async fn chain(&self, id: ChainId) -> Result<Option<ChainSnapshot>, LedgerError> {
        ingest::chain(self, id).await
    }

    async fn handled_up_to(&self, setup: SetupId) -> Result<Option<u32>, LedgerError> {
        ingest::handled_up_to(self, setup).await
    }

    async fn mark_handled(&self, setup: SetupId, sequence: u32) -> Result<(), LedgerError> {
        ingest::mark_handled(self, setup, sequence).await
    }

    async fn active_accounts(&self) -> Result<Vec<AccountRef>, LedgerError> {
        control::active_accounts(self).await
    }

    async fn opening_context(
        &self,
        account: &AccountRef,
        session: Date,
        scopes: &[KillScope],
    ) -> Result<OpeningContext, LedgerError> {
        positions::opening_context(self, account, session, scopes).await
    }

    async fn record_intent(&self, intent: &NewIntent) -> Result<Recorded, LedgerError> {
        intents::record(self, intent).await
    }

    async fn intents_of(&self, account: &AccountRef, setup: SetupId) -> Result<Vec<IntentView>, LedgerError> {
        positions::intents_of(self, account, setup).await
    }

    async fn intent(&self, account: &AccountRef, id: IntentId) -> Result<Option<IntentView>, LedgerError> {
        intents::one(self, account, id).await
    }

    async fn intent_of_order(
        &self,
        account: &AccountRef,
        order: BrokerOrderId,
    ) -> Result<Option<IntentId>, LedgerError> {
        positions::intent_of_order(self, account, order).await
    }

    async fn open_intents(&self, account: &AccountRef) -> Result<Vec<IntentView>, LedgerError> {
        positions::open_intents(self, account).await
    }

    async fn take_lease(
        &self,
        account: &AccountRef,
        holder: &str,
        now: UtcNanos,
        until: UtcNanos,
    ) -> Result<Option<Fence>, LedgerError> {
        control::take_lease(self, account, holder, now, until).await
    }

    async fn release_lease(&self, account: &AccountRef, fence: Fence) -> Result<(), LedgerError> {
        control::release_lease(self, account, fence).await
    }

    async fn mark_submitting(&self, request: &MarkRequest) -> Result<Marking, LedgerError> {
        intents::mark(self, request).await
    }

    async fn record_answer(&self, answer: &Answer) -> Result<Written, LedgerError> {
        intents::answer(self, answer).await
    }

    async fn record_progress(&self, progress: &Progress) -> Result<Written, LedgerError> {
        intents::progress(self, progress).await
    }

    async fn request_stop(
        &self,
        account: &AccountRef,
        intent: IntentId,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        intents::stop(self, account, intent, at).await
    }

    async fn send_later(&self, queue: Queue, message: &Message, due_at: UtcNanos) -> Result<(), LedgerError> {
        outbox::send_later(self, queue, message, due_at).await
    }

    async fn due_outbox(&self, now: UtcNanos, limit: u32) -> Result<Vec<OutboxRow>, LedgerError> {
        outbox::due(self, now, limit).await
    }

    async fn next_due(&self) -> Result<Option<UtcNanos>, LedgerError> {
        outbox::next_due(self).await
    }

    async fn mark_sent(&self, ids: &[i64], at: UtcNanos) -> Result<(), LedgerError> {
        outbox::mark_sent(self, ids, at).await
    }

    async fn record_dead_letter(&self, letter: &DeadLetter) -> Result<(), LedgerError> {
        outbox::dead_letter(self, letter).await
    }

    async fn owned(&self, account: &AccountRef, session: Date) -> Result<Vec<Owned>, LedgerError> {
        positions::owned(self, account, session).await
    }

    async fn structures(&self, account: &AccountRef, session: Date) -> Result<Vec<OwnedCombo>, LedgerError> {
        positions::structures(self, account, session).await
    }

    async fn record_snapshot(
        &self,
        account: &AccountRef,
        snapshot: &Snapshot,
        reason: &str,
    ) -> Result<(), LedgerError> {
        positions::record_snapshot(self, account, snapshot, reason).await
    }

    async fn snapshots(&self, account: &AccountRef, session: Date) -> Result<Vec<Snapshot>, LedgerError> {
        positions::snapshots(self, account, session).await
    }

    async fn record_reconciliation(
        &self,
        account: &AccountRef,
        run: &ReconciliationRun,
    ) -> Result<(), LedgerError> {
        positions::reconcile(self, account, run).await
    }

    async fn record_settlement(
        &self,
        account: &AccountRef,
        opening: IntentId,
        price: Usd,
        at: UtcNanos,
        source: FillSource,
    ) -> Result<Recorded, LedgerError> {
        intents::settle(self, account, opening, price, at, source).await
    }

    async fn record_combo_settlement(
        &self,
        account: &AccountRef,
        opening: IntentId,
        prices: &[(OccSymbol, Usd)],
        at: UtcNanos,
        source: FillSource,
    ) -> Result<Recorded, LedgerError> {
        intents::settle_combo(self, account, opening, prices, at, source).await
    }

    async fn flip_kill_switch(&self, flip: &KillFlip) -> Result<KillRow, LedgerError> {
        control::flip(self, flip).await
    }

    async fn kill_switch(&self) -> Result<Vec<KillRow>, LedgerError> {
        control::kill_switch(self).await
    }

    async fn change_credential(
        &self,
        account: &AccountRef,
        change: &CredentialChange,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        control::change_credential(self, account, change, at).await
    }

    async fn credentials(&self, user: UserId) -> Result<Vec<CredentialRecord>, LedgerError> {
        control::credentials(self, user).await
    }

    async fn settings(&self, user: UserId) -> Result<UserSettings, LedgerError> {
        control::settings(self, user).await
    }

    async fn store_settings(&self, user: UserId, settings: &UserSettings) -> Result<(), LedgerError> {
        control::store_settings(self, user, settings).await
    }

    async fn day_book(&self, account: &AccountRef, session: Date) -> Result<DayBook, LedgerError> {
        positions::day_book(self, account, session).await
    }

    async fn setups(&self, session: Date) -> Result<Vec<SetupBook>, LedgerError> {
        ingest::setups(self, session).await
    }

    async fn store_report(
        &self,
        account: &AccountRef,
        session: Date,
        report: &str,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        control::store_report(self, account, session, report, at).await
    }
}

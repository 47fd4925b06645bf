//! [`Ledger`] over the tables: each method borrows them once and never across an await.

use domain::account::{AccountRef, CredentialRecord, UserSettings};
use domain::books;
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

use super::MemLedger;

impl Ledger for MemLedger {
    async fn store_chain(&self, chain: &ChainSnapshot) -> Result<ChainId, LedgerError> {
        let id = chain.id();
        self.state.borrow_mut().chains.entry(id).or_insert_with(|| chain.clone());
        Ok(id)
    }

    async fn record_transition(
        &self,
        record: &TransitionRecord,
        at: UtcNanos,
    ) -> Result<Recorded, LedgerError> {
        self.state.borrow_mut().record_transition(record, at)
    }

    async fn store_microbars(&self, symbol: Underlying, bars: &[Microbar]) -> Result<(), LedgerError> {
        let mut state = self.state.borrow_mut();
        let stored = state.microbars.entry(symbol).or_default();
        for bar in bars {
            stored.entry(bar.ts_open).or_insert(*bar);
        }
        Ok(())
    }

    async fn save_checkpoint(&self, session: Date, checkpoint: &[u8]) -> Result<(), LedgerError> {
        self.state.borrow_mut().checkpoints.insert(session, checkpoint.to_vec());
        Ok(())
    }

    async fn checkpoint(&self, session: Date) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.state.borrow().checkpoints.get(&session).cloned())
    }

    async fn record_broker_event(
        &self,
        account: &AccountRef,
        order: BrokerOrderId,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        let mut state = self.state.borrow_mut();
        let account = state.account_mut(account, "record_broker_event")?.owner;
        state.outbox.put(Queue::BrokerEvents, Message::BrokerOrder { account, order }, at);
        Ok(())
    }

    async fn transition(
        &self,
        setup: SetupId,
        sequence: u32,
    ) -> Result<Option<TransitionRecord>, LedgerError> {
        let state = self.state.borrow();
        let index = usize::try_from(sequence).unwrap_or(usize::MAX);
        Ok(state.setups.get(&setup).and_then(|it| it.records.get(index)).cloned())
    }

    async fn chain(&self, id: ChainId) -> Result<Option<ChainSnapshot>, LedgerError> {
        Ok(self.state.borrow().chains.get(&id).cloned())
    }

    async fn handled_up_to(&self, setup: SetupId) -> Result<Option<u32>, LedgerError> {
        Ok(self.state.borrow().setups.get(&setup).and_then(|it| it.handled))
    }

    async fn mark_handled(&self, setup: SetupId, sequence: u32) -> Result<(), LedgerError> {
        self.state.borrow_mut().mark_handled(setup, sequence)
    }

    async fn active_accounts(&self) -> Result<Vec<AccountRef>, LedgerError> {
        Ok(self.state.borrow().active_accounts())
    }

    async fn opening_context(
        &self,
        account: &AccountRef,
        session: Date,
        scopes: &[KillScope],
    ) -> Result<OpeningContext, LedgerError> {
        Ok(self.state.borrow().opening_context(account, session, scopes))
    }

    async fn record_intent(&self, intent: &NewIntent) -> Result<Recorded, LedgerError> {
        self.state.borrow_mut().record_intent(intent)
    }

    async fn intents_of(&self, account: &AccountRef, setup: SetupId) -> Result<Vec<IntentView>, LedgerError> {
        Ok(self.state.borrow().intents_of(account, setup))
    }

    async fn intent(&self, account: &AccountRef, id: IntentId) -> Result<Option<IntentView>, LedgerError> {
        Ok(self.state.borrow().intent(account, id).map(|it| it.view.clone()))
    }

    async fn intent_of_order(
        &self,
        account: &AccountRef,
        order: BrokerOrderId,
    ) -> Result<Option<IntentId>, LedgerError> {
        let state = self.state.borrow();
        let seen = state.account(account).is_some();
        Ok(state.orders.get(&(account.account, order)).copied().filter(|_| seen))
    }

    async fn open_intents(&self, account: &AccountRef) -> Result<Vec<IntentView>, LedgerError> {
        let state = self.state.borrow();
        let open = state.views(account).into_iter().filter(|it| !it.state.is_final());
        Ok(open.cloned().collect())
    }

    async fn take_lease(
        &self,
        account: &AccountRef,
        holder: &str,
        now: UtcNanos,
        until: UtcNanos,
    ) -> Result<Option<Fence>, LedgerError> {
        self.state.borrow_mut().take_lease(account, holder, now, until)
    }

    async fn release_lease(&self, account: &AccountRef, fence: Fence) -> Result<(), LedgerError> {
        self.state.borrow_mut().release_lease(account, fence)
    }

    async fn mark_submitting(&self, request: &MarkRequest) -> Result<Marking, LedgerError> {
        self.state.borrow_mut().mark(request)
    }

    async fn record_answer(&self, answer: &Answer) -> Result<Written, LedgerError> {
        self.state.borrow_mut().answer(answer)
    }

    async fn record_progress(&self, progress: &Progress) -> Result<Written, LedgerError> {
        self.state.borrow_mut().progress(progress)
    }

    async fn request_stop(
        &self,
        account: &AccountRef,
        intent: IntentId,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        self.state.borrow_mut().stop(account, intent, at)
    }

    async fn send_later(&self, queue: Queue, message: &Message, due_at: UtcNanos) -> Result<(), LedgerError> {
        self.state.borrow_mut().outbox.put(queue, message.clone(), due_at);
        Ok(())
    }

    async fn due_outbox(&self, now: UtcNanos, limit: u32) -> Result<Vec<OutboxRow>, LedgerError> {
        Ok(self.state.borrow().outbox.due(now, limit))
    }

    async fn next_due(&self) -> Result<Option<UtcNanos>, LedgerError> {
        Ok(self.state.borrow().outbox.next_due())
    }

    async fn mark_sent(&self, ids: &[i64], _at: UtcNanos) -> Result<(), LedgerError> {
        let mut state = self.state.borrow_mut();
        ids.iter().for_each(|id| state.outbox.sent(*id));
        Ok(())
    }

    async fn record_dead_letter(&self, letter: &DeadLetter) -> Result<(), LedgerError> {
        let key = (letter.queue.clone(), letter.message_id.clone());
        self.state.borrow_mut().dead_letters.entry(key).or_insert_with(|| letter.clone());
        Ok(())
    }

    async fn owned(&self, account: &AccountRef, session: Date) -> Result<Vec<Owned>, LedgerError> {
        let state = self.state.borrow();
        Ok(books::owned(&state.views(account), session))
    }

    async fn structures(&self, account: &AccountRef, session: Date) -> Result<Vec<OwnedCombo>, LedgerError> {
        let state = self.state.borrow();
        Ok(books::structures(&state.views(account), session))
    }

    async fn record_snapshot(
        &self,
        account: &AccountRef,
        snapshot: &Snapshot,
        reason: &str,
    ) -> Result<(), LedgerError> {
        let mut state = self.state.borrow_mut();
        let row = state.account_mut(account, "record_snapshot")?;
        if let std::collections::btree_map::Entry::Vacant(free) = row.snapshots.entry(snapshot.at) {
            free.insert(*snapshot);
            state.note(snapshot.at, Some(account.account), format!("balances: {reason}"));
        }
        Ok(())
    }

    async fn snapshots(&self, account: &AccountRef, session: Date) -> Result<Vec<Snapshot>, LedgerError> {
        Ok(self.state.borrow().snapshots(account, session))
    }

    async fn record_reconciliation(
        &self,
        account: &AccountRef,
        run: &ReconciliationRun,
    ) -> Result<(), LedgerError> {
        self.state.borrow_mut().reconcile(account, run)
    }

    async fn record_settlement(
        &self,
        account: &AccountRef,
        opening: IntentId,
        price: Usd,
        at: UtcNanos,
        source: FillSource,
    ) -> Result<Recorded, LedgerError> {
        self.state.borrow_mut().settle(account, opening, price, at, source)
    }

    async fn record_combo_settlement(
        &self,
        account: &AccountRef,
        opening: IntentId,
        prices: &[(OccSymbol, Usd)],
        at: UtcNanos,
        source: FillSource,
    ) -> Result<Recorded, LedgerError> {
        self.state.borrow_mut().settle_combo(account, opening, prices, at, source)
    }

    async fn flip_kill_switch(&self, flip: &KillFlip) -> Result<KillRow, LedgerError> {
        self.state.borrow_mut().flip(flip)
    }

    async fn kill_switch(&self) -> Result<Vec<KillRow>, LedgerError> {
        Ok(self.state.borrow().kill.values().cloned().collect())
    }

    async fn change_credential(
        &self,
        account: &AccountRef,
        change: &CredentialChange,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        self.state.borrow_mut().change_credential(account, change, at)
    }

    async fn credentials(&self, user: UserId) -> Result<Vec<CredentialRecord>, LedgerError> {
        let state = self.state.borrow();
        let own = state.accounts.values().filter(|it| it.owner.user == user);
        Ok(own.map(|it| it.credential.clone()).collect())
    }

    async fn settings(&self, user: UserId) -> Result<UserSettings, LedgerError> {
        Ok(self.state.borrow().settings.get(&user).copied().unwrap_or_default())
    }

    async fn store_settings(&self, user: UserId, settings: &UserSettings) -> Result<(), LedgerError> {
        self.state.borrow_mut().settings.insert(user, *settings);
        Ok(())
    }

    async fn day_book(&self, account: &AccountRef, session: Date) -> Result<DayBook, LedgerError> {
        Ok(self.state.borrow().day_book(account, session))
    }

    async fn setups(&self, session: Date) -> Result<Vec<SetupBook>, LedgerError> {
        Ok(self.state.borrow().setups(session))
    }

    async fn store_report(
        &self,
        account: &AccountRef,
        session: Date,
        report: &str,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        let mut state = self.state.borrow_mut();
        state.account_mut(account, "store_report")?;
        state.reports.insert((account.account, session), (report.to_owned(), at));
        Ok(())
    }
}

//! Writes about intents: compare-and-set, fences, follow-ups.

use domain::account::AccountRef;
use domain::books::{self, After};
use domain::gate::GateCheck;
use domain::ids::{BrokerOrderId, IntentId, OrderTag};
use domain::intent::{IntentState, Origin};
use domain::kill::{KillRow, KillScope, KillState, stopping};
use domain::money::Usd;
use domain::order::Mark;
use domain::ports::{
    Answer, Fence, IntentView, KillFlip, LedgerError, MarkRequest, Marking, Message, NewIntent, Progress,
    Queue, ReconciliationRun, Recorded, Written,
};
use domain::position::FillSource;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;

use super::state::{BROKER, IntentRow, State, refused};

impl State {
    pub(super) fn record_intent(&mut self, new: &NewIntent) -> Result<Recorded, LedgerError> {
        const WHAT: &str = "record_intent";
        let head = new.intent.head();
        self.account_mut(&head.account, WHAT)?;
        if let Some(known) = self.intents.get(&head.id) {
            let same = known.view.intent.head().account.account == head.account.account;
            return if same {
                Ok(Recorded::Known)
            } else {
                Err(refused(WHAT, "the id is another account's"))
            };
        }
        books::begins(new).map_err(|why| refused(WHAT, why))?;
        if let Origin::Setup(setup) = head.origin
            && !self.setups.contains_key(&setup)
        {
            return Err(refused(WHAT, format!("setup {setup} is not recorded")));
        }
        if let Some(opening) = new.intent.opening() {
            let entry = &self.own_intent(&head.account, opening, WHAT)?.view.intent;
            let is_alike = entry.is_combo() == new.intent.is_combo() && entry.head().series == head.series;
            if !entry.opens() || !is_alike {
                return Err(refused(WHAT, format!("{opening} did not open {}", head.series)));
            }
        }
        let view = IntentView {
            intent: new.intent.clone(),
            state: new.state,
            reason: new.reason.clone(),
            attempts: Vec::new(),
            fills: Vec::new(),
            filled: 0,
            stop_requested: false,
            version: 1,
        };
        let row = IntentRow { view, gates: new.gates.clone(), breakdown: new.breakdown.clone() };
        if new.state == IntentState::Ready {
            self.step(&row.view, new.first_step_due());
        }
        self.account_mut(&head.account, WHAT)?.intents.insert((head.decided_at, head.id));
        self.intents.insert(head.id, row);
        let what = format!("intent {} {} {}", head.id, head.action.as_str(), new.state.as_str());
        self.note(new.at, Some(head.account.account), what);
        Ok(Recorded::New)
    }

    pub(super) fn mark(&mut self, request: &MarkRequest) -> Result<Marking, LedgerError> {
        const WHAT: &str = "mark_submitting";
        let row = self.own_intent(&request.account, request.intent, WHAT)?;
        match self.late(&request.account, Some(request.fence), &row.view, request.version) {
            Some(Written::LeaseLost) => return Ok(Marking::LeaseLost),
            Some(Written::Stale | Written::Version(_)) => return Ok(Marking::Stale),
            None => {}
        }
        if row.view.intent.opens() {
            if request.kill_scopes.is_empty() {
                return Err(refused(WHAT, "an entry names no scopes of the kill switch"));
            }
            let rows: Vec<KillRow> =
                request.kill_scopes.iter().filter_map(|it| self.kill.get(it).cloned()).collect();
            if let Some(killed) = stopping(&rows) {
                return Ok(Marking::Killed(killed.clone()));
            }
        }
        let after = books::marked(&row.view, request).map_err(|it| refused(WHAT, it))?;
        let tag = OrderTag { intent: request.intent, attempt: request.attempt };
        let mark = Mark { tag, at: request.at, version: after.view.version };
        self.write(&request.account, after, &request.gates, Some(request.follow_up))?;
        self.note(request.at, Some(request.account.account), format!("submitting {tag}"));
        Ok(Marking::Marked(mark))
    }

    pub(super) fn answer(&mut self, answer: &Answer) -> Result<Written, LedgerError> {
        const WHAT: &str = "record_answer";
        let row = self.own_intent(&answer.account, answer.tag.intent, WHAT)?;
        if let Some(late) = self.late(&answer.account, Some(answer.fence), &row.view, answer.version) {
            return Ok(late);
        }
        let after = books::answered(&row.view, answer).map_err(|it| refused(WHAT, it))?;
        let version = after.view.version;
        self.write(&answer.account, after, &[], answer.follow_up)?;
        let what = format!("answer to {}: {}", answer.tag, answer.broker_words);
        self.note(answer.at, Some(answer.account.account), what);
        Ok(Written::Version(version))
    }

    pub(super) fn progress(&mut self, progress: &Progress) -> Result<Written, LedgerError> {
        const WHAT: &str = "record_progress";
        let row = self.own_intent(&progress.account, progress.intent, WHAT)?;
        if let Some(late) = self.late(&progress.account, progress.fence, &row.view, progress.version) {
            return Ok(late);
        }
        let after = books::progressed(&row.view, progress).map_err(|it| refused(WHAT, it))?;
        let version = after.view.version;
        self.write(&progress.account, after, &progress.gates, progress.follow_up)?;
        for (queue, message, due_at) in &progress.also {
            self.outbox.put(*queue, message.clone(), *due_at);
        }
        let what = format!("{} {}", progress.intent, progress.what);
        self.note(progress.at, Some(progress.account.account), what);
        Ok(Written::Version(version))
    }

    pub(super) fn stop(
        &mut self,
        account: &AccountRef,
        intent: IntentId,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        let row = self.own_intent(account, intent, "request_stop")?;
        if let Some(after) = books::stopped(&row.view) {
            self.write(account, after, &[], Some(at))?;
            self.note(at, Some(account.account), format!("{intent} asked to stop"));
        }
        Ok(())
    }

    pub(super) fn flip(&mut self, flip: &KillFlip) -> Result<KillRow, LedgerError> {
        let known = self.kill.get(&flip.scope);
        if let Some(known) = known.filter(|it| it.state == flip.state && it.flipped_at == flip.at) {
            return Ok(known.clone());
        }
        let version = known.map_or(0, |it| it.version);
        if flip.if_version.is_some_and(|it| it != version) {
            return Ok(known.cloned().unwrap_or_else(|| KillRow::untouched(flip.scope.clone())));
        }
        let row = KillRow {
            scope: flip.scope.clone(),
            by: flip.by.clone(),
            state: flip.state,
            version: version.saturating_add(1),
            flipped_at: flip.at,
            reason: flip.reason.clone(),
        };
        self.kill.insert(flip.scope.clone(), row.clone());
        self.note(
            flip.at,
            None,
            format!("kill switch {} {} by {}", flip.scope, flip.state.as_str(), flip.by),
        );
        if flip.state >= KillState::SafeMode {
            let covered = self.intents.values().map(|it| &it.view).filter(|it| covers(&flip.scope, it));
            let covered: Vec<(AccountRef, IntentId)> =
                covered.map(|it| (it.intent.head().account, it.intent.head().id)).collect();
            for (account, intent) in covered {
                self.stop(&account, intent, flip.at)?;
            }
        }
        if flip.state == KillState::HardStop {
            for (queue, message, due_at) in self.flattens(flip)? {
                self.outbox.put(queue, message, due_at);
            }
        }
        Ok(row)
    }

    /// The flattens that a hard stop starts.
    fn flattens(&self, flip: &KillFlip) -> Result<Vec<(Queue, Message, UtcNanos)>, LedgerError> {
        let session = books::closes_in(flip.at).map_err(|it| refused("flip_kill_switch", it.to_string()))?;
        let mut accounts = self.active_accounts();
        accounts.retain(|it| books::is_covered(&flip.scope, it, BROKER, &self.views(it)));
        Ok(accounts.into_iter().map(|it| books::flatten_at_once(it, session, flip.at)).collect())
    }

    pub(super) fn reconcile(
        &mut self,
        account: &AccountRef,
        run: &ReconciliationRun,
    ) -> Result<(), LedgerError> {
        const WHAT: &str = "record_reconciliation";
        if self.account_mut(account, WHAT)?.runs.contains_key(&run.at) {
            return Ok(());
        }
        for intent in &run.steps {
            self.own_intent(account, *intent, WHAT)?;
        }
        self.account_mut(account, WHAT)?.runs.insert(run.at, run.differences.clone());
        for intent in &run.steps {
            let Some(row) = self.intents.get_mut(intent).filter(|it| !it.view.state.is_final()) else {
                continue;
            };
            row.view.version = row.view.version.saturating_add(1);
            let view = row.view.clone();
            self.step(&view, run.at);
        }
        for alert in &run.alerts {
            self.outbox.put(domain::ports::Queue::Alerts, alert.clone(), run.at);
        }
        self.note(
            run.at,
            Some(account.account),
            format!("reconciled: {} differences", run.differences.len()),
        );
        Ok(())
    }

    pub(super) fn settle(
        &mut self,
        account: &AccountRef,
        opening: IntentId,
        price: Usd,
        at: UtcNanos,
        source: FillSource,
    ) -> Result<Recorded, LedgerError> {
        const WHAT: &str = "record_settlement";
        let row = self.own_intent(account, opening, WHAT)?;
        if !row.view.intent.opens() {
            return Err(refused(WHAT, format!("{opening} opened nothing")));
        }
        let held = books::held(&self.views(account), opening);
        let Some(fill) = books::settled(&row.view, held, price, at, source) else {
            return Ok(Recorded::Known);
        };
        if let Some(row) = self.intents.get_mut(&opening) {
            row.view.fills.push(fill);
        }
        self.note(at, Some(account.account), format!("{opening} settled {held} at {price}"));
        Ok(Recorded::New)
    }

    pub(super) fn settle_combo(
        &mut self,
        account: &AccountRef,
        opening: IntentId,
        prices: &[(OccSymbol, Usd)],
        at: UtcNanos,
        source: FillSource,
    ) -> Result<Recorded, LedgerError> {
        const WHAT: &str = "record_combo_settlement";
        self.own_intent(account, opening, WHAT)?;
        let fills = books::combo_settled(&self.views(account), opening, prices, at, source)
            .map_err(|why| refused(WHAT, why))?;
        if fills.is_empty() {
            return Ok(Recorded::Known);
        }
        let legs = fills.len();
        if let Some(row) = self.intents.get_mut(&opening) {
            row.view.fills.extend(fills);
        }
        self.note(at, Some(account.account), format!("{opening} settled, {legs} legs"));
        Ok(Recorded::New)
    }

    /// Why a compare-and-set does not apply, if so.
    fn late(
        &self,
        account: &AccountRef,
        fence: Option<Fence>,
        view: &IntentView,
        version: i64,
    ) -> Option<Written> {
        books::late(fence, self.account(account).map(|it| it.lease.fence), view, version)
    }

    /// The step of an intent as it stands, due at `due_at`.
    fn step(&mut self, view: &IntentView, due_at: UtcNanos) {
        let head = view.intent.head();
        let message =
            Message::Step { account: head.account, intent: head.id, version: view.version, tries: 0 };
        self.outbox.put(message.queue(view.intent.opens()), message, due_at);
    }

    /// Puts an intent after a write in its place, with its follow-up and its orders.
    fn write(
        &mut self,
        account: &AccountRef,
        after: After,
        gates: &[GateCheck],
        follow_up: Option<UtcNanos>,
    ) -> Result<(), LedgerError> {
        let id = after.view.intent.head().id;
        let orders: Vec<BrokerOrderId> =
            after.view.attempts.iter().filter_map(|it| it.broker_order).collect();
        // One broker order has one intent: looked at before anything is written.
        for order in &orders {
            if let Some(bound) = self.orders.get(&(account.account, *order)).filter(|it| **it != id) {
                return Err(refused("broker order", format!("{order} belongs to intent {bound}")));
            }
        }
        self.orders.extend(orders.into_iter().map(|order| ((account.account, order), id)));
        if let Some(due_at) = follow_up {
            self.step(&after.view, due_at);
        }
        if let Some(row) = self.intents.get_mut(&id) {
            row.view = after.view;
            row.gates.extend_from_slice(gates);
        }
        Ok(())
    }
}

/// Whether a flip of `scope` stops this intent: entries that are not final, within the scope.
fn covers(scope: &KillScope, view: &IntentView) -> bool {
    let Some(strategy) = view.intent.strategy() else { return false };
    let head = view.intent.head();
    !view.state.is_final()
        && match scope {
            KillScope::Global => true,
            KillScope::User(user) => *user == head.account.user,
            KillScope::Strategy(name) => name == strategy,
            KillScope::Symbol(symbol) | KillScope::Market(symbol) => *symbol == head.series.underlying(),
            KillScope::Broker(name) => name == BROKER,
        }
}

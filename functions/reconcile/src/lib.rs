//! Our books against the broker's, every minute of the session, and once more after the close.
//!
//! It writes facts and follow-ups and sends nothing to the broker: an intent whose order tells more than our books is stepped
//! or woken, an expired series that the broker no longer shows is settled on the official close, everything else is told. A
//! failure for one account warns and goes on.

#![forbid(unsafe_code)]

mod adopt;
mod adopt_combos;
mod combos;
mod late;
mod settle;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::account::{AccountRef, Switches};
use domain::calendar::Session;
use domain::intent::{OrderIntent, Origin};
use domain::market::Points;
use domain::order::BrokerOrder;
use domain::planted::{self, Bug};
use domain::ports::{
    BrokerPort, Brokers, Clock, DayBook, Difference, DifferenceKind, HandleError, IntentView, Ledger,
    Message, Queue, ReconciliationRun,
};
use domain::position::BrokerPosition;
use domain::time::UtcNanos;
use engine::flatten::{AT_ONCE, owned_by_orders};
use engine::reconcile::{Books, Findings, diff};

/// The books are compared from this long before the open: once before the first entry of a day.
pub const OPENS_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How long after the close settlements are waited for each minute.
pub const SETTLES_FOR: Duration = Duration::from_secs(2 * 3_600);

/// What the function works with.
#[derive(Debug)]
pub struct Reconcile<'a, L, B, C> {
    /// The books.
    pub ledger: &'a L,
    /// The brokers.
    pub brokers: &'a B,
    /// Market time.
    pub clock: &'a C,
    /// The deployment's switches.
    pub switches: Switches,
}

/// What one run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// Accounts compared.
    pub accounts: u32,
    /// Accounts with nothing to compare: switched off and nothing of ours, or done after the close.
    pub skipped: u32,
    /// Accounts that could not be compared.
    pub failed: u32,
    /// Faults found.
    pub faults: u32,
    /// What is nobody's fault: positions and orders opened by hand, cash that somebody moved.
    pub foreign: u32,
    /// Intents stepped or woken because of it.
    pub stepped: u32,
    /// Orders adopted that a flatten sent with the database down.
    pub adopted: u32,
    /// Entries settled.
    pub settled: u32,
}

/// What the broker shows.
pub(crate) struct Seen {
    pub(crate) orders: Vec<BrokerOrder>,
    pub(crate) positions: Vec<BrokerPosition>,
}

/// What came of one account.
#[derive(Default)]
struct One {
    faults: u32,
    foreign: u32,
    stepped: u32,
    adopted: u32,
    settled: u32,
}

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// Compares every active account. Does nothing outside the hours of a session. `official_close` is the index's closing
    /// value once it is known; without it expired positions stay pending.
    ///
    /// # Errors
    /// [`HandleError`] when the ledger could not name the accounts.
    pub async fn run(&self, official_close: Option<Points>) -> Result<Reconciled, HandleError> {
        let mut done = Reconciled::default();
        let now = self.clock.now();
        let session = Session::at(now).map_err(|it| HandleError::Poison(it.to_string()))?;
        let in_hours = |it: &Session| it.open.minus(OPENS_BEFORE) <= now && now <= it.close.plus(SETTLES_FOR);
        let Some(session) = session.filter(in_hours) else { return Ok(done) };
        for account in self.ledger.active_accounts().await? {
            match self.account(&account, &session, official_close).await {
                Ok(Some(one)) => {
                    done.accounts = done.accounts.saturating_add(1);
                    done.faults = done.faults.saturating_add(one.faults);
                    done.foreign = done.foreign.saturating_add(one.foreign);
                    done.stepped = done.stepped.saturating_add(one.stepped);
                    done.adopted = done.adopted.saturating_add(one.adopted);
                    done.settled = done.settled.saturating_add(one.settled);
                }
                Ok(None) => done.skipped = done.skipped.saturating_add(1),
                Err(error) => {
                    done.failed = done.failed.saturating_add(1);
                    let account = account.account;
                    tracing::warn!(%account, "account {account} could not be reconciled: {error}");
                }
            }
        }
        Ok(done)
    }

    /// Compares one account; `None` where there is nothing to compare.
    async fn account(
        &self,
        account: &AccountRef,
        session: &Session,
        official_close: Option<Points>,
    ) -> Result<Option<One>, HandleError> {
        let now = self.clock.now();
        let before = self.ledger.day_book(account, session.date).await?;
        if now >= session.close && is_done(&before, session) {
            return Ok(None);
        }
        let open = self.ledger.open_intents(account).await?;
        let owns = !open.is_empty()
            || before.owned.iter().any(|it| it.held() > 0)
            || before.structures.iter().any(|it| !it.is_flat());
        let is_on = self.switches.reconciliation || self.switches.execution_enabled;
        let broker = self.brokers.account(account).await?;
        // The broker is read before the books, so that what arrives in between is ours first: it differs from nothing.
        let seen = Seen { orders: broker.orders().await?, positions: broker.positions().await? };
        if !is_on && !owns && owned_by_orders(&seen.orders).is_empty() {
            return Ok(None);
        }
        let adopted = self.adopt(account, session, &seen).await?;
        let adopted = adopted.saturating_add(self.adopt_combos(account, session, &before, &seen).await?);
        let intents = if planted::is(Bug::LateNotBooked) { Vec::new() } else { all_intents(&before, open) };
        let late = self.book_late(account, &intents, &seen).await?;
        let mut settled = self.settle(account, session, (&broker, &seen), official_close).await?;
        settled = settled.saturating_add(
            self.settle_structures(account, session, (&broker, &seen), official_close).await?,
        );
        self.flatten_physical(account, session, &before).await?;
        let book = self.ledger.day_book(account, session.date).await?;
        let intents = all_intents(&book, self.ledger.open_intents(account).await?);
        let taken_over = self.ledger.taken_over(account).await?;
        let findings = diff(&Books {
            owned: &book.owned,
            structures: &book.structures,
            intents: &intents,
            positions: &seen.positions,
            orders: &seen.orders,
            snapshots: &book.snapshots,
            taken_over: &taken_over,
            now,
        });
        let stepped = self.record(account, session, &before, &intents, &findings, now).await?;
        let mut one = One { stepped, adopted: adopted.saturating_add(late), settled, ..One::default() };
        for difference in &findings.differences {
            let count = if difference.kind.is_fault() { &mut one.faults } else { &mut one.foreign };
            *count = count.saturating_add(1);
        }
        Ok(Some(one))
    }

    /// Asks for a pass of the flatten that `view` belongs to.
    pub(crate) async fn pass_again(
        &self,
        account: &AccountRef,
        view: &IntentView,
        at: UtcNanos,
    ) -> Result<(), HandleError> {
        let Origin::Flatten(session) = view.intent.head().origin else { return Ok(()) };
        let at_once = match &view.intent {
            OrderIntent::Closing(closing) => closing.reason == AT_ONCE,
            OrderIntent::ClosingCombo(exit) => exit.reason == AT_ONCE,
            OrderIntent::Opening(_) | OrderIntent::OpeningCombo(_) => false,
        };
        let pass = Message::Flatten { account: *account, session, at_once };
        Ok(self.ledger.send_later(Queue::Flatten, &pass, at).await?)
    }

    /// Writes the run with its steps and alerts, and wakes ended intents whose orders tell more.
    async fn record(
        &self,
        account: &AccountRef,
        session: &Session,
        before: &DayBook,
        intents: &[IntentView],
        findings: &Findings,
        at: UtcNanos,
    ) -> Result<u32, HandleError> {
        let mut stepped: u32 = 0;
        let mut steps = Vec::new();
        // A tag of ours without a row has nobody to step: its difference is told.
        for view in intents.iter().filter(|it| findings.steps.contains(&it.intent.head().id)) {
            let head = view.intent.head();
            stepped = stepped.saturating_add(1);
            if !view.state.is_final() {
                match head.origin {
                    Origin::Setup(_) | Origin::Decision(_) => steps.push(head.id),
                    // A flatten's passes read its orders by themselves; where none came for a minute, one is asked for.
                    Origin::Flatten(_) if view.intent.is_combo() => steps.push(head.id),
                    Origin::Flatten(_) => self.pass_again(account, view, at).await?,
                }
            } else if let Some(order) = view.last_attempt().and_then(|it| it.broker_order) {
                // An ended intent takes no step, but a late execution is still read from its order.
                self.ledger.record_broker_event(account, order, at).await?;
            }
        }
        let alerts = findings
            .differences
            .iter()
            .filter(|it| is_told(it, before))
            .map(|it| alert(account, session, it))
            .collect();
        let run = ReconciliationRun { at, differences: findings.differences.clone(), steps, alerts };
        self.ledger.record_reconciliation(account, &run).await?;
        Ok(stepped)
    }
}

/// Whether the day is over for an account: compared after the close, nothing at fault, nothing held of an ended series,
/// and no intent at work, whose next step may be lost.
fn is_done(book: &DayBook, session: &Session) -> bool {
    let is_held =
        |it: &domain::position::Owned| it.held() > 0 && engine::flatten::stops_trading(&it.series, session);
    let is_open = |it: &domain::combo::OwnedCombo| {
        !it.is_flat() && it.legs.iter().any(|leg| engine::flatten::stops_trading(&leg.leg.series, session))
    };
    book.reconciled_at.is_some_and(|it| it >= session.close)
        && book.intents.iter().all(|it| it.state.is_final())
        && !book.structures.iter().any(is_open)
        && !book.differences.iter().any(|it| it.kind.is_fault())
        && !book.owned.iter().any(is_held)
}

/// Today's intents, and those of earlier days that are not at their end; each once.
fn all_intents(book: &DayBook, open: Vec<IntentView>) -> Vec<IntentView> {
    let today: BTreeSet<_> = book.intents.iter().map(|it| it.intent.head().id).collect();
    let mut all = book.intents.clone();
    all.extend(open.into_iter().filter(|it| !today.contains(&it.intent.head().id)));
    all
}

/// What the next step cures by itself pages nobody: such a fault is told when the run after still finds it.
fn is_told(difference: &Difference, before: &DayBook) -> bool {
    let cures_itself = matches!(difference.cure.as_str(), "adopt" | "re_ask");
    let was_there =
        || before.differences.iter().any(|it| it.kind == difference.kind && it.about == difference.about);
    match difference.kind {
        DifferenceKind::Foreign => false,
        DifferenceKind::CashMismatch => !was_there(),
        DifferenceKind::MissingAtBroker
        | DifferenceKind::UnknownAtBroker
        | DifferenceKind::QuantityMismatch
        | DifferenceKind::PriceMissing
        | DifferenceKind::StuckSubmission
        | DifferenceKind::StuckClose => !cures_itself || was_there(),
    }
}

fn alert(account: &AccountRef, session: &Session, difference: &Difference) -> Message {
    let kind = difference.kind.as_str();
    let Difference { about, ours, broker, cure, .. } = difference;
    let account = account.account;
    Message::Alert {
        key: format!("{kind}:{account}:{}:{about}", session.date),
        level: if difference.kind.is_fault() { "critical" } else { "warning" }.to_owned(),
        text: format!("account {account}: {kind} of {about}: ours {ours}, broker {broker}; cure: {cure}"),
    }
}

#[cfg(test)]
mod tests;

//! Books the closes of structures that a flatten without the database sent: their tags name an exit that no row stands for.

use domain::account::AccountRef;
use domain::books;
use domain::calendar::Session;
use domain::combo::{Decided, OwnedCombo, combo_flatten_id};
use domain::intent::{Action, CloseAmount, IntentState, OrderIntent, Origin};
use domain::money::{Price, Side};
use domain::order::{Attempt, AttemptState, BrokerOrder, ComboAttempt};
use domain::ports::{Brokers, Clock, DayBook, HandleError, IntentView, Ledger, NewIntent, Progress};
use domain::position::FillSource;
use domain::ticket::{ComboLeg, Net};
use domain::time::UtcNanos;

use crate::{Reconcile, Seen};

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// Writes the rows that a flatten of structures without the database could not write. Returns how many orders it
    /// adopted.
    pub(crate) async fn adopt_combos(
        &self,
        account: &AccountRef,
        session: &Session,
        book: &DayBook,
        seen: &Seen,
    ) -> Result<u32, HandleError> {
        let mut adopted: u32 = 0;
        for combo in &book.structures {
            let id = combo_flatten_id(session.date, account.account, combo.opening);
            let mut orders: Vec<&BrokerOrder> =
                seen.orders.iter().filter(|it| it.tag.is_some_and(|tag| tag.intent == id)).collect();
            if orders.is_empty() {
                continue;
            }
            let known = self.ledger.intent(account, id).await?;
            orders.retain(|order| {
                let no = order.tag.map(|it| it.attempt);
                known.as_ref().is_none_or(|view| view.attempts.iter().all(|it| Some(it.no) != no))
            });
            if orders.is_empty() {
                continue;
            }
            let view = match known {
                Some(view) => view,
                None => match self.combo_flattening(account, session, combo).await? {
                    Some(view) => view,
                    None => continue,
                },
            };
            orders.sort_by_key(|it| it.tag);
            adopted = adopted.saturating_add(u32::try_from(orders.len()).unwrap_or(u32::MAX));
            let facts = self.combo_facts(session, &view, combo, &orders)?;
            self.ledger.record_progress(&facts).await?;
        }
        Ok(adopted)
    }

    /// The exit, as a pass with the database would have written it.
    async fn combo_flattening(
        &self,
        account: &AccountRef,
        session: &Session,
        combo: &OwnedCombo,
    ) -> Result<Option<IntentView>, HandleError> {
        let at = self.clock.now();
        let entry = self.ledger.intent(account, combo.opening).await?;
        let Some(OrderIntent::OpeningCombo(entry)) = entry.map(|it| it.intent) else { return Ok(None) };
        let origin = Origin::Flatten(session.date);
        let by = Decided { account: entry.head.account, origin, sequence: 0, at };
        let exit = entry.exit(by, Action::Flatten, CloseAmount::All, "session_end");
        let id = exit.head.id;
        let new = NewIntent::ready(OrderIntent::ClosingCombo(exit), at);
        self.ledger.record_intent(&new).await?;
        Ok(self.ledger.intent(account, id).await?)
    }

    fn combo_facts(
        &self,
        session: &Session,
        view: &IntentView,
        combo: &OwnedCombo,
        orders: &[&BrokerOrder],
    ) -> Result<Progress, HandleError> {
        let at = self.clock.now();
        let head = view.intent.head();
        let mut attempts = Vec::with_capacity(orders.len());
        for order in orders {
            attempts.extend(attempt(combo, order, at)?);
        }
        // Until the close its exit may still send.
        let is_over = at >= session.close;
        let fills = attempts.iter().flat_map(|it| books::observed(head, it, at, FillSource::Reconciliation));
        Ok(Progress {
            account: head.account,
            intent: head.id,
            version: view.version,
            fence: None,
            fills: fills.collect(),
            attempts,
            state: if is_over { IntentState::Done } else { IntentState::Working },
            reason: if is_over { "adopted".to_owned() } else { String::new() },
            gates: Vec::new(),
            what: "adopted orders of a flatten without the database".to_owned(),
            at,
            follow_up: (!is_over).then_some(at),
            also: Vec::new(),
        })
    }
}

/// The attempt behind an order of the flatten; `None` where its legs are not the structure's.
fn attempt(combo: &OwnedCombo, order: &BrokerOrder, at: UtcNanos) -> Result<Option<Attempt>, HandleError> {
    let closing = combo.terms.closing();
    let is_lone = order.legs.len() == 1;
    let leg = |it: &domain::order::BrokerLeg| {
        let own = closing.iter().find(|leg| leg.series == it.series)?;
        Some(ComboLeg { ratio: if is_lone { 1 } else { own.ratio }, ..*own })
    };
    let legs: Option<Vec<ComboLeg>> = order.legs.iter().map(leg).collect();
    let (Some(legs), Some(tag)) = (legs, order.tag) else { return Ok(None) };
    let first = legs.first().zip(order.legs.first());
    let Some(units) = first.and_then(|(leg, order)| order.quantity.checked_div(leg.ratio)) else {
        return Ok(None);
    };
    let price = order.price.unwrap_or(Price::ZERO);
    let is_sale = is_lone && legs.first().is_some_and(|it| it.side.side() == Side::Sell);
    let sent_at = order.created_at.unwrap_or(at);
    let sent = Attempt {
        no: tag.attempt,
        state: AttemptState::Submitting,
        broker_order: None,
        side: Side::Sell,
        quantity: units,
        price,
        rung: 0,
        executed: 0,
        average: None,
        marked_at: sent_at,
        repriced_at: sent_at,
        cancel_at: None,
        reason: None,
        combo: Some(ComboAttempt::of(&legs, if is_sale { Net::credit(price) } else { Net::debit(price) })),
        trace: Default::default(),
    };
    let Some(event) = sent.shown(order) else { return Ok(None) };
    sent.apply(&event).map(Some).map_err(|it| HandleError::Poison(it.to_string()))
}

//! Books the closes of a flatten that ran with the database down: their orders carry tags that no row stands for yet.

use std::collections::BTreeMap;

use domain::account::AccountRef;
use domain::calendar::Session;
use domain::fees::FeeSchedule;
use domain::ids::{IntentId, OrderTag};
use domain::intent::{
    Action, CloseAmount, ClosingIntent, IntentHead, IntentState, OrderIntent, Origin, intent_id,
};
use domain::money::{Price, Side};
use domain::order::{Attempt, AttemptEvent, AttemptState, BrokerLeg, BrokerOrder, Trace};
use domain::ports::{Brokers, Clock, HandleError, IntentView, Ledger, NewIntent, Progress};
use domain::position::{Fill, FillSource};
use domain::time::UtcNanos;
use engine::flatten::RUNG;

use crate::{Reconcile, Seen};

/// A close of this session's flatten as the broker shows it.
struct Close<'s> {
    tag: OrderTag,
    order: &'s BrokerOrder,
    leg: &'s BrokerLeg,
}

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// Writes the rows that a flatten without the database could not write. Returns how many orders it adopted.
    pub(crate) async fn adopt(
        &self,
        account: &AccountRef,
        session: &Session,
        seen: &Seen,
    ) -> Result<u32, HandleError> {
        let mut by_intent: BTreeMap<IntentId, Vec<Close<'_>>> = BTreeMap::new();
        for close in seen.orders.iter().filter_map(|it| close_of(account, session, it)) {
            by_intent.entry(close.tag.intent).or_default().push(close);
        }
        let mut adopted: u32 = 0;
        for (id, mut closes) in by_intent {
            closes.sort_by_key(|it| it.tag.attempt);
            let known = self.ledger.intent(account, id).await?;
            let is_new = |it: &Close<'_>| {
                known.as_ref().is_none_or(|view| view.attempts.iter().all(|known| known.no != it.tag.attempt))
            };
            closes.retain(is_new);
            if let Some(first) = closes.first() {
                let view = match known {
                    Some(view) => view,
                    None => self.flattening(account, session, first).await?,
                };
                adopted = adopted.saturating_add(u32::try_from(closes.len()).unwrap_or(u32::MAX));
                self.ledger.record_progress(&self.progress(session, &view, &closes)?).await?;
                // Its flatten may have found the account flat without the books and gone: a pass with them ends the row.
                let now = self.clock.now();
                if now < session.close {
                    self.pass_again(account, &view, now).await?;
                }
            }
        }
        Ok(adopted)
    }

    /// The flatten's intent, as its first pass with the database would have written it.
    async fn flattening(
        &self,
        account: &AccountRef,
        session: &Session,
        close: &Close<'_>,
    ) -> Result<IntentView, HandleError> {
        let at = self.clock.now();
        let intent = ClosingIntent {
            head: IntentHead {
                id: close.tag.intent,
                account: *account,
                origin: Origin::Flatten(session.date),
                sequence: 0,
                action: Action::Flatten,
                series: close.leg.series,
                decided_at: close.order.created_at.unwrap_or(at).min(at),
            },
            opening: None,
            amount: CloseAmount::All,
            reason: "session_end".to_owned(),
        };
        let ready = NewIntent::ready(OrderIntent::Closing(intent), at);
        let new = NewIntent { state: IntentState::Working, ..ready };
        self.ledger.record_intent(&new).await?;
        let view = self.ledger.intent(account, close.tag.intent).await?;
        view.ok_or_else(|| HandleError::Again("an intent that was just written is not there".to_owned()))
    }

    fn progress(
        &self,
        session: &Session,
        view: &IntentView,
        closes: &[Close<'_>],
    ) -> Result<Progress, HandleError> {
        let at = self.clock.now();
        let mut attempts = Vec::with_capacity(closes.len());
        for close in closes {
            attempts.push(attempt(close, at)?);
        }
        // Until the close its flatten may still send for this intent.
        let is_over = at >= session.close;
        Ok(Progress {
            account: view.intent.head().account,
            intent: view.intent.head().id,
            version: view.version,
            fence: None,
            attempts,
            fills: closes.iter().filter_map(|it| execution(it, at)).collect(),
            state: if is_over { IntentState::Done } else { IntentState::Working },
            reason: if is_over { "adopted".to_owned() } else { String::new() },
            gates: Vec::new(),
            what: "adopted orders of a flatten without the database".to_owned(),
            at,
            follow_up: (!is_over).then(|| at.plus(RUNG)),
            also: Vec::new(),
        })
    }
}

/// The order as a close of this session's flatten; `None` for every other order.
fn close_of<'s>(account: &AccountRef, session: &Session, order: &'s BrokerOrder) -> Option<Close<'s>> {
    let (tag, leg) = (order.tag?, order.single()?);
    let origin = Origin::Flatten(session.date);
    let intent = intent_id(origin, 0, account.account, Action::Flatten, Some(&leg.series));
    (tag.intent == intent && leg.side == Side::Sell && !leg.opens).then_some(Close { tag, order, leg })
}

fn attempt(close: &Close<'_>, at: UtcNanos) -> Result<Attempt, HandleError> {
    let sent_at = close.order.created_at.unwrap_or(at);
    let sent = Attempt {
        no: close.tag.attempt,
        state: AttemptState::Submitting,
        broker_order: None,
        side: Side::Sell,
        quantity: close.leg.quantity,
        price: close.order.price.unwrap_or(Price::ZERO),
        rung: 0,
        executed: 0,
        average: None,
        marked_at: sent_at,
        repriced_at: sent_at,
        cancel_at: None,
        reason: None,
        combo: None,
        trace: Trace::default(),
    };
    let seen = AttemptEvent::Observed {
        id: close.order.id,
        status: close.order.status,
        executed: close.leg.executed,
        average: close.leg.average,
    };
    sent.apply(&seen).map_err(|it| HandleError::Poison(it.to_string()))
}

fn execution(close: &Close<'_>, at: UtcNanos) -> Option<Fill> {
    if close.leg.executed == 0 {
        return None;
    }
    let average = close.leg.average.and_then(|it| Price::parse(&it.to_string()).ok());
    let premium = average.or(close.order.price).unwrap_or(Price::ZERO);
    let fees = FeeSchedule::as_of(at.new_york_date());
    Some(Fill {
        intent: close.tag.intent,
        attempt: close.tag.attempt,
        series: close.leg.series,
        side: Side::Sell,
        from: 0,
        to: close.leg.executed,
        price: close.leg.average,
        fees: fees.charge(&close.leg.series.root, premium, 1),
        at,
        source: FillSource::Reconciliation,
    })
}

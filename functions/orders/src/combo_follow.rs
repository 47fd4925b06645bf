//! Follows an order on a structure that the broker has: books what executed leg by leg, moves its net limit, or ends it.

use domain::combo::excess;
use domain::intent::{IntentState, OrderIntent};
use domain::market::OptionQuote;
use domain::money::Price;
use domain::order::{Attempt, AttemptState, ComboAttempt, LegExecution};
use domain::ports::{BrokerPort, Brokers, Clock, HandleError, Ledger, OwnedNotes};
use domain::ticket::ComboLeg;
use engine::combo::walk::{self, Next, Rung, net_quote, unbid_wings};

use crate::combo::{LEG_IMBALANCE, entry_terms};
use crate::combo_close::{BALANCED_WITHIN, exit_terms};
use crate::follow::{CANCEL_READ_AFTER, REFUSED_CLOSE_WAIT};
use crate::{Orders, Work, begin};

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    /// The broker works the order no more. What is left to do is found out anew at the next step: of an exit the next
    /// piece, of an entry whether its legs are in balance.
    pub(crate) async fn combo_ended(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
    ) -> Result<(), HandleError> {
        let now = self.clock.now();
        let contracts = seen.combo.as_ref().map_or(0, ComboAttempt::contracts);
        let what = format!("ended {} with {contracts} contracts executed", seen.state.as_str());
        let is_refused = seen.state == AttemptState::Rejected && !work.view.intent.opens();
        let due = if is_refused { now.plus(REFUSED_CLOSE_WAIT) } else { now };
        let progress = self.progress(work, seen, IntentState::Working, "", &what, Some(due));
        self.write(work, progress).await
    }

    pub(crate) async fn follow_combo(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
    ) -> Result<(), HandleError> {
        let is_balanced = seen.combo.as_ref().is_none_or(ComboAttempt::is_balanced);
        if !is_balanced {
            // Legs out of ratio are closed at once, and for that the order must have ended.
            let is_late = seen.cancel_at.is_some_and(|at| self.clock.now().since(at) >= BALANCED_WITHIN);
            if is_late {
                let opening = work.view.intent.opening().unwrap_or(work.view.intent.head().id);
                self.tell_not_resolved(work, opening).await?;
            }
            return self.cancel(work, seen, LEG_IMBALANCE).await;
        }
        if work.view.stop_requested || seen.cancel_at.is_some() {
            return self.cancel(work, seen, "superseded").await;
        }
        self.combo_rung(work, seen).await
    }

    /// Reads the NBBO of every leg anew and moves the net limit where the plan says.
    async fn combo_rung(&self, work: &Work<'_, B::Account>, seen: Attempt) -> Result<(), HandleError> {
        let Some(combo) = seen.combo.clone() else { return Ok(()) };
        let legs: Vec<ComboLeg> = combo.legs.iter().map(LegExecution::leg).collect();
        let quotes = match self.leg_quotes(work, &legs).await {
            Ok(quotes) => quotes,
            Err(error) => return self.read_only(work, seen, &error).await,
        };
        if self.other_piece_is_next(work, &legs, &quotes).await? {
            return self.cancel(work, seen, "unbid").await;
        }
        let now = self.clock.now();
        let terms = match &work.view.intent {
            OrderIntent::OpeningCombo(entry) => entry_terms(entry, begin::started_at(&work.view, now))?,
            OrderIntent::ClosingCombo(exit) => exit_terms(&work.view, exit, &legs, now)?,
            OrderIntent::Opening(_) | OrderIntent::Closing(_) => return Ok(()),
        };
        let last = (combo.net, seen.rung, seen.repriced_at);
        match walk::next(&terms, last, &net_quote(&legs, &quotes), now) {
            Next::Stop(reason) => self.cancel(work, seen, reason.as_str()).await,
            Next::Rung(rung) if rung.net == combo.net => {
                let moved = if rung.rung == seen.rung { seen.repriced_at } else { now };
                let seen = Attempt { rung: rung.rung, repriced_at: moved, ..seen };
                let progress = self.progress(work, seen, IntentState::Working, "", "polled", Some(rung.due));
                self.write(work, progress).await
            }
            // A debit does not become a credit by a change of its price: an exit goes on with a new order, an entry stays
            // where it is.
            Next::Rung(rung) if legs.len() > 1 && rung.net.kind() != combo.net.kind() => {
                if !work.view.intent.opens() {
                    return self.cancel(work, seen, "other_side_of_even").await;
                }
                let seen = Attempt { rung: rung.rung, repriced_at: now, ..seen };
                let progress = self.progress(work, seen, IntentState::Working, "", "polled", Some(rung.due));
                self.write(work, progress).await
            }
            Next::Rung(rung) => self.combo_modify(work, seen, combo, rung).await,
        }
    }

    /// Whether a close waits for the bid of a wing while something else could be closed: of whole units their shorts alone,
    /// of a lone wing another one that somebody bids for. One order works at a time, and this one would stand in the way
    /// until the close.
    async fn other_piece_is_next(
        &self,
        work: &Work<'_, B::Account>,
        legs: &[ComboLeg],
        quotes: &[Option<OptionQuote>],
    ) -> Result<bool, HandleError> {
        let OrderIntent::ClosingCombo(exit) = &work.view.intent else { return Ok(false) };
        if unbid_wings(legs, quotes).is_empty() {
            return Ok(false);
        }
        if legs.len() > 1 {
            return Ok(true);
        }
        let Some(owned) = self.structure(&work.account, exit.opening).await? else { return Ok(false) };
        let others: Vec<ComboLeg> = excess(&owned.held())
            .iter()
            .filter(|it| !it.is_short() && legs.iter().all(|leg| leg.series != it.leg.series))
            .map(|it| ComboLeg { side: it.leg.side.opposite(), ratio: 1, ..it.leg })
            .collect();
        if others.is_empty() {
            return Ok(false);
        }
        // Without an answer it stays as it is: the next look asks again.
        let quotes = self.leg_quotes(work, &others).await.unwrap_or_default();
        Ok(quotes.iter().flatten().any(|it| it.bid.is_some_and(|bid| bid > Price::ZERO)))
    }

    async fn combo_modify(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
        combo: ComboAttempt,
        rung: Rung,
    ) -> Result<(), HandleError> {
        let now = self.clock.now();
        let Some(id) = seen.broker_order else { return self.resolve(work, &seen).await };
        let price = rung.net.magnitude();
        let (attempt, what, due) = match work.broker.modify(id, price, !work.view.intent.opens()).await {
            Ok(()) => {
                let what = format!("moved from {} to {}", combo.net, rung.net);
                let combo = Some(ComboAttempt { net: rung.net, ..combo });
                let moved = Attempt { price, rung: rung.rung, repriced_at: now, combo, ..seen };
                (moved, what, rung.due)
            }
            // It may stand at the old price or the new one, or have ended: read it back soon.
            Err(error) => (seen, format!("not moved to {}: {error}", rung.net), now.plus(CANCEL_READ_AFTER)),
        };
        let progress = self.progress(work, attempt, IntentState::Working, "", &what, Some(due));
        self.write(work, progress).await
    }
}

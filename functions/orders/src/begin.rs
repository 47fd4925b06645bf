//! Starts an intent's next attempt: the second pass of the gate for what opens, ownership and quantity for what closes.

use desk::{Desk, DeskError, Slot, Submitted};
use domain::calendar::Session;
use domain::ids::{AttemptNo, IntentId};
use domain::intent::{
    Action, ClosingIntent, IntentState, OpeningIntent, OrderIntent, Origin, approve_closing, approve_opening,
};
use domain::kill::scopes_for;
use domain::market::OptionQuote;
use domain::money::Price;
use domain::order::{AttemptState, Touch};
use domain::planted::{self, Bug};
use domain::ports::{
    BrokerError, BrokerPort, Brokers, Clock, HandleError, IntentView, Ledger, Message, OwnedNotes, Queue,
};
use domain::time::UtcNanos;
use engine::daytrade;
use engine::gates::{self, GateInputs, SIGNAL_AGE_MAX};
use engine::walk::{self, Next, Rung};

use crate::follow::INDEX_AGE_MAX;
use crate::{BROKER, Orders, Work, follow, protect};

/// How often a close looks for its position at the broker before it is called missing: the list may lag a fill.
pub(crate) const MISSING_LOOKS_MAX: usize = 8;

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    pub(crate) async fn begin(&self, work: &Work<'_, B::Account>) -> Result<(), HandleError> {
        match &work.view.intent {
            OrderIntent::Opening(opening)
                if planted::is(Bug::RepostWhenNotFound) && !work.view.attempts.is_empty() =>
            {
                self.open(work, opening).await
            }
            OrderIntent::Opening(_) if !work.view.attempts.is_empty() => {
                let reason = work.view.reason.clone();
                let progress = self.bare(work, IntentState::Done, &reason, "its order ended", None);
                self.write(work, progress).await
            }
            OrderIntent::Opening(_) if work.view.stop_requested => {
                let progress =
                    self.bare(work, IntentState::Done, "superseded", "stopped before it was sent", None);
                self.write(work, progress).await
            }
            OrderIntent::Opening(opening) => match opening.release_at.filter(|it| self.clock.now() < *it) {
                // Its turn has not come, whoever delivered the step early.
                Some(turn) => {
                    let progress = self.bare(work, work.view.state, "", "waits for its turn", Some(turn));
                    self.write(work, progress).await
                }
                None => self.open(work, opening).await,
            },
            OrderIntent::Closing(closing) if closing.head.action.protects() => {
                self.shelter(work, closing).await
            }
            OrderIntent::Closing(closing) => self.close(work, closing).await,
            OrderIntent::OpeningCombo(entry) => self.begin_combo(work, entry).await,
            OrderIntent::ClosingCombo(exit) => self.close_combo(work, exit).await,
        }
    }

    /// Asks every gate again, on the market and the rows as they stand now, and sends what they approve.
    async fn open(&self, work: &Work<'_, B::Account>, opening: &OpeningIntent) -> Result<(), HandleError> {
        let market = match work.broker.market(opening.head.series).await {
            Ok(market) => market,
            Err(error) => return self.entry_unasked(work, &error).await,
        };
        let (now, quote) = (self.clock.now(), market.quote);
        if let Some(reason) =
            walk::abandon(opening.direction, &opening.levels, market.spot(now, INDEX_AGE_MAX))
        {
            let progress = self.bare(
                work,
                IntentState::Done,
                reason.as_str(),
                "the index ran away before it was sent",
                None,
            );
            return self.write(work, progress).await;
        }
        let session = Session::at(now).map_err(|it| HandleError::Poison(it.to_string()))?;
        let scopes =
            scopes_for(work.account.user, opening.kind.as_str(), opening.head.series.underlying(), BROKER)
                .to_vec();
        let context = self.ledger.opening_context(&work.account, now.new_york_date(), &scopes).await?;
        let signal_at = self.signal_at(opening).await?;
        // What was read may be old by now: the gates measure from the instant they are asked.
        let now = if planted::is(Bug::GatesBeforeReads) { now } else { self.clock.now() };
        let gates = gates::opening(&GateInputs {
            switches: &self.switches,
            context: &context,
            session: session.as_ref().filter(|it| it.holds(now)),
            now,
            intent: opening,
            quote: quote.as_ref(),
            signal_at,
            resolution_ns: 1,
            is_feed_gap: false,
            is_counted: false,
            broker_switched: daytrade::TRADIER_SWITCHED,
        });
        let approved = match approve_opening(opening.clone(), &gates) {
            Ok(approved) => approved,
            Err(_) => {
                let (state, reason) = gates::verdict(&gates);
                let mut progress = self.bare(work, state, &reason, "refused by the second pass", None);
                progress.gates = gates;
                return self.write(work, progress).await;
            }
        };
        let Some((slot, _)) = self.slot(work, quote.as_ref()).await? else { return Ok(()) };
        let desk = Desk { ledger: self.ledger, broker: work.broker, clock: self.clock };
        match desk.submit_entry(approved, slot, scopes, &gates).await {
            Ok(Submitted::Killed(row)) => {
                let what = format!("{} is {}: {}", row.scope, row.state.as_str(), row.reason);
                let progress = self.bare(work, IntentState::Blocked, "kill_switch", &what, None);
                self.write(work, progress).await
            }
            outcome => self.submitted(outcome),
        }
    }

    /// When the signal behind an entry was given: at its transition, and not when somebody came to decide it.
    async fn signal_at(&self, opening: &OpeningIntent) -> Result<UtcNanos, HandleError> {
        let decided_at = opening.head.decided_at;
        if planted::is(Bug::SignalFromDecision) {
            return Ok(decided_at);
        }
        let Origin::Setup(setup) = opening.head.origin else { return Ok(decided_at) };
        let record = self.ledger.transition(setup, opening.head.sequence).await?;
        Ok(record.map_or(decided_at, |it| it.transition.ts))
    }

    /// The market could not be asked. An entry waits a little and is then too old to be sent.
    pub(crate) async fn entry_unasked(
        &self,
        work: &Work<'_, B::Account>,
        error: &BrokerError,
    ) -> Result<(), HandleError> {
        if self.clock.now().since(work.view.intent.head().decided_at) < SIGNAL_AGE_MAX {
            return self.ask_again(work, error).await;
        }
        let progress = self.bare(
            work,
            IntentState::Blocked,
            "stale_signal",
            &format!("no quote in time: {error}"),
            None,
        );
        self.write(work, progress).await
    }

    /// Closes what is left of the amount, as far as the broker confirms that it is held.
    async fn close(&self, work: &Work<'_, B::Account>, closing: &ClosingIntent) -> Result<(), HandleError> {
        if work.view.stop_requested {
            let progress = self.bare(work, IntentState::Done, "superseded", "a later close took over", None);
            return self.write(work, progress).await;
        }
        // Before anything gets out of the way: what rests there keeps resting.
        if self.stands_still(work).await? {
            let due = self.clock.now().plus(follow::HALT_LOOK);
            let progress = self.bare(work, work.view.state, "", "the market stands: it waits", Some(due));
            return self.write(work, progress).await;
        }
        if self.earlier_still_work(work, closing).await? || self.others_work(work, closing).await? {
            let what = "waiting for an earlier order of the setup to end";
            let progress = self.bare(work, work.view.state, "", what, Some(self.next_look(work)));
            return self.write(work, progress).await;
        }
        let left = self.left_to_close(work, closing).await?;
        if left == 0 {
            let reason = if work.view.filled > 0 { "" } else { "nothing_held" };
            let progress = self.bare(work, IntentState::Done, reason, "nothing is left to close", None);
            return self.write(work, progress).await;
        }
        if self.strays_work(work, closing).await? {
            let what = "waiting for an order to end that stands in the way";
            let progress = self.bare(work, work.view.state, "", what, Some(self.next_look(work)));
            return self.write(work, progress).await;
        }
        let long = match self.long(work, closing).await {
            Ok(long) => long,
            Err(error) => return self.ask_again(work, &error).await,
        };
        if long == 0 {
            return self.missing_at_broker(work).await;
        }
        let asked = left.min(long);
        let bound =
            approve_closing(closing, asked, long).map_err(|it| HandleError::Poison(it.to_string()))?;
        let quote = match work.broker.quotes(&[closing.head.series]).await {
            Ok(quotes) => quotes.into_iter().next().flatten(),
            Err(error) => return self.ask_again(work, &error).await,
        };
        let Some((slot, _)) = self.slot(work, quote.as_ref()).await? else { return Ok(()) };
        let desk = Desk { ledger: self.ledger, broker: work.broker, clock: self.clock };
        match self.emergency_token(closing).await {
            Some(token) => self.submitted(desk.submit_market(closing, bound, slot, token).await),
            None => self.submitted(desk.submit_close(closing, bound, slot).await),
        }
    }

    /// What the broker shows of the series, ours and foreign.
    pub(crate) async fn long(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
    ) -> Result<u32, BrokerError> {
        let positions = work.broker.positions().await?;
        let here = positions.iter().filter(|it| it.series == closing.head.series);
        Ok(here.map(|it| u32::try_from(it.quantity).unwrap_or(0)).sum::<u32>())
    }

    /// Asks the earlier intents of the same setup to stop, and tells whether one still works: two orders of ours never work on the same contracts at once, and what an entry filled is known only when it has ended. A
    /// protection is worked here and now: its cancel should cost a close no more than the broker needs for it.
    async fn earlier_still_work(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
    ) -> Result<bool, HandleError> {
        let Origin::Setup(setup) = closing.head.origin else { return Ok(false) };
        let mut works = false;
        let intents = self.ledger.intents_of(&work.account, setup).await?;
        for earlier in &intents {
            let head = earlier.intent.head();
            if head.sequence >= closing.head.sequence || earlier.state.is_final() {
                continue;
            }
            if protect::stays(head.action, closing.head.action)
                && !self.is_in_the_way(work, closing, &intents).await?
            {
                continue;
            }
            works |= !self.make_way(work, earlier).await?;
        }
        Ok(works)
    }

    /// Whether what rests beside a close leaves it too few contracts: the user's share for T1 was changed meanwhile, or
    /// contracts were sold by hand.
    async fn is_in_the_way(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
        intents: &[IntentView],
    ) -> Result<bool, HandleError> {
        let left = self.left_to_close(work, closing).await?;
        let Ok(long) = self.long(work, closing).await else { return Ok(false) };
        Ok(left.min(long).saturating_add(protect::resting_of(intents, Action::ProtectRunner)) > long)
    }

    /// Asks an intent to stop; true when it has ended.
    pub(crate) async fn make_way(
        &self,
        work: &Work<'_, B::Account>,
        earlier: &IntentView,
    ) -> Result<bool, HandleError> {
        let id = earlier.intent.head().id;
        if !earlier.stop_requested {
            self.ledger.request_stop(&work.account, id, self.clock.now()).await?;
        }
        if !earlier.intent.head().action.protects() {
            return Ok(false);
        }
        // Once to cancel, once to read what became of it.
        for _ in 0..2 {
            let Some(view) = self.ledger.intent(&work.account, id).await? else { return Ok(false) };
            if view.state.is_final() {
                return Ok(true);
            }
            let (account, broker) = (work.account, work.broker);
            let protection = Work { account, broker, view, fence: work.fence, source: work.source };
            Box::pin(self.advance(&protection)).await?;
        }
        let view = self.ledger.intent(&work.account, id).await?;
        Ok(view.is_some_and(|it| it.state.is_final()))
    }

    /// After a refusal: whether an order of ours works in the series that the books no longer know of, a request of a
    /// protection that was given up and arrived after all. It is cancelled.
    async fn strays_work(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
    ) -> Result<bool, HandleError> {
        let (Origin::Setup(setup), Some(AttemptState::Rejected)) =
            (closing.head.origin, work.view.last_attempt().map(|it| it.state))
        else {
            return Ok(false);
        };
        let Ok(orders) = work.broker.orders().await else { return Ok(false) };
        let intents = self.ledger.intents_of(&work.account, setup).await?;
        let ended = intents.iter().filter(|it| it.state.is_final() && !it.intent.opens());
        let ended: Vec<IntentId> = ended.map(|it| it.intent.head().id).collect();
        let mut works = false;
        for order in orders.iter().filter(|it| !it.status.is_final()) {
            if order.tag.is_some_and(|tag| ended.contains(&tag.intent)) {
                works = true;
                // None of a cancel's answers is a verdict: the next look reads the list.
                drop(work.broker.cancel(order.id).await);
            }
        }
        Ok(works)
    }

    /// Contracts of the amount that are held by our books and not closed by this intent yet.
    async fn left_to_close(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
    ) -> Result<u32, HandleError> {
        let owned = self.ledger.owned(&work.account, self.clock.now().new_york_date()).await?;
        let entry = owned.iter().find(|it| Some(it.opening) == closing.opening);
        let Some(entry) = entry else { return Ok(0) };
        // The amount is of what the entry filled; what was closed of it already, by this intent or by the protection of
        // the same contracts, is part of it.
        let closed = match (closing.head.origin, closing.head.action) {
            (Origin::Setup(setup), Action::TakeProfit1) => {
                let intents = self.ledger.intents_of(&work.account, setup).await?;
                engine::protect::sold_of_t1(&intents, entry.opening)
            }
            _ => work.view.filled,
        };
        let held_before = entry.held().saturating_add(closed);
        let amount = closing.amount.of(entry.bought, held_before);
        Ok(amount.saturating_sub(closed).min(entry.held()))
    }

    /// Our books hold it, the broker does not: closed by hand, or its list lags. Asked a few times, then told.
    pub(crate) async fn missing_at_broker(&self, work: &Work<'_, B::Account>) -> Result<(), HandleError> {
        let now = self.clock.now();
        let looks = looks(&work.view);
        if looks < MISSING_LOOKS_MAX {
            let reason = format!("missing_at_broker:{}", looks + 1);
            let progress = self.bare(
                work,
                work.view.state,
                &reason,
                "the broker shows no position yet",
                Some(now.plus(crate::ASK_AGAIN)),
            );
            return self.write(work, progress).await;
        }
        let mut progress =
            self.bare(work, IntentState::Done, "missing_at_broker", "the broker shows no position", None);
        let alert = Message::Alert {
            key: format!("missing_at_broker:{}", work.view.intent.head().id),
            level: "critical".to_owned(),
            text: format!(
                "our books hold {} and the broker does not: it may have been closed by hand",
                work.view.intent.head().series
            ),
        };
        progress.also.push((Queue::Alerts, alert, now));
        self.write(work, progress).await
    }

    /// Where the next attempt stands in the walk; ends the intent and gives `None` where the plan says stop.
    async fn slot(
        &self,
        work: &Work<'_, B::Account>,
        quote: Option<&OptionQuote>,
    ) -> Result<Option<(Slot, Rung)>, HandleError> {
        let now = self.clock.now();
        let terms = follow::terms(&work.view.intent, started_at(&work.view, now))?;
        let next = match work.view.last_attempt() {
            Some(last) => walk::next(&terms, last, quote, now),
            None => walk::first(&terms, quote, now),
        };
        match next {
            Next::Stop(reason) => {
                let progress =
                    self.bare(work, IntentState::Done, reason.as_str(), "the plan ends here", None);
                self.write(work, progress).await?;
                Ok(None)
            }
            Next::Rung(rung) => {
                Ok(Some((self.slot_at(work, rung.price, rung.due, quote.and_then(Touch::of)), rung)))
            }
        }
    }

    pub(crate) fn slot_at(
        &self,
        work: &Work<'_, B::Account>,
        price: Price,
        next_step: UtcNanos,
        arrival: Option<Touch>,
    ) -> Slot {
        Slot {
            account: work.account,
            version: work.view.version,
            fence: work.fence,
            attempt: work.view.last_attempt().map_or(AttemptNo::FIRST, |it| it.no.next()),
            price,
            arrival,
            next_step,
        }
    }

    /// What the desk did is written; what it could not do is tried again by the follow-up that the mark wrote.
    pub(crate) fn submitted(&self, outcome: Result<Submitted, DeskError>) -> Result<(), HandleError> {
        match outcome {
            Ok(Submitted::Answered { .. } | Submitted::Killed(_) | Submitted::Stale) => Ok(()),
            Ok(Submitted::LeaseLost) => Err(crate::lease_lost()),
            Err(DeskError::Ledger(error)) => Err(error.into()),
            Err(DeskError::Attempt(error)) => Err(HandleError::Poison(error.to_string())),
        }
    }
}

/// How often a close found its position missing at the broker.
pub(crate) fn looks(view: &IntentView) -> usize {
    view.reason.strip_prefix("missing_at_broker:").and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// When the walk started: with its first attempt.
pub(crate) fn started_at(view: &IntentView, now: UtcNanos) -> UtcNanos {
    view.attempts.first().map_or(now, |it| it.marked_at)
}

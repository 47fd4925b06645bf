//! Works disaster orders: written with an entry's first fill, sent once the entry has ended, priced anew on each move of
//! the trail and every five minutes, and out of the way before any other close of their contracts.

use std::time::Duration;

use desk::Desk;
use domain::calendar::last_trade;
use domain::intent::{
    Action, ClosingIntent, IntentState, OpeningIntent, OrderIntent, Origin, approve_closing,
};
use domain::market::OptionQuote;
use domain::order::{Attempt, AttemptState};
use domain::planted::{self, Bug};
use domain::ports::{BrokerPort, Brokers, Clock, HandleError, IntentView, Ledger, OwnedNotes};
use domain::position::Owned;
use domain::setup::{SetupLevels, TransitionRecord};
use domain::ticket::StopLimit;
use domain::time::UtcNanos;
use engine::blind::TIGHTEN_AFTER;
use engine::protect::{self, Standing};

use crate::follow::{HALT_LOOK, INDEX_AGE_MAX};
use crate::{ASK_AGAIN, EARLY_WAIT, Orders, Work};

/// How often a resting order is read: the account stream tells of it sooner.
const READ_EVERY: Duration = Duration::from_secs(60);
/// How often one is read that executes.
const EXECUTES: Duration = Duration::from_secs(5);
/// The longest wait before an order the broker refused, or could not be priced, is tried again.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(60);
/// So long an order stays away that its owner cancelled by hand: they may be about to close by hand too.
const BY_HAND: Duration = Duration::from_secs(120);
/// The reason of an order that was drawn nearer because nobody saw the index.
const TIGHTENED: &str = "tightened";
/// For so long an entry's executions may be on their way into the books.
const FILLS_ARRIVE: Duration = Duration::from_secs(120);

/// What stands behind a protection.
struct Behind {
    /// Every intent of the setup, this one among them.
    intents: Vec<IntentView>,
    /// The entry.
    opening: OpeningIntent,
    /// Whether the entry has ended.
    is_settled: bool,
    /// What it bought and what is left; `None` while nothing is booked.
    owned: Option<Owned>,
    /// The setup's levels now.
    levels: SetupLevels,
    /// How many moves of the trail are in them.
    moves: u16,
}

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    /// Writes an entry's protections. Done before its executions are booked: a crash in between leaves intents that wait,
    /// never contracts that nobody protects.
    pub(crate) async fn protect(&self, opening: &OpeningIntent) -> Result<(), HandleError> {
        if planted::is(Bug::Unprotected) {
            return Ok(());
        }
        let settings = self.ledger.settings(opening.head.account.user).await?;
        for new in protect::intents(opening, settings.t1_fraction_bp, self.clock.now()) {
            self.ledger.record_intent(&new).await?;
        }
        Ok(())
    }

    /// The next attempt of a protection: once its entry has ended, for what is left of its contracts.
    pub(crate) async fn shelter(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
    ) -> Result<(), HandleError> {
        let now = self.clock.now();
        let is_over = last_trade(&closing.head.series).is_ok_and(|it| it <= now);
        if work.view.stop_requested || is_over {
            return self.rests_no_more(work, if is_over { "last_trade" } else { "superseded" }).await;
        }
        let Some(behind) = self.behind(work, closing).await? else {
            return self.rests_no_more(work, "no_entry").await;
        };
        if behind.intents.iter().any(|it| protect::makes_way(closing.head.action, it.intent.head().action)) {
            return self.rests_no_more(work, "superseded").await;
        }
        if !behind.is_settled {
            // A walk takes twenty seconds; an entry whose outcome nobody knows may stay open until the session ends.
            let wait = patience(&work.view, now).saturating_sub(EARLY_WAIT);
            return self.rest_later(work, "waiting for the entry to end", wait).await;
        }
        let left = left(closing, &behind);
        if left == 0 {
            // A fill may be on its way into the books; the intent was written before it.
            let is_early = behind.owned.is_none() && now.since(closing.head.decided_at) < FILLS_ARRIVE;
            return if is_early {
                self.rest_later(work, "waiting for the fills of the entry", EXECUTES).await
            } else {
                self.rests_no_more(work, if work.view.filled > 0 { "" } else { "nothing_held" }).await
            };
        }
        if self.stands_still(work).await? {
            return self.rest_later(work, "the market stands", HALT_LOOK).await;
        }
        if let Some(wait) = refused_lately(&work.view, now) {
            return self.rest_later(work, "waiting after a refusal", wait).await;
        }
        let long = match self.long(work, closing).await {
            Ok(long) => long,
            Err(error) => return self.ask_again(work, &error).await,
        };
        let asked = left.min(long.saturating_sub(resting_beside(&behind.intents, closing)));
        let terms = match self.terms_now(work, closing, &behind).await {
            Ok((terms, _)) => terms,
            Err(error) => return self.ask_again(work, &error).await,
        };
        let (Some(terms), true) = (terms, asked > 0) else {
            let what = if asked > 0 { "no price to rest at" } else { "the broker shows no free contracts" };
            return self.rest_later(work, what, patience(&work.view, now)).await;
        };
        let bound =
            approve_closing(closing, asked, long).map_err(|it| HandleError::Poison(it.to_string()))?;
        let slot = self.slot_at(work, terms.limit(), now.plus(READ_EVERY), None);
        let desk = Desk { ledger: self.ledger, broker: work.broker, clock: self.clock };
        self.submitted(desk.submit_protection(closing, bound, slot, terms, behind.moves).await)
    }

    /// A resting order that was read: priced anew where the trail moved or its prices are old, replaced where it is for
    /// another number of contracts than are left.
    pub(crate) async fn rest(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
        seen: Attempt,
    ) -> Result<(), HandleError> {
        let now = self.clock.now();
        if seen.executed > 0 {
            return self.rests_on(work, seen, "executes", EXECUTES).await;
        }
        let Some(behind) = self.behind(work, closing).await? else {
            return self.cancel(work, seen, "no_entry").await;
        };
        // Fewer are held than rest there, or a late fill brought more: the quantity of an order cannot be changed.
        if left(closing, &behind) != seen.quantity && !self.is_short_of(work, closing, &behind, &seen).await?
        {
            return self.cancel(work, seen, "quantity").await;
        }
        if self.stands_still(work).await? {
            return self.rests_on(work, seen, "the market stands", READ_EVERY).await;
        }
        let is_old = now.since(seen.repriced_at) >= protect::REPRICE_EVERY;
        let terms = match self.terms_now(work, closing, &behind).await {
            // Somebody lost sight of the index: the order is drawn nearer, whatever its age.
            Ok((terms, true)) if seen.reason.as_deref() != Some(TIGHTENED) => (terms, true),
            Ok((terms, is_tight)) => {
                let is_back = !is_tight && seen.reason.as_deref() == Some(TIGHTENED);
                if behind.moves == seen.rung && !is_old && !is_back {
                    return self.rests_on(work, seen, "rests", READ_EVERY).await;
                }
                (terms, is_tight)
            }
            Err(error) => {
                return self.rests_on(work, seen, &format!("not priced: {error}"), ASK_AGAIN).await;
            }
        };
        let (Some(terms), is_tight, Some(id)) = (terms.0, terms.1, seen.broker_order) else {
            return self.rests_on(work, seen, "no price to move to", EXECUTES).await;
        };
        match work.broker.move_protection(id, terms).await {
            Ok(()) => {
                let what = format!("stop {} limit {}", terms.stop(), terms.limit());
                let reason = is_tight.then(|| TIGHTENED.to_owned());
                let seen =
                    Attempt { price: terms.limit(), rung: behind.moves, repriced_at: now, reason, ..seen };
                self.rests_on(work, seen, &what, READ_EVERY).await
            }
            // It may stand at the old prices or the new ones, or have ended: read it back soon.
            Err(error) => self.rests_on(work, seen, &format!("not moved: {error}"), ASK_AGAIN).await,
        }
    }

    /// Whether the order is for fewer contracts because the broker has no more free: then it stays.
    async fn is_short_of(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
        behind: &Behind,
        seen: &Attempt,
    ) -> Result<bool, HandleError> {
        if seen.quantity > left(closing, behind) {
            return Ok(false);
        }
        let Ok(long) = self.long(work, closing).await else { return Ok(true) };
        Ok(long.saturating_sub(resting_beside(&behind.intents, closing)) <= seen.quantity)
    }

    async fn behind(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
    ) -> Result<Option<Behind>, HandleError> {
        let Origin::Setup(setup) = closing.head.origin else { return Ok(None) };
        let intents = self.ledger.intents_of(&work.account, setup).await?;
        let entry = intents.iter().find(|it| Some(it.intent.head().id) == closing.opening);
        let Some((OrderIntent::Opening(opening), state)) = entry.map(|it| (it.intent.clone(), it.state))
        else {
            return Ok(None);
        };
        let owned = self.ledger.owned(&work.account, self.clock.now().new_york_date()).await?;
        let owned = owned.into_iter().find(|it| Some(it.opening) == closing.opening);
        let latest = self.latest(&opening).await?;
        let levels = latest.as_ref().map_or(opening.levels, |it| it.setup.levels);
        let moves = latest.map_or(0, |it| it.setup.trailing_stop_path.len());
        let moves = u16::try_from(moves).unwrap_or(u16::MAX);
        Ok(Some(Behind { intents, opening, is_settled: state.is_final(), owned, levels, moves }))
    }

    /// The setup's last step.
    async fn latest(&self, opening: &OpeningIntent) -> Result<Option<TransitionRecord>, HandleError> {
        let Origin::Setup(setup) = opening.head.origin else { return Ok(None) };
        let handled = self.ledger.handled_up_to(setup).await?.unwrap_or(0);
        let mut sequence = opening.head.sequence.max(handled);
        let mut latest = self.ledger.transition(setup, sequence).await?;
        while let Some(next) = self.ledger.transition(setup, sequence.saturating_add(1)).await? {
            sequence = sequence.saturating_add(1);
            latest = Some(next);
        }
        Ok(latest)
    }

    /// Stop and limit as the market stands, `None` where it gives none; and whether they are drawn nearer because the
    /// broker has not seen the index for a while either.
    async fn terms_now(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
        behind: &Behind,
    ) -> Result<(Option<StopLimit>, bool), domain::ports::BrokerError> {
        let market = work.broker.market(closing.head.series).await?;
        let now = self.clock.now();
        let unseen = market.index.map(|it| now.since(it.1));
        let is_blind = unseen.is_some_and(|it| it >= TIGHTEN_AFTER);
        let is_seen = unseen.is_some_and(|it| it <= INDEX_AGE_MAX);
        let spot = market.index.map(|it| it.0).filter(|_| is_seen || is_blind);
        let (Some(spot), Some(quote)) = (spot, market.quote.filter(|it| is_fresh(it, now))) else {
            return Ok((None, false));
        };
        let direction = behind.opening.direction;
        let standing = Standing {
            series: closing.head.series,
            quote: &quote,
            spot,
            direction,
            levels: &behind.levels,
            now,
        };
        if is_blind {
            return Ok((protect::tightened(&standing), true));
        }
        Ok((protect::prices(&standing), false))
    }

    async fn rests_no_more(&self, work: &Work<'_, B::Account>, reason: &str) -> Result<(), HandleError> {
        let progress = self.bare(work, IntentState::Done, reason, "rests no more", None);
        self.write(work, progress).await
    }

    /// Nothing was sent; the next look comes after `wait`.
    async fn rest_later(
        &self,
        work: &Work<'_, B::Account>,
        what: &str,
        wait: Duration,
    ) -> Result<(), HandleError> {
        let due = self.clock.now().plus(wait);
        let reason = work.view.reason.clone();
        let progress = self.bare(work, work.view.state, &reason, what, Some(due));
        self.write(work, progress).await
    }

    /// The order rests; the next look comes after `wait`.
    async fn rests_on(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
        what: &str,
        wait: Duration,
    ) -> Result<(), HandleError> {
        let due = self.clock.now().plus(wait);
        let progress = self.progress(work, seen, IntentState::Working, "", what, Some(due));
        self.write(work, progress).await
    }
}

/// Contracts of the protection's share that are held.
fn left(closing: &ClosingIntent, behind: &Behind) -> u32 {
    let sold = protect::sold_of_t1(&behind.intents, behind.opening.head.id);
    behind.owned.as_ref().map_or(0, |owned| protect::left(closing, owned, sold))
}

/// Contracts that other closes of the setup may have at the broker.
pub(crate) fn resting_beside(intents: &[IntentView], closing: &ClosingIntent) -> u32 {
    let others = intents.iter().filter(|it| !it.intent.opens() && it.intent.head().id != closing.head.id);
    let last = others.filter_map(IntentView::last_attempt).filter(|it| !it.state.is_final());
    last.map(|it| it.quantity.saturating_sub(it.executed)).fold(0, u32::saturating_add)
}

/// Contracts that one kind of protection may have at the broker.
pub(crate) fn resting_of(intents: &[IntentView], protection: Action) -> u32 {
    let of_it = intents.iter().filter(|it| it.intent.head().action == protection);
    let last = of_it.filter_map(IntentView::last_attempt).filter(|it| !it.state.is_final());
    last.map(|it| it.quantity.saturating_sub(it.executed)).fold(0, u32::saturating_add)
}

/// When a protection that ended comes back.
pub(crate) fn comes_back(seen: &Attempt, now: UtcNanos) -> UtcNanos {
    let by_hand = seen.state == AttemptState::Canceled && seen.cancel_at.is_none();
    if by_hand { now.plus(BY_HAND) } else { now }
}

/// A protection that a close is to leave alone.
pub(crate) fn stays(protection: Action, close: Action) -> bool {
    protection.protects() && !protect::makes_way(protection, close)
}

/// How long to wait after refusals: longer with each, because nothing here is urgent while we are there ourselves.
fn refused_lately(view: &IntentView, now: UtcNanos) -> Option<Duration> {
    let last = view.last_attempt()?;
    let refused = view.attempts.iter().rev().take_while(|it| it.state == AttemptState::Rejected).count();
    let wait = Duration::from_secs(1u64 << refused.min(6)).min(TRY_AGAIN_MAX);
    let waited = now.since(last.repriced_at);
    (refused > 0 && waited < wait).then(|| wait.saturating_sub(waited).max(EARLY_WAIT))
}

/// How long to wait for a price or for contracts: longer the longer there is none.
fn patience(view: &IntentView, now: UtcNanos) -> Duration {
    let since = view.last_attempt().map_or(view.intent.head().decided_at, |it| it.repriced_at);
    (now.since(since) / 4).clamp(ASK_AGAIN, TRY_AGAIN_MAX)
}

/// An old quote says nothing about where an order may rest.
fn is_fresh(quote: &OptionQuote, now: UtcNanos) -> bool {
    now.since(quote.ts) <= engine::selection::QUOTE_AGE_MAX
}

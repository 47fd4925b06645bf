//! Closes of an emergency: a single long goes at the market while the emergency stands, and as a stop does once it is over.

use std::time::Duration;

use domain::intent::{Action, ClosingIntent, IntentState, Origin};
use domain::order::{Attempt, BrokerOrder};
use domain::ports::{Brokers, Clock, HandleError, Ledger, OwnedNotes};
use domain::setup::Direction;
use domain::ticket::EmergencyToken;
use engine::emergency::{EmergencyWatch, WATCHED};

use crate::{Orders, Work};

/// How often an order at the market is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// So long an order at the market is waited for: one that nobody takes makes way for an offer.
const MARKET_WAITS: Duration = Duration::from_secs(10);

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    /// Leave for one market order, where the readings show at this instant that the emergency stands. Without them, or when
    /// it is over, there is none, and the close is offered like a stop.
    pub(crate) async fn emergency_token(&self, closing: &ClosingIntent) -> Option<EmergencyToken> {
        if closing.head.action != Action::Emergency {
            return None;
        }
        let now = self.clock.now();
        let readings = self.ledger.readings(now.minus(WATCHED)).await.ok()?;
        let bought_for = |it: &Direction| it.right() == closing.head.series.right;
        let direction = [Direction::Long, Direction::Short].into_iter().find(bought_for)?;
        EmergencyWatch::of(&readings).declared(direction, self.clock.now()).map(|it| it.1)
    }

    /// Asks every other intent of the setup up to this close to stop, and tells whether one still works: an emergency comes in
    /// between two steps of the setup, so that its number may be another close's too.
    pub(crate) async fn others_work(
        &self,
        work: &Work<'_, B::Account>,
        closing: &ClosingIntent,
    ) -> Result<bool, HandleError> {
        let (Origin::Setup(setup), Action::Emergency) = (closing.head.origin, closing.head.action) else {
            return Ok(false);
        };
        let mut waiting = false;
        for other in &self.ledger.intents_of(&work.account, setup).await? {
            let head = other.intent.head();
            let is_other = head.id != closing.head.id && head.sequence <= closing.head.sequence;
            if is_other && !other.state.is_final() {
                waiting |= !self.make_way(work, other).await?;
            }
        }
        Ok(waiting)
    }

    /// Whether the order works at the market: such a one has no limit to move.
    pub(crate) fn is_at_market(closing: &ClosingIntent, order: &BrokerOrder) -> bool {
        closing.head.action == Action::Emergency && order.price.is_none()
    }

    /// Waits for an order at the market; one that nobody takes is ended, and what is left is offered.
    pub(crate) async fn at_market(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
    ) -> Result<(), HandleError> {
        let now = self.clock.now();
        if now.since(seen.marked_at) >= MARKET_WAITS {
            return self.cancel(work, seen, "nobody_at_market").await;
        }
        let due = now.plus(LOOK);
        let progress = self.progress(work, seen, IntentState::Working, "", "works at the market", Some(due));
        self.write(work, progress).await
    }
}

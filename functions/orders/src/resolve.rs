//! Finds out what became of a request whose answer is not known: by its tag, and never by sending it again.

use std::time::Duration;

use domain::calendar::Session;
use domain::intent::IntentState;
use domain::order::{Attempt, AttemptEvent};
use domain::planted::{self, Bug};
use domain::ports::{BrokerPort, Brokers, Clock, HandleError, Ledger, Message, OwnedNotes, Queue};
use domain::time::UtcNanos;

use crate::{Orders, Work, follow, tagged};

/// A close may start its next attempt when its tag was looked up this long after the send: it is bounded by what the
/// broker says is held.
const CLOSE_LOOKED_UP_AFTER: Duration = Duration::from_secs(5);
/// How long after the send the broker is asked: soon at first, for a request may take a minute to show up.
const LOOK_UP_AT_S: [u64; 8] = [1, 2, 3, 5, 10, 20, 30, 60];
/// How often an entry is looked for after that, until the session ends.
const LOOK_UP_LATER: Duration = Duration::from_secs(60);

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    pub(crate) async fn resolve(
        &self,
        work: &Work<'_, B::Account>,
        last: &Attempt,
    ) -> Result<(), HandleError> {
        let orders = match work.broker.orders().await {
            Ok(orders) => orders,
            Err(error) => return self.ask_again(work, &error).await,
        };
        match tagged(&orders, work.view.intent.head().id, last).as_slice() {
            [] => self.not_found(work, last).await,
            [order] => self.adopt(work, follow::observe(work.view.intent.head(), last, order)?).await,
            [order, ..] => {
                self.alert_two_orders(work, last).await?;
                self.adopt(work, follow::observe(work.view.intent.head(), last, order)?).await
            }
        }
    }

    /// The request had arrived: from here on it is followed like any other.
    async fn adopt(&self, work: &Work<'_, B::Account>, seen: Attempt) -> Result<(), HandleError> {
        if seen.state.is_final() {
            return self.ended(work, seen).await;
        }
        let now = self.clock.now();
        let progress = self.progress(work, seen, IntentState::Working, "", "adopted by its tag", Some(now));
        self.write(work, progress).await
    }

    /// Not found proves nothing. A close goes on with a new tag; an entry waits, and blocks its setup.
    async fn not_found(&self, work: &Work<'_, B::Account>, last: &Attempt) -> Result<(), HandleError> {
        let now = self.clock.now();
        let waited = now.since(last.marked_at);
        if planted::is(Bug::RepostWhenNotFound) && work.view.intent.opens() {
            let missed = follow::apply(last, &AttemptEvent::GivenUp)?;
            let progress = self.progress(work, missed, IntentState::Working, "", "sent again", Some(now));
            return self.write(work, progress).await;
        }
        let give_up =
            if work.view.intent.opens() { session_over(now) } else { waited >= CLOSE_LOOKED_UP_AFTER };
        if give_up {
            let missed = follow::apply(last, &AttemptEvent::GivenUp)?;
            let progress = if work.view.intent.opens() {
                self.progress(work, missed, IntentState::Done, "unresolved", "never found by its tag", None)
            } else {
                self.progress(
                    work,
                    missed,
                    IntentState::Working,
                    "",
                    "not found by its tag; next attempt",
                    Some(now),
                )
            };
            return self.write(work, progress).await;
        }
        let unknown = follow::apply(last, &AttemptEvent::NotFound)?;
        let due = next_look_up(last.marked_at, now);
        let progress = self.progress(
            work,
            unknown,
            IntentState::Working,
            "unknown",
            "not found by its tag yet",
            Some(due),
        );
        self.write(work, progress).await
    }

    async fn alert_two_orders(&self, work: &Work<'_, B::Account>, last: &Attempt) -> Result<(), HandleError> {
        let id = work.view.intent.head().id;
        let alert = Message::Alert {
            key: format!("two_orders:{id}:{}", last.no),
            level: "critical".to_owned(),
            text: format!(
                "two orders carry the tag of attempt {} of intent {id}: look at the broker's order list",
                last.no
            ),
        };
        Ok(self.ledger.send_later(Queue::Alerts, &alert, self.clock.now()).await?)
    }
}

/// The first look-up after `now` in the schedule that starts at `sent`.
fn next_look_up(sent: UtcNanos, now: UtcNanos) -> UtcNanos {
    let next = LOOK_UP_AT_S.iter().map(|&s| sent.plus(Duration::from_secs(s))).find(|&at| at > now);
    next.unwrap_or_else(|| now.plus(LOOK_UP_LATER))
}

/// Whether the session of `now` has ended; a day without a calendar counts as over.
fn session_over(now: UtcNanos) -> bool {
    !matches!(Session::at(now), Ok(Some(session)) if now < session.close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_thin_out_over_the_first_minute() {
        let sent = UtcNanos::from_secs(1_000);
        let at = |s: i64| UtcNanos::from_secs(1_000 + s);
        for (now, next) in [(0, 1), (1, 2), (4, 5), (5, 10), (30, 60), (60, 120), (200, 260)] {
            assert_eq!(next_look_up(sent, at(now)), at(next), "{now} s after the send");
        }
    }
}

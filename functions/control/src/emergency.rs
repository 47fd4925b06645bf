//! Emergencies: declared on the readings, and on nobody's word.
//!
//! Who takes readings of the VIX and of the index posts one every ten seconds; without them nothing is an emergency. One that
//! stands closes what it goes against, each position by an exit of its own that is written once: a single long at the market,
//! a structure at a limit. The order router asks the same readings again before a market order leaves.

use domain::account::AccountRef;
use domain::combo::Decided;
use domain::intent::{Action, CloseAmount, ClosingIntent, IntentHead, OrderIntent, Origin, intent_id};
use domain::kill::Reading;
use domain::ports::{Clock, HandleError, Ledger, Message, NewIntent, Queue, Recorded};
use domain::setup::Direction;
use domain::ticket::EmergencyEvidence;
use engine::emergency::EmergencyWatch;

use crate::Control;

/// Why such an exit was written.
const REASON: &str = "emergency";

/// An emergency against the books that expect the index to go one way.
#[derive(Debug, Clone, Copy)]
struct Stands {
    direction: Direction,
    evidence: EmergencyEvidence,
}

impl<L: Ledger, C: Clock> Control<'_, L, C> {
    /// Writes the exits of the emergencies that stand now. Returns how many are new.
    pub(crate) async fn emergencies(&self, readings: &[Reading]) -> Result<u32, HandleError> {
        let (watch, now) = (EmergencyWatch::of(readings), self.clock.now());
        let mut standing = Vec::new();
        for direction in [Direction::Long, Direction::Short] {
            if let Some((evidence, _)) = watch.declared(direction, now) {
                standing.push(Stands { direction, evidence });
            }
        }
        let mut written: u32 = 0;
        if standing.is_empty() {
            return Ok(written);
        }
        for account in self.ledger.active_accounts().await? {
            for stands in &standing {
                written = written.saturating_add(self.exits(&account, stands).await?);
            }
        }
        Ok(written)
    }

    /// The exits of one account. One account that fails is tried again with the next reading, and so are those behind it.
    async fn exits(&self, account: &AccountRef, stands: &Stands) -> Result<u32, HandleError> {
        let today = self.clock.now().new_york_date();
        let mut written: u32 = 0;
        for owned in self.ledger.owned(account, today).await? {
            let is_hurt = owned.held() > 0 && owned.series.right == stands.direction.right();
            let Some(setup) = owned.setup.filter(|_| is_hurt) else { continue };
            let sequence = self.ledger.handled_up_to(setup).await?.unwrap_or(0);
            let origin = Origin::Setup(setup);
            let intent = ClosingIntent {
                head: IntentHead {
                    id: intent_id(origin, sequence, account.account, Action::Emergency, None),
                    // The close goes where the position is, whatever the account is set to today.
                    account: AccountRef { environment: owned.environment, ..*account },
                    origin,
                    sequence,
                    action: Action::Emergency,
                    series: owned.series,
                    decided_at: self.clock.now(),
                },
                opening: Some(owned.opening),
                amount: CloseAmount::All,
                reason: REASON.to_owned(),
            };
            let what = format!("{} {} at the market", owned.held(), owned.series);
            written = written.saturating_add(self.exit(OrderIntent::Closing(intent), stands, &what).await?);
        }
        for owned in self.ledger.structures(account, today).await? {
            // A structure without a direction loses whichever way the index runs.
            let is_hurt = !owned.is_flat() && owned.direction.is_none_or(|it| it == stands.direction);
            if !is_hurt {
                continue;
            }
            let Some(view) = self.ledger.intent(account, owned.opening).await? else { continue };
            let OrderIntent::OpeningCombo(entry) = &view.intent else { continue };
            let (account, at) = (entry.head.account, self.clock.now());
            let by = Decided { account, origin: entry.head.origin, sequence: entry.head.sequence, at };
            let exit = entry.exit(by, Action::Emergency, CloseAmount::All, REASON);
            let what = format!("a structure of {} at a limit", owned.strategy);
            written =
                written.saturating_add(self.exit(OrderIntent::ClosingCombo(exit), stands, &what).await?);
        }
        Ok(written)
    }

    /// Writes one exit with what it was declared on, and tells.
    async fn exit(&self, intent: OrderIntent, stands: &Stands, what: &str) -> Result<u32, HandleError> {
        let (now, head) = (self.clock.now(), *intent.head());
        let EmergencyEvidence { vix_before, vix_first, vix_second, moved_against } = stands.evidence;
        let reading =
            |it: domain::ticket::Reading| serde_json::json!({ "at": it.at.to_string(), "vix": it.value });
        let evidence = serde_json::json!({
            "vixBefore": reading(vix_before),
            "vixFirst": reading(vix_first),
            "vixSecond": reading(vix_second),
            "movedAgainst": moved_against,
        });
        let new = NewIntent { breakdown: evidence.to_string(), ..NewIntent::ready(intent, now) };
        if self.ledger.record_intent(&new).await? == Recorded::Known {
            return Ok(0);
        }
        let alert = Message::Alert {
            key: format!("{REASON}:{}", head.id),
            level: "critical".to_owned(),
            text: format!(
                "emergency: the VIX went from {} to {} within a minute, the index {:.2} % against the book; account {} closes {what}",
                vix_before.value,
                vix_second.value,
                moved_against * 100.0,
                head.account.account
            ),
        };
        self.ledger.send_later(Queue::Alerts, &alert, now).await?;
        Ok(1)
    }
}

#[cfg(test)]
mod tests;

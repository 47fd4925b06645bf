//! The operator's hand: the kill switch, and the flatten now.

#![forbid(unsafe_code)]

mod emergency;
mod handover;
pub mod http;
mod member;

use domain::account::AccountRef;
use domain::books;
use domain::ids::UserId;
use domain::kill::{KillRow, KillScope, KillState, Reading};
use domain::ports::{Clock, HandleError, KillFlip, Ledger, Message, Queue};
use domain::time::UtcNanos;
use engine::trips::{self, Cause, Reach, Verdict};

/// How far back readings are looked at: longer than a cause must be over.
const READINGS_KEPT: std::time::Duration = std::time::Duration::from_secs(20 * 60);

/// What the function works with.
#[derive(Debug)]
pub struct Control<'a, L, C> {
    /// The books.
    pub ledger: &'a L,
    /// Market time.
    pub clock: &'a C,
}

/// What a reading led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The rows it flipped.
    pub flipped: Vec<KillRow>,
    /// Exits that an emergency wrote with it.
    pub emergency_exits: u32,
}

impl<L: Ledger, C: Clock> Control<'_, L, C> {
    /// Flips a row of the switch. Working entries it covers are asked to stop in the same transaction, and a hard stop starts
    /// the flatten of every account it covers with it: a crash leaves all of it or nothing.
    ///
    /// # Errors
    /// [`HandleError`] when the ledger did not take it: the switch then stands where it stood.
    pub async fn flip(
        &self,
        scope: KillScope,
        state: KillState,
        by: &str,
        reason: &str,
    ) -> Result<KillRow, HandleError> {
        let at = self.clock.now();
        let flip =
            KillFlip { scope, state, by: by.to_owned(), reason: reason.to_owned(), at, if_version: None };
        self.apply(flip).await
    }

    /// Flips, and tells.
    async fn apply(&self, flip: KillFlip) -> Result<KillRow, HandleError> {
        let row = self.ledger.flip_kill_switch(&flip).await?;
        if flip.if_version.is_some_and(|it| row.version != it.saturating_add(1)) {
            // Somebody else flipped it in between: theirs counts.
            return Ok(row);
        }
        let KillFlip { scope, state, by, reason, at, .. } = flip;
        let key = format!("kill_switch:{scope}:{}", row.version);
        let text = format!("kill switch {scope} is {} by {by}: {reason}", state.as_str());
        let alert = Message::Alert { key, level: "critical".to_owned(), text };
        self.ledger.send_later(Queue::Alerts, &alert, at).await?;
        Ok(row)
    }

    /// Takes in a reading, trips what it shows and lets go what has been over for long enough. Whoever takes readings posts
    /// one each minute, or every ten seconds for emergencies; without them nothing trips by itself, nothing lets go, and nothing
    /// is an emergency.
    ///
    /// # Errors
    /// [`HandleError`] when the ledger did not take it; the next reading decides anew.
    pub async fn observe(&self, reading: &Reading, reach: &Reach) -> Result<Observed, HandleError> {
        let now = self.clock.now();
        self.ledger.record_reading(reading).await?;
        let readings = self.ledger.readings(now.minus(READINGS_KEPT)).await?;
        // What closes comes first.
        let emergency_exits = self.emergencies(&readings).await?;
        let mut rows = self.ledger.kill_switch().await?;
        let mut flipped = Vec::new();
        for cause in Cause::ALL {
            let scope = reach.of(cause);
            let known = rows.iter().find(|it| it.scope == *scope).cloned();
            let row = known.unwrap_or_else(|| KillRow::untouched(scope.clone()));
            let (state, by, reason) = match trips::decide(cause, &readings, &row, now) {
                Verdict::Stay => continue,
                // What somebody else stopped a little is stopped more, and ends with them.
                Verdict::Trip(reason) if row.state != KillState::Normal => {
                    (KillState::SafeMode, row.by.clone(), reason)
                }
                Verdict::Trip(reason) => (KillState::SafeMode, cause.by().to_owned(), reason),
                Verdict::Release(reason) => match standing_in(cause, &readings, reach, now) {
                    Some((other, reason)) => (KillState::SafeMode, other.by().to_owned(), reason),
                    None => (KillState::Normal, cause.by().to_owned(), reason),
                },
            };
            let if_version = Some(row.version);
            let flip = KillFlip { scope: scope.clone(), state, by, reason, at: now, if_version };
            let after = self.apply(flip).await?;
            rows.retain(|it| it.scope != after.scope);
            rows.push(after.clone());
            flipped.push(after);
        }
        Ok(Observed { flipped, emergency_exits })
    }

    /// Starts the flatten now, for one user or for all. With the market closed its first pass cancels what works, and the
    /// next session closes. Returns the accounts it starts for.
    ///
    /// # Errors
    /// [`HandleError`] when the ledger did not take the messages.
    pub async fn flatten(&self, user: Option<UserId>) -> Result<Vec<AccountRef>, HandleError> {
        let at = self.clock.now();
        let session = books::closes_in(at).map_err(|it| HandleError::Poison(it.to_string()))?;
        let mut started = Vec::new();
        for account in self.ledger.active_accounts().await? {
            if user.is_none_or(|it| it == account.user) {
                let (queue, message, due) = books::flatten_at_once(account, session, at);
                self.ledger.send_later(queue, &message, due).await?;
                started.push(account);
            }
        }
        Ok(started)
    }
}

/// Another cause of the same reach that holds now: what lets go for one reason is not lifted while another stands.
fn standing_in(over: Cause, readings: &[Reading], reach: &Reach, now: UtcNanos) -> Option<(Cause, String)> {
    let scope = reach.of(over);
    let row = KillRow::untouched(scope.clone());
    let others = Cause::ALL.into_iter().filter(|it| *it != over && reach.of(*it) == scope);
    others.into_iter().find_map(|it| match trips::decide(it, readings, &row, now) {
        Verdict::Trip(reason) => Some((it, reason)),
        Verdict::Stay | Verdict::Release(_) => None,
    })
}

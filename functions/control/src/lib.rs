//! The operator's hand: the kill switch, and the flatten now.

#![forbid(unsafe_code)]

pub mod http;

use domain::account::AccountRef;
use domain::ids::UserId;
use domain::kill::{KillRow, KillScope, KillState};
use domain::ports::{Clock, HandleError, KillFlip, Ledger, Message, Queue};

/// What the function works with.
#[derive(Debug)]
pub struct Control<'a, L, C> {
    /// The books.
    pub ledger: &'a L,
    /// Market time.
    pub clock: &'a C,
}

impl<L: Ledger, C: Clock> Control<'_, L, C> {
    /// Flips a row of the switch. Working entries it covers are asked to stop in the same transaction; a hard stop also
    /// starts the flatten of every account it covers.
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
        let flip = KillFlip { scope: scope.clone(), state, by: by.to_owned(), reason: reason.to_owned(), at };
        let row = self.ledger.flip_kill_switch(&flip).await?;
        if state == KillState::HardStop {
            let of = match &scope {
                KillScope::User(user) => Some(*user),
                KillScope::Global | KillScope::Strategy(_) | KillScope::Symbol(_) | KillScope::Broker(_) => {
                    None
                }
            };
            self.flatten(of).await?;
        }
        let key = format!("kill_switch:{scope}:{}", row.version);
        let text = format!("kill switch {scope} is {} by {by}: {reason}", state.as_str());
        let alert = Message::Alert { key, level: "critical".to_owned(), text };
        self.ledger.send_later(Queue::Alerts, &alert, at).await?;
        Ok(row)
    }

    /// Starts the flatten now, for one user or for all. Returns the accounts it starts for.
    ///
    /// # Errors
    /// [`HandleError`] when the ledger did not take the messages.
    pub async fn flatten(&self, user: Option<UserId>) -> Result<Vec<AccountRef>, HandleError> {
        let at = self.clock.now();
        let session = at.new_york_date();
        let mut started = Vec::new();
        for account in self.ledger.active_accounts().await? {
            if user.is_none_or(|it| it == account.user) {
                self.ledger
                    .send_later(Queue::Flatten, &Message::Flatten { account, session, at_once: true }, at)
                    .await?;
                started.push(account);
            }
        }
        Ok(started)
    }
}

//! Each minute of a session: every account's balances, and the daily loss that trips safe mode.
//!
//! Balances are stored when equity or buying power moved by more than 1 %, after five minutes, first in a session, and
//! when a floor is crossed. One user's bad token never stops the others: the credential is marked and its user told.

#![forbid(unsafe_code)]

use std::time::Duration;

use domain::account::{AccountRef, Balances, CredentialStatus, Switches};
use domain::calendar::Session;
use domain::kill::{KillRow, KillScope, KillState};
use domain::money::{CONTRACT_MULTIPLIER, Usd};
use domain::ports::{
    BrokerError, BrokerPort, Brokers, Clock, ConnectError, CredentialChange, HandleError, KillFlip, Ledger,
    Message, OpeningContext, Queue, REFUSED_TOKEN_AGE_MAX, Recorded, SecretError, Snapshot, UserMessage,
};
use domain::time::UtcNanos;
use engine::behaviour::{self, Notice, Standing};
use engine::daytrade::{Rule, TRADIER_SWITCHED};

/// Balances are stored at least this often.
const STORED_AT_LEAST_EVERY: Duration = Duration::from_secs(300);
/// Balances are stored when a figure moved by more than 1 in this many.
const MOVED_BY_ONE_IN: i64 = 100;
/// A credential's proof is renewed at most this often; it counts for 24 hours.
const PROOF_RENEWED_AFTER: Duration = Duration::from_secs(3_600);
/// Who trips the switch.
const DAILY_LOSS: &str = "daily_loss";
/// Why a user is told about their token.
const CREDENTIAL_REFUSED: &str = "credential_refused";

/// What the function works with.
#[derive(Debug)]
pub struct PortfolioSync<'a, L, B, C> {
    /// The books.
    pub ledger: &'a L,
    /// The brokers.
    pub brokers: &'a B,
    /// Market time.
    pub clock: &'a C,
    /// The deployment's switches.
    pub switches: Switches,
}

/// What one run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Synced {
    /// Accounts asked.
    pub accounts: u32,
    /// Balances stored.
    pub stored: u32,
    /// Accounts that could not be read.
    pub failed: u32,
    /// Users put into safe mode by their daily loss.
    pub tripped: u32,
    /// Messages written to users.
    pub told: u32,
}

impl<L: Ledger, B: Brokers, C: Clock> PortfolioSync<'_, L, B, C> {
    /// Reads every account once. Does nothing outside a session or with everything switched off.
    ///
    /// # Errors
    /// [`HandleError`] when the ledger did not answer; a broker that did not is counted and told.
    pub async fn run(&self) -> Result<Synced, HandleError> {
        let mut done = Synced::default();
        let now = self.clock.now();
        let session = Session::at(now).map_err(|it| HandleError::Poison(it.to_string()))?;
        // The first minute after the close still belongs to the session: its closing balances.
        let in_session = |it: &Session| it.open <= now && now <= it.close.plus(Duration::from_secs(60));
        let Some(session) = session.filter(in_session) else { return Ok(done) };
        if !self.switches.portfolio_sync && !self.switches.execution_enabled {
            return Ok(done);
        }
        for account in self.ledger.active_accounts().await? {
            done.accounts += 1;
            match self.sync(&account, &session).await {
                Ok(Some(one)) => {
                    done.stored += u32::from(one.stored);
                    done.tripped += u32::from(one.tripped);
                    done.told += one.told;
                }
                Ok(None) => done.failed += 1,
                // Whatever is wrong with one account, the others have their turn.
                Err(error) => {
                    done.failed += 1;
                    let account = account.account;
                    tracing::warn!(%account, "account {account} could not be synchronised: {error}");
                }
            }
        }
        Ok(done)
    }

    async fn sync(&self, account: &AccountRef, session: &Session) -> Result<Option<One>, HandleError> {
        let began = self.clock.now();
        let broker = match self.brokers.account(account).await {
            Ok(broker) => broker,
            Err(error) => return self.unreachable(account, session, &error).await,
        };
        let balances = match broker.balances().await {
            Ok(balances) => balances,
            Err(BrokerError::Authentication { .. }) => return self.refused(account, session, began).await,
            // The next minute asks again.
            Err(_) => return Ok(None),
        };
        let now = self.clock.now();
        self.prove(account, now).await?;
        let scope = KillScope::User(account.user);
        let context =
            self.ledger.opening_context(account, session.date, std::slice::from_ref(&scope)).await?;
        let rule = Rule::as_of(session.date, TRADIER_SWITCHED);
        let floors = behaviour::floors(&context.settings.limits, rule);
        let before = context.snapshot.filter(|it| it.at >= session.open);
        let mut stored = false;
        if let Some(reason) = reason_to_store(before.as_ref(), &balances, session, now, &floors) {
            self.ledger.record_snapshot(account, &Snapshot { at: now, balances }, reason).await?;
            stored = true;
        }
        let notices = behaviour::notices(&Standing {
            balances: &balances,
            before: before.as_ref().map(|it| &it.balances),
            limits: &context.settings.limits,
            working_debits: context.day.working_debits,
            day_trades: context.day.day_trades,
            rule,
        });
        let mut told = 0;
        for Notice { reason, text } in notices {
            told += u32::from(self.tell(account, reason, text).await?);
        }
        let tripped = self.daily_loss(account, session, &context, &broker).await?;
        Ok(Some(One { stored, tripped, told }))
    }

    /// Writes a message to the account's owner; `false` where they heard of it lately.
    async fn tell(&self, account: &AccountRef, reason: &str, text: String) -> Result<bool, HandleError> {
        let message = UserMessage {
            user: account.user,
            reason: reason.to_owned(),
            key: reason.to_owned(),
            text,
            at: self.clock.now(),
        };
        Ok(self.ledger.tell_user(&message).await? == Recorded::New)
    }

    async fn prove(&self, account: &AccountRef, now: UtcNanos) -> Result<(), HandleError> {
        let records = self.ledger.credentials(account.user).await?;
        let record = records.iter().find(|it| it.account.account == account.account);
        let fresh = record.and_then(|it| it.proof_at).is_some_and(|at| now.since(at) < PROOF_RENEWED_AFTER);
        if !fresh {
            self.ledger.change_credential(account, &CredentialChange::Proven, now).await?;
        }
        Ok(())
    }

    /// Realised and unrealised, fees included, against the user's limit; from our own ledger, so that deposits don't count.
    async fn daily_loss(
        &self,
        account: &AccountRef,
        session: &Session,
        context: &OpeningContext,
        broker: &B::Account,
    ) -> Result<bool, HandleError> {
        let scope = KillScope::User(account.user);
        self.release_of_an_earlier_session(context, session, &scope).await?;
        let stopped = context.kill.iter().any(|it| it.scope == scope && it.state >= KillState::SafeMode);
        if stopped {
            return Ok(false);
        }
        let Some(open) = self.unrealized(account, session, broker).await? else { return Ok(false) };
        let result = context.day.realized + open;
        if -result < context.settings.limits.daily_loss_limit {
            return Ok(false);
        }
        let reason = format!(
            "the day stands at {result} against a limit of {}",
            context.settings.limits.daily_loss_limit
        );
        let at = self.clock.now();
        let flip = KillFlip {
            if_version: None,
            scope,
            state: KillState::SafeMode,
            by: DAILY_LOSS.to_owned(),
            reason: reason.clone(),
            at,
        };
        self.ledger.flip_kill_switch(&flip).await?;
        let key = format!("{DAILY_LOSS}:{}:{}", account.user, session.date);
        self.alert(key, "critical", format!("safe mode for user {}: {reason}", account.user)).await?;
        self.tell(account, DAILY_LOSS, format!("no more entries today: {reason}")).await?;
        Ok(true)
    }

    /// A daily loss holds for its session: one of an earlier session lets go, unless somebody flipped the row since.
    async fn release_of_an_earlier_session(
        &self,
        context: &OpeningContext,
        session: &Session,
        scope: &KillScope,
    ) -> Result<(), HandleError> {
        let is_over = |it: &&KillRow| {
            it.scope == *scope
                && it.by == DAILY_LOSS
                && it.state != KillState::Normal
                && it.flipped_at.new_york_date() < session.date
        };
        let Some(row) = context.kill.iter().find(is_over) else { return Ok(()) };
        let flip = KillFlip {
            scope: scope.clone(),
            state: KillState::Normal,
            by: DAILY_LOSS.to_owned(),
            reason: "a new session".to_owned(),
            at: self.clock.now(),
            if_version: Some(row.version),
        };
        self.ledger.flip_kill_switch(&flip).await?;
        Ok(())
    }

    /// What is held at mid less its cost; `None` while a quote is missing, because a loss is not tripped on a guess.
    async fn unrealized(
        &self,
        account: &AccountRef,
        session: &Session,
        broker: &B::Account,
    ) -> Result<Option<Usd>, HandleError> {
        let owned = self.ledger.owned(account, session.date).await?;
        let held: Vec<_> = owned.iter().filter(|it| it.held() > 0).collect();
        if held.is_empty() {
            return Ok(Some(Usd::ZERO));
        }
        let series: Vec<_> = held.iter().map(|it| it.series).collect();
        let Ok(quotes) = broker.quotes(&series).await else { return Ok(None) };
        let mut open = Usd::ZERO;
        for (entry, quote) in held.iter().zip(quotes) {
            let Some((bid, ask)) = quote.and_then(|it| it.two_sided()) else { return Ok(None) };
            let twice_mid = Usd::from_cents(i64::from(bid.cents()) + i64::from(ask.cents()));
            let contracts = i64::from(entry.held());
            let value = twice_mid.times(CONTRACT_MULTIPLIER * contracts).scaled(1, 2);
            open += value - entry.paid.scaled(contracts, i64::from(entry.bought));
        }
        Ok(Some(open))
    }

    /// The token that was refused was read before `began`, and may have been replaced since.
    async fn refused(
        &self,
        account: &AccountRef,
        session: &Session,
        began: UtcNanos,
    ) -> Result<Option<One>, HandleError> {
        let read_at = began.minus(REFUSED_TOKEN_AGE_MAX);
        self.ledger.change_credential(account, &CredentialChange::Refused, read_at).await?;
        let records = self.ledger.credentials(account.user).await?;
        let record = records.iter().find(|it| it.account.account == account.account);
        if record.is_none_or(|it| it.status != CredentialStatus::Refused) {
            return Ok(None);
        }
        let key = format!("credential_refused:{}:{}", account.account, session.date);
        self.alert(
            key,
            "warning",
            format!("the broker refuses the token of account {}: store a new one", account.account),
        )
        .await?;
        let text = "your broker refuses the stored token: store a new one, nothing is opened until then";
        self.tell(account, CREDENTIAL_REFUSED, text.to_owned()).await?;
        Ok(None)
    }

    async fn unreachable(
        &self,
        account: &AccountRef,
        session: &Session,
        error: &ConnectError,
    ) -> Result<Option<One>, HandleError> {
        if let ConnectError::Secret(SecretError::Missing(_) | SecretError::Malformed { .. }) = error {
            return self.refused(account, session, self.clock.now()).await;
        }
        let key = format!("account_unreachable:{}:{}", account.account, session.date);
        self.alert(key, "warning", format!("account {} cannot be reached: {error}", account.account)).await?;
        Ok(None)
    }

    async fn alert(&self, key: String, level: &str, text: String) -> Result<(), HandleError> {
        let alert = Message::Alert { key, level: level.to_owned(), text };
        Ok(self.ledger.send_later(Queue::Alerts, &alert, self.clock.now()).await?)
    }
}

/// What was done for one account.
struct One {
    stored: bool,
    tripped: bool,
    told: u32,
}

/// Why balances are worth a row; `None` when they are not. `last` is the session's own last row.
fn reason_to_store(
    last: Option<&Snapshot>,
    now_are: &Balances,
    session: &Session,
    now: UtcNanos,
    floors: &[Usd],
) -> Option<&'static str> {
    let Some(last) = last else { return Some("session_open") };
    let was = &last.balances;
    if now >= session.close && last.at < session.close {
        return Some("session_close");
    }
    if behaviour::crossed(was.total_equity, now_are.total_equity, floors).is_some() {
        return Some("floor_crossed");
    }
    let power = |it: &Balances| it.usable().unwrap_or(Usd::ZERO);
    if moved(was.total_equity, now_are.total_equity) || moved(power(was), power(now_are)) {
        return Some("moved");
    }
    (now.since(last.at) >= STORED_AT_LEAST_EVERY).then_some("five_minutes")
}

/// Whether `to` differs from `from` by more than one part in a hundred.
fn moved(from: Usd, to: Usd) -> bool {
    (to - from).abs().times(MOVED_BY_ONE_IN) > from.abs()
}

#[cfg(test)]
mod tests;

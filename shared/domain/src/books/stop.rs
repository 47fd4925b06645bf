//! What a hard stop closes: which accounts its scope covers, and in which session.

use std::borrow::Borrow;
use std::time::Duration;

use jiff::civil::Date;

use super::derive::in_use;
use crate::account::AccountRef;
use crate::calendar::{NoCalendar, Session, next_session};
use crate::kill::KillScope;
use crate::ports::{IntentView, Message, Queue};
use crate::time::UtcNanos;

/// The session whose market can still be closed in: today's until its close, else the next one.
///
/// # Errors
/// [`NoCalendar`] for days nobody knows the exchange's hours of.
pub fn closes_in(now: UtcNanos) -> Result<Date, NoCalendar> {
    let today = now.new_york_date();
    match Session::of(today)?.filter(|it| now < it.close) {
        Some(session) => Ok(session.date),
        None => Ok(next_session(today)?.date),
    }
}

/// Clocks of processes may be this far apart.
pub const CLOCKS_APART: Duration = Duration::from_secs(2);

/// The message with which the flatten of an account starts at once: due by the clock of whoever looks for it, also where
/// the one that wrote it is fast.
pub fn flatten_at_once(account: AccountRef, session: Date, at: UtcNanos) -> (Queue, Message, UtcNanos) {
    (Queue::Flatten, Message::Flatten { account, session, at_once: true }, at.minus(CLOCKS_APART))
}

/// Whether a hard stop of `scope` closes the account with these intents, which is at `broker`. A strategy's or a symbol's
/// stop reaches the accounts that hold or work something of it, and leaves the others alone.
pub fn is_covered<V: Borrow<IntentView>>(
    scope: &KillScope,
    account: &AccountRef,
    broker: &str,
    views: &[V],
) -> bool {
    match scope {
        KillScope::Global => true,
        KillScope::User(user) => *user == account.user,
        KillScope::Broker(name) => name == broker,
        KillScope::Symbol(symbol) | KillScope::Market(symbol) => {
            in_use(views).iter().any(|it| it.head().series.underlying() == *symbol)
        }
        KillScope::Strategy(name) => in_use(views).iter().any(|it| it.strategy() == Some(name)),
    }
}

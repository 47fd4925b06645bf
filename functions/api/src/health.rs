//! The deep health: each part with a verdict of its own.

use std::time::Duration;

use domain::calendar::Session;
use domain::kill::{KillScope, strictest};
use domain::ports::{Clock, Ledger};
use domain::time::UtcNanos;
use lambda_kit::http::{Answer, Caller, Problem};
use serde::Serialize;
use serde_json::Value;

use crate::{Api, Reads};

/// In a session the last bar is younger than this, or the feed is late. Bars are written once a minute.
const FEED_AGE_MAX: Duration = Duration::from_secs(120);

/// One part and how it is.
#[derive(Debug, Serialize)]
struct Part {
    /// `ok`, `warn`, `fail`, or `unknown` where it could not be asked.
    verdict: &'static str,
    detail: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: &'static str,
    database: Part,
    migrations: Part,
    queues: Part,
    feed: Part,
    kill_switch: Part,
}

fn part(verdict: &'static str, detail: impl Into<String>) -> Part {
    Part { verdict, detail: detail.into() }
}

impl<L: Ledger, R: Reads, C: Clock> Api<'_, L, R, C> {
    /// 200 while nothing fails, 503 otherwise; the body says what.
    pub(crate) async fn health(&self, caller: Caller) -> Result<Answer, Problem> {
        let (database, migrations) = match self.reads.schema().await {
            Err(error) => (part("fail", error.to_string()), part("unknown", "the database was not reached")),
            Ok(schema) => {
                let bound = match schema.is_bound {
                    true => part("ok", "answers; the role is bound by row-level security"),
                    false => part("fail", "the role can look past row-level security: use another one"),
                };
                let (found, expected) = (schema.found, schema.expected);
                let is_right = found == Some(expected);
                let found = found.map_or_else(|| "none".to_owned(), |it| it.to_string());
                let words = format!("schema version {found}, this build works with {expected}");
                (bound, part(if is_right { "ok" } else { "fail" }, words))
            }
        };
        let status = self.reads.status(caller.user).await.ok();
        let (queues, feed) = match &status {
            Some(status) => (queues(status), self.feed(status)),
            None => (
                part("unknown", "the database was not reached"),
                part("unknown", "the database was not reached"),
            ),
        };
        let kill_switch = match self.ledger.kill_switch().await {
            Ok(mut rows) => {
                rows.retain(|it| {
                    matches!(it.scope, KillScope::Global | KillScope::Broker(_) | KillScope::Market(_))
                });
                let state = strictest(&rows);
                part(if state.allows_entries() { "ok" } else { "warn" }, state.as_str())
            }
            Err(_) => part("fail", "unreadable: no entry is sent"),
        };
        let parts = [&database, &migrations, &queues, &feed, &kill_switch];
        let is_up = !parts.iter().any(|it| it.verdict == "fail");
        let status = if is_up { "up" } else { "down" };
        let health = Health { status, database, migrations, queues, feed, kill_switch };
        Answer::with(if is_up { 200 } else { 503 }, &health)
    }

    /// How old the last bar is. Outside a session an old one is as it should be.
    fn feed(&self, status: &Value) -> Part {
        let now = self.clock.now();
        let last = status.get("lastMicrobarAt").and_then(Value::as_str).and_then(UtcNanos::parse);
        let session = Session::at(now).ok().flatten().filter(|it| it.holds(now));
        // A session that just began has no bar yet.
        let late = |since: UtcNanos| session.is_some_and(|it| now.since(since.max(it.open)) > FEED_AGE_MAX);
        match last {
            Some(last) => {
                let words = format!("the last bar is {} s old", now.since(last).as_secs());
                if late(last) { part("fail", words + " in a session") } else { part("ok", words) }
            }
            None if late(UtcNanos(i64::MIN)) => part("fail", "no bar in a session"),
            None => part("ok", "no bar yet"),
        }
    }
}

/// What waits, and what could not be worked.
fn queues(status: &Value) -> Part {
    let count = |name: &str| status.get(name).and_then(Value::as_i64).unwrap_or_default();
    let (unsent, dead) = (count("outboxUnsent"), count("deadLetters"));
    let words = format!("{unsent} messages unsent or not due, {dead} dead letters");
    part(if dead == 0 { "ok" } else { "warn" }, words)
}

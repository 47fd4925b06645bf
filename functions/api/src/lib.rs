//! Everything that reads, and the contract selection: nothing here changes a row or reaches a broker.

#![forbid(unsafe_code)]

mod cache;
mod health;
mod order;
pub mod reads;
mod selection;

use domain::account::Switches;
use domain::ids::{IntentId, OrderTag, SetupId};
use domain::kill::{KillRow, KillScope};
use domain::ports::{Clock, Ledger, StoredMessage};
use jiff::civil::Date;
use lambda_kit::http::{Answer, Call, Caller, Problem, Role};
use serde_json::Value;

pub use cache::Cache;
pub use reads::Reads;

const ROUTES: [(&str, &str); 15] = [
    ("GET", "/v1/status"),
    ("GET", "/v1/health"),
    ("GET", "/v1/health/deep"),
    ("GET", "/v1/setups"),
    ("GET", "/v1/setups/{id}"),
    ("POST", "/v1/contract-selection"),
    ("GET", "/v1/orders"),
    ("GET", "/v1/orders/{id}"),
    ("GET", "/v1/positions"),
    ("GET", "/v1/fills"),
    ("GET", "/v1/snapshots"),
    ("GET", "/v1/report"),
    ("GET", "/v1/kill-switch"),
    ("GET", "/v1/reconciliation"),
    ("GET", "/v1/messages"),
];
/// Messages shown at once.
const MESSAGES_MAX: u32 = 200;

/// What the function works with.
#[derive(Debug)]
pub struct Api<'a, L, R, C> {
    /// The books.
    pub ledger: &'a L,
    /// Plain reads, as the user they are read for.
    pub reads: &'a R,
    /// Market time.
    pub clock: &'a C,
    /// The deployment's switches.
    pub switches: Switches,
    /// Answers of the last seconds.
    pub cache: &'a Cache,
}

impl<L: Ledger, R: Reads, C: Clock> Api<'_, L, R, C> {
    /// Answers a call.
    ///
    /// # Errors
    /// [`Problem`] that names the field, or the part that did not answer.
    pub async fn call(&self, call: &Call) -> Result<Answer, Problem> {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("GET", ["v1", "health"]) => Answer::ok(&serde_json::json!({ "status": "up" })),
            ("GET", ["v1", "health", "deep"]) => self.health(call.caller()?).await,
            ("GET", ["v1", "status"]) => self.status(call.caller()?).await,
            ("GET", ["v1", "setups"]) => {
                let user = call.caller()?.user;
                Answer::ok(&self.reads.setups(user, self.session(call)?).await?)
            }
            ("GET", ["v1", "setups", id]) => self.setup(call.caller()?, id).await,
            ("POST", ["v1", "contract-selection"]) => self.select(call.caller()?, call.read()?).await,
            ("GET", ["v1", "orders"]) => {
                let user = call.caller()?.user;
                Answer::ok(&self.reads.orders(user, self.session(call)?).await?)
            }
            ("GET", ["v1", "orders", id]) => self.order(call.caller()?, id).await,
            ("GET", ["v1", "positions"]) => Answer::ok(&self.reads.positions(call.caller()?.user).await?),
            ("GET", ["v1", "fills"]) => {
                let user = call.caller()?.user;
                Answer::ok(&self.reads.fills(user, self.session(call)?).await?)
            }
            ("GET", ["v1", "snapshots"]) => {
                let user = call.caller()?.user;
                Answer::ok(&self.reads.snapshots(user, self.session(call)?).await?)
            }
            ("GET", ["v1", "report"]) => {
                let user = call.caller()?.user;
                Answer::ok(&self.reads.report(user, self.session(call)?).await?)
            }
            ("GET", ["v1", "reconciliation"]) => {
                let user = call.caller()?.user;
                Answer::ok(&self.reads.reconciliation(user, self.session(call)?).await?)
            }
            ("GET", ["v1", "messages"]) => Answer::ok(
                &self
                    .ledger
                    .user_messages(call.caller()?.user, MESSAGES_MAX)
                    .await?
                    .iter()
                    .map(told)
                    .collect::<Vec<_>>(),
            ),
            ("GET", ["v1", "kill-switch"]) => self.kill_switch(call.caller()?).await,
            _ => Err(Problem::no_route(call, &ROUTES)),
        }
    }

    /// The session asked for; today's New York date when none is.
    fn session(&self, call: &Call) -> Result<Date, Problem> {
        let asked = call.parameter("session", "a New York date such as 2026-11-20")?;
        Ok(asked.unwrap_or_else(|| self.clock.now().new_york_date()))
    }

    async fn status(&self, caller: Caller) -> Result<Answer, Problem> {
        let mut status = self.reads.status(caller.user).await?;
        if let Some(Value::Array(rows)) = status.get_mut("killSwitch") {
            let scope = |it: &Value| it.get("scope").and_then(Value::as_str).and_then(KillScope::parse);
            rows.retain(|it| scope(it).is_some_and(|it| may_see(&caller, &it)));
        }
        if let Value::Object(fields) = &mut status {
            fields.insert("at".to_owned(), self.clock.now().to_string().into());
            fields.insert("executionEnabled".to_owned(), self.switches.execution_enabled.into());
            fields.insert("sandbox".to_owned(), self.switches.sandbox.into());
        }
        Answer::ok(&status)
    }

    /// One setup with its steps.
    async fn setup(&self, caller: Caller, id: &str) -> Result<Answer, Problem> {
        let id: SetupId =
            id.parse().map_err(|_| Problem::invalid("id", "a setup's id is 26 characters of base32"))?;
        let gone = || Problem::not_found(&format!("no setup {id}: GET /v1/setups lists those of a session"));
        let first = self.ledger.transition(id, 0).await?.ok_or_else(gone)?;
        let setups = self.reads.setups(caller.user, first.setup.session).await?;
        let name = id.to_string();
        let is_it = |it: &&Value| it.get("id").and_then(Value::as_str) == Some(name.as_str());
        let found = setups.as_array().and_then(|it| it.iter().find(is_it));
        Answer::ok(found.ok_or_else(gone)?)
    }

    /// One order's story, by the intent's id, the tag of one of its attempts, or the broker's number.
    async fn order(&self, caller: Caller, asked: &str) -> Result<Answer, Problem> {
        let of_tag = OrderTag::parse(asked).map(|it| it.intent);
        let intent = of_tag.or_else(|| asked.parse::<IntentId>().ok()).map(|it| it.to_string());
        let number = || asked.parse::<u64>().ok().map(|it| it.to_string());
        let name = intent.or_else(number).ok_or_else(|| {
            let expected = "an order is an intent's id (26 characters), a tag, or the broker's number";
            Problem::invalid("id", expected)
        })?;
        let mut story = self.reads.order(caller.user, &name).await?;
        if story.is_null() {
            let detail = format!("no order {asked} of yours: GET /v1/orders lists those of a session");
            return Err(Problem::not_found(&detail));
        }
        self.enrich(&caller, &mut story).await?;
        Answer::ok(&story)
    }

    async fn kill_switch(&self, caller: Caller) -> Result<Answer, Problem> {
        let rows = self.ledger.kill_switch().await?;
        let rows: Vec<Value> = rows.iter().filter(|it| may_see(&caller, &it.scope)).map(shown).collect();
        Answer::ok(&rows)
    }
}

/// A member sees the switches that cover them; those of other users are the operator's.
fn may_see(caller: &Caller, scope: &KillScope) -> bool {
    match scope {
        KillScope::User(user) => *user == caller.user || caller.role == Role::Operator,
        KillScope::Global
        | KillScope::Strategy(_)
        | KillScope::Symbol(_)
        | KillScope::Broker(_)
        | KillScope::Market(_) => true,
    }
}

fn told(message: &StoredMessage) -> Value {
    serde_json::json!({
        "id": message.id,
        "reason": message.reason,
        "text": message.text,
        "at": message.at.to_string(),
        "readAt": message.read_at.map(|it| it.to_string()),
    })
}

fn shown(row: &KillRow) -> Value {
    serde_json::json!({
        "scope": row.scope.to_string(),
        "state": row.state.as_str(),
        "version": row.version,
        "flippedAt": row.flipped_at.to_string(),
        "by": row.by,
        "reason": row.reason,
    })
}

#[cfg(test)]
mod tests;

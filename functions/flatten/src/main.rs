//! Entry point: SQS `flatten`, and the schedules that start it.

#![recursion_limit = "256"]

use std::process::ExitCode;
use std::time::Duration;

use broker::deployment::Ways;
use flatten::Flatten;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::notes::Notes;
use lambda_kit::wiring::{CONNECTIONS, failed, holder, object, relay_after, start};
use lambda_kit::{aws, diagnostic, sqs};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use store::{Limits, Store};

/// A database that does not answer this soon counts as down: the flatten goes on without it.
const DOWN_AFTER: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    let (clock, switches) = (SystemClock::from_env(&env)?, env.switches()?);
    let limits = Limits { connect: DOWN_AFTER, statement: DOWN_AFTER, flight: DOWN_AFTER };
    let ledger = Store::lazy(env.required("DATABASE_URL")?, CONNECTIONS, limits)?;
    let ways = Ways::open(&switches, env.get("TRADIER_BASE_URL"))?;
    let (secrets, sender) = (aws::secrets(&env)?, aws::sender(&env)?);
    let brokers = ways.connector(secrets.clone(), clock);
    let (notes, holder) = (Notes::from_env(&env)?, holder(&env));
    let flatten = Flatten {
        ledger: &ledger,
        brokers: &brokers,
        clock: &clock,
        notes: &notes,
        secrets: &secrets,
        sender: &sender,
        switches,
        holder: &holder,
    };
    let flatten = &flatten;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (ledger, clock) = (flatten.ledger, flatten.clock);
        let answer = if event.payload.get("Records").is_some() {
            let batch = serde_json::from_value(event.payload).map_err(|it| diagnostic(it.into()))?;
            let handle = async |message: &_| flatten.handle(message).await;
            let answer = sqs::batch(batch, ledger, clock, handle).await.map_err(diagnostic)?;
            serde_json::to_value(answer).map_err(|it| diagnostic(it.into()))
        } else {
            object(event.payload)?;
            flatten.start().await.map(|started| json!({ "started": started })).map_err(failed)
        };
        relay_after(ledger, flatten.sender, clock).await;
        answer
    }))
    .await
}

//! Entry point: the schedule after the close. `{"session": "2026-11-20"}` reports that one instead.

#![recursion_limit = "256"]

use std::process::ExitCode;

use anyhow::Context as _;
use jiff::civil::Date;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::wiring::{CONNECTIONS, failed, object, relay_after, start};
use lambda_kit::{aws, diagnostic};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use report::Report;
use serde_json::{Map, Value};
use store::{Limits, Store};

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    let clock = SystemClock::from_env(&env)?;
    let ledger = Store::lazy(env.required("DATABASE_URL")?, CONNECTIONS, Limits::default())?;
    let sender = aws::sender(&env)?;
    let report = Report { ledger: &ledger, clock: &clock };
    let (report, sender) = (&report, &sender);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let done = match session(&object(event.payload)?).map_err(diagnostic)? {
            Some(date) => report.of(date).await.map(Some),
            None => report.run().await,
        };
        relay_after(report.ledger, sender, report.clock).await;
        done.map_err(failed)
    }))
    .await
}

/// The session asked for, where the event names one.
fn session(event: &Map<String, Value>) -> anyhow::Result<Option<Date>> {
    let Some(named) = event.get("session").filter(|it| !it.is_null()) else { return Ok(None) };
    let date = named.as_str().and_then(|it| it.parse().ok());
    date.map(Some).with_context(|| format!("session={named} is not a date such as 2026-11-20"))
}

//! Entry point: the schedule, each minute, which also sweeps the outbox. `{"officialClose": "5612.34"}` settles by it.

#![recursion_limit = "256"]

use std::process::ExitCode;

use broker::budget::Purpose;
use broker::deployment::Ways;
use domain::market::Points;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::wiring::{CONNECTIONS, failed, object, relay_after, start};
use lambda_kit::{aws, diagnostic};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use reconcile::Reconcile;
use serde_json::{Map, Value};
use store::{Limits, Store};

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    let (clock, switches) = (SystemClock::from_env(&env)?, env.switches()?);
    let ledger = Store::lazy(env.required("DATABASE_URL")?, CONNECTIONS, Limits::default())?;
    let ways = Ways::open(&switches, env.get("TRADIER_BASE_URL"))?;
    let brokers = ways.connector(aws::secrets(&env)?, clock).reading_for(Purpose::Entry);
    let sender = aws::sender(&env)?;
    let reconcile = Reconcile { ledger: &ledger, brokers: &brokers, clock: &clock, switches };
    let (reconcile, sender) = (&reconcile, &sender);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let close = official_close(&object(event.payload)?).map_err(diagnostic)?;
        let done = reconcile.run(close).await.map_err(failed);
        relay_after(reconcile.ledger, sender, reconcile.clock).await;
        done
    }))
    .await
}

/// The index's official close, where the event brings it.
fn official_close(event: &Map<String, Value>) -> anyhow::Result<Option<Points>> {
    let text = match event.get("officialClose") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let close = Points::parse(&text).filter(|it| it.0 > 0);
    close
        .map(Some)
        .ok_or_else(|| anyhow::anyhow!("officialClose={text} is not an index value such as 5612.34"))
}

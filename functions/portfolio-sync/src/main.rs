//! Entry point: the schedule, each minute.

#![recursion_limit = "256"]

use std::process::ExitCode;

use broker::budget::Purpose;
use broker::deployment::Ways;
use lambda_kit::aws;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::wiring::{CONNECTIONS, failed, object, relay_after, start};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use portfolio_sync::PortfolioSync;
use serde_json::Value;
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
    let sync = PortfolioSync { ledger: &ledger, brokers: &brokers, clock: &clock, switches };
    let (sync, sender) = (&sync, &sender);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        object(event.payload)?;
        let done = sync.run().await.map_err(failed);
        relay_after(sync.ledger, sender, sync.clock).await;
        done
    }))
    .await
}

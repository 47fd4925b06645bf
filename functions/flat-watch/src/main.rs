//! Entry point: the schedule, each minute before the close. No database.

#![recursion_limit = "256"]

use std::process::ExitCode;

use broker::deployment::Ways;
use domain::ports::Clock;
use flat_watch::{FlatWatch, metric};
use lambda_kit::aws;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::notes::Notes;
use lambda_kit::wiring::{failed, object, start};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    let (clock, switches) = (SystemClock::from_env(&env)?, env.switches()?);
    let ways = Ways::open(&switches, env.get("TRADIER_BASE_URL"))?;
    let (secrets, sender) = (aws::secrets(&env)?, aws::sender(&env)?);
    let brokers = ways.connector(secrets.clone(), clock);
    let notes = Notes::from_env(&env)?;
    let stage = env.get("CLAXTON_STAGE").unwrap_or("local");
    let watch = FlatWatch {
        secrets: &secrets,
        brokers: &brokers,
        notes: &notes,
        sender: &sender,
        clock: &clock,
        switches,
    };
    let watch = &watch;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        object(event.payload)?;
        let watched = watch.run().await.map_err(failed)?;
        if let Some(line) = metric(&watched, stage, watch.clock.now()) {
            // Metrics are read from lines of plain output.
            println!("{line}");
        }
        Ok::<_, lambda_runtime::Diagnostic>(watched)
    }))
    .await
}

//! Entry point: invoked by a deployment.

#![recursion_limit = "256"]

use std::process::ExitCode;

use lambda_kit::diagnostic;
use lambda_kit::env::Env;
use lambda_kit::wiring::{object, start};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    // The role that owns the schema is not the one that functions work as, where a deployment keeps them apart.
    let url = match env.get("MIGRATE_DATABASE_URL") {
        Some(url) => url,
        None => env.required("DATABASE_URL")?,
    };
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        object(event.payload)?;
        migrate::run(url).await.map_err(|it| diagnostic(it.into()))
    }))
    .await
}

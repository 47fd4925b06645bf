//! Entry point: HTTP.

#![recursion_limit = "256"]

use std::process::ExitCode;

use api::{Api, Cache};
use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::http::respond;
use lambda_kit::wiring::{CONNECTIONS, start};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use store::{Limits, Store};

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    let (clock, switches) = (SystemClock::from_env(&env)?, env.switches()?);
    let store = Store::lazy(env.required("DATABASE_URL")?, CONNECTIONS, Limits::default())?;
    let cache = Cache::default();
    let api = Api { ledger: &store, reads: &store, clock: &clock, switches, cache: &cache };
    let api = &api;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| async move {
        let answer = respond(&event.payload, async |call| api.call(call).await).await;
        Ok::<_, std::convert::Infallible>(answer)
    }))
    .await
}

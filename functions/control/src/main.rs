//! Entry point: HTTP.

#![recursion_limit = "256"]

use std::process::ExitCode;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use control::Control;
use lambda_kit::aws;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::http::respond;
use lambda_kit::wiring::{CONNECTIONS, relay_after, start};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use store::{Limits, Store};

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    env.switches()?;
    let clock = SystemClock::from_env(&env)?;
    let ledger = Store::lazy(env.required("DATABASE_URL")?, CONNECTIONS, Limits::default())?;
    let sender = aws::sender(&env)?;
    let control = Control { ledger: &ledger, clock: &clock };
    let (control, sender) = (&control, &sender);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| async move {
        let answer = respond(&event.payload, async |call| control.call(call).await).await;
        relay_after(control.ledger, sender, control.clock).await;
        Ok::<_, std::convert::Infallible>(answer)
    }))
    .await
}

//! Entry point: HTTP.

#![recursion_limit = "256"]

use std::process::ExitCode;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use broker::deployment::Ways;
use credentials::Credentials;
use lambda_kit::aws;
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
    let ledger = Store::lazy(env.required("DATABASE_URL")?, CONNECTIONS, Limits::default())?;
    let ways = Ways::open(&switches, env.get("TRADIER_BASE_URL"))?;
    let secrets = aws::secrets(&env)?;
    let (ledger, secrets, ways, clock) = (&ledger, &secrets, &ways, &clock);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| async move {
        // A connector keeps credentials for a while; what was just rotated must be what is tested.
        let brokers = &ways.connector(secrets.clone(), *clock);
        let credentials = Credentials { ledger, secrets, brokers, clock };
        let answer = respond(&event.payload, async |call| credentials.call(call).await).await;
        Ok::<_, std::convert::Infallible>(answer)
    }))
    .await
}

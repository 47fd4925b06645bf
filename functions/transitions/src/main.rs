//! Entry point: SQS `transitions`.

#![recursion_limit = "256"]

use std::process::ExitCode;

use aws_lambda_events::sqs::SqsEvent;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::wiring::{CONNECTIONS, relay_after, start};
use lambda_kit::{aws, diagnostic, sqs};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use store::{Limits, Store};
use transitions::Transitions;

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    let (clock, switches) = (SystemClock::from_env(&env)?, env.switches()?);
    let ledger = Store::lazy(env.required("DATABASE_URL")?, CONNECTIONS, Limits::default())?;
    let sender = aws::sender(&env)?;
    let transitions = Transitions { ledger: &ledger, clock: &clock, switches };
    let (transitions, sender) = (&transitions, &sender);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let (ledger, clock) = (transitions.ledger, transitions.clock);
        let handle = async |message: &_| transitions.handle(message).await;
        let answer = sqs::batch(event.payload, ledger, clock, handle).await;
        relay_after(ledger, sender, clock).await;
        answer.map_err(diagnostic)
    }))
    .await
}

//! Entry point: SQS `entries`, `exits` and `broker-events`.

#![recursion_limit = "256"]

use std::process::ExitCode;

use aws_lambda_events::sqs::SqsEvent;
use broker::deployment::Ways;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::notes::Notes;
use lambda_kit::wiring::{CONNECTIONS, holder, relay_after, start};
use lambda_kit::{aws, diagnostic, sqs};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use orders::Orders;
use store::{Limits, Store};

fn main() -> ExitCode {
    start(run)
}

async fn run(env: Env) -> Result<(), Error> {
    let (clock, switches) = (SystemClock::from_env(&env)?, env.switches()?);
    let ledger = Store::lazy(env.required("DATABASE_URL")?, CONNECTIONS, Limits::default())?;
    let ways = Ways::open(&switches, env.get("TRADIER_BASE_URL"))?;
    let brokers = ways.connector(aws::secrets(&env)?, clock);
    let (notes, sender, holder) = (Notes::from_env(&env)?, aws::sender(&env)?, holder(&env));
    let orders = Orders {
        ledger: &ledger,
        brokers: &brokers,
        clock: &clock,
        notes: &notes,
        switches,
        holder: &holder,
    };
    let (orders, sender) = (&orders, &sender);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let (ledger, clock) = (orders.ledger, orders.clock);
        let handle = async |message: &_| orders.handle(message).await;
        let answer = sqs::batch(event.payload, ledger, clock, handle).await;
        relay_after(ledger, sender, clock).await;
        answer.map_err(diagnostic)
    }))
    .await
}

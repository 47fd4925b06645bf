//! Entry point: runs until SIGTERM or Ctrl-C.

#![recursion_limit = "256"]

mod account_streams;
mod backoff;
mod service;
mod settings;
mod stop;

use std::process::ExitCode;

use lambda_kit::env::Env;

fn main() -> ExitCode {
    let env = Env::of_process();
    lambda_kit::logs::init(&env);
    let ran = lambda_kit::block_on(async { service::run(&env).await.map_err(|it| format!("{it:#}").into()) });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the ingester ends: {error}");
            ExitCode::FAILURE
        }
    }
}

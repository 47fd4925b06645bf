//! What every Lambda binary needs: logs, environment, market clock, clients, SQS batches, HTTP, the relay of the
//! outbox. What a function does not use is behind a feature, so that it does not link it.

#![forbid(unsafe_code)]

#[cfg(any(feature = "notes", feature = "secrets", feature = "sqs"))]
pub mod aws;
pub mod clock;
pub mod env;
#[cfg(feature = "http")]
pub mod http;
pub mod logs;
#[cfg(feature = "notes")]
pub mod notes;
#[cfg(feature = "sqs")]
pub mod queue;
pub mod relay;
#[cfg(feature = "secrets")]
pub mod secrets;
pub mod sqs;
pub mod wiring;

use lambda_runtime::{Diagnostic, Error};

/// An error as the runtime reports it: the whole chain, under the name of its kind.
///
/// By default the runtime shows only the head of a chain.
pub fn diagnostic(error: anyhow::Error) -> Diagnostic {
    Diagnostic { error_type: "claxton".to_owned(), error_message: format!("{error:#}") }
}

/// Runs a function's body on a current-thread runtime: one invocation at a time needs no other.
///
/// # Errors
/// What the body reports, or that the runtime could not be built.
pub fn block_on<F: Future<Output = Result<(), Error>>>(body: F) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(body))
}

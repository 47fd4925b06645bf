//! What every `main.rs` does the same way.

use std::process::ExitCode;

use domain::ports::{Clock, HandleError, Ledger, Sender};
use lambda_runtime::{Diagnostic, Error};
use serde_json::{Map, Value};

use crate::env::Env;
use crate::relay::{DELAY_MAX, relay};

/// Connections to PostgreSQL that a function holds: one for the work, one for what runs beside it.
pub const CONNECTIONS: usize = 2;

/// Starts a function: environment, logs, and `body` on a current-thread runtime. What is missing or cannot be read is one
/// line of the log, and the platform reports that the function did not start.
pub fn start<F: Future<Output = Result<(), Error>>>(body: impl FnOnce(Env) -> F) -> ExitCode {
    let env = Env::of_process();
    crate::logs::init(&env);
    match crate::block_on(body(env)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the function did not start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Who holds leases: this process. In the cloud a log stream belongs to one execution environment.
pub fn holder(env: &Env) -> String {
    let name = env.get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or("local");
    let stream = env.get("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or("local");
    format!("{name}:{stream}:{}", std::process::id())
}

/// Hands what the work wrote to its queues. What a queue does not take stays for the sweep: it is told and stops nothing.
pub async fn relay_after<L: Ledger, S: Sender, C: Clock>(ledger: &L, sender: &S, clock: &C) {
    if let Err(error) = relay(ledger, sender, clock.now(), DELAY_MAX).await {
        tracing::warn!("the outbox is left to the sweep: {error}");
    }
}

/// The fields of a schedule's event. What is in them is the schedule's own; that it is no object means that somebody else
/// called.
///
/// # Errors
/// A diagnostic that says what came instead.
pub fn object(event: Value) -> Result<Map<String, Value>, Diagnostic> {
    let what = match event {
        Value::Object(fields) => return Ok(fields),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
    };
    Err(crate::diagnostic(anyhow::anyhow!(
        "the event of a schedule is a JSON object such as {{}}; this is {what}"
    )))
}

/// A use case's error as the runtime reports it.
pub fn failed(error: HandleError) -> Diagnostic {
    crate::diagnostic(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedules_event_is_an_object_and_anything_else_is_named() {
        assert!(object(serde_json::json!({ "session": "2026-11-20" })).is_ok());
        let error = object(serde_json::json!(["now"])).unwrap_err();
        assert!(error.error_message.ends_with("this is a list"), "{}", error.error_message);
    }
}

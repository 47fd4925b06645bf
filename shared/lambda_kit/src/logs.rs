//! Logs: JSON lines in the cloud, plain ones on a terminal.

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging. `CLAXTON_LOG` (or `RUST_LOG`) filters, `info` by default; JSON when running in Lambda.
pub fn init(env: &crate::env::Env) {
    let filter = env.get("CLAXTON_LOG").or_else(|| env.get("RUST_LOG")).unwrap_or("info");
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let in_lambda = env.get("AWS_LAMBDA_FUNCTION_NAME").is_some();
    let started = if in_lambda {
        fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).try_init()
    } else {
        fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init()
    };
    // A second start in one process keeps the first: local runs hold many functions.
    drop(started);
}

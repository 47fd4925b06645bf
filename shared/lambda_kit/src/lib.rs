//! What every Lambda binary needs: logs, environment, clock, SQS batches, HTTPS.

#[cfg(feature = "sqs")]
pub mod queue;
#[cfg(feature = "secrets")]
pub mod secrets;

//! What every Lambda binary needs: logs, environment, clock, SQS batches, HTTPS.

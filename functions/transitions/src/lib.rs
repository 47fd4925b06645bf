//! SQS `transitions`: setup transitions become order intents.

//! SQS `entries`, `exits`, `broker-events`: intents, follow-ups and broker events.

//! Each minute: broker truth against our books; sweeps the outbox.

//! The local runner and CLI: the binary `claxton`.

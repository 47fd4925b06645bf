//! HTTP API: everything that reads or decides.

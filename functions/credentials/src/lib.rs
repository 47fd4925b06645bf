//! Stores, tests and removes broker credentials; the only writer of secrets.

//! A deterministic broker, market, queue and ledger in memory, and their faults.

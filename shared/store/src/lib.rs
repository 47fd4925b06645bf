//! PostgreSQL: the ledger in SQL, rows typed by hand. No transaction handle leaves it.

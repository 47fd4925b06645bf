//! Each minute: balances, daily loss.

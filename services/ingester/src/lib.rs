//! Market data in; microbars, setups and broker account events out.

//! Nouns, units and laws of the trader: money, symbols, sessions, setups, orders, the risk gate and the ports.
//!
//! Nothing here performs I/O, reads a clock, draws a random number or looks at the environment. Time and
//! settings come in as values; what must be asked of the world is a trait in [`ports`].

#![forbid(unsafe_code)]

pub mod account;
pub mod books;
pub mod calendar;
pub mod chain;
pub mod combo;
pub mod expiry;
pub mod fees;
pub mod gate;
pub mod ids;
pub mod intent;
pub mod kill;
pub mod lookup;
pub mod market;
pub mod money;
pub mod order;
pub mod planted;
pub mod ports;
pub mod position;
pub mod secret;
pub mod setup;
pub mod symbol;
pub mod ticket;
pub mod time;

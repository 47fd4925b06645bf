//! Figures that the project promises, measured on this machine.

pub mod orders;
mod stage;

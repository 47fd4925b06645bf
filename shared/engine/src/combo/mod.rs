//! Structures: their gates, and where the net limit of their orders stands.

pub mod gates;
pub mod walk;

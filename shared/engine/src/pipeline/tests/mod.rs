//! The pipeline against the sentences of its requirement, one test for each.

mod bad;
mod docs;
mod hashes;
mod inputs;
mod laws;
mod legs;
mod liquidity;
mod real;
mod rows;
mod stages;
mod value;
mod windows;
mod words;
mod world;

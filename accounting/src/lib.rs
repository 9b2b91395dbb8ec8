//! Settlement: payments to shares to payouts to journal to root, to the unit.
#![deny(clippy::float_arithmetic)]

pub mod cascade;
pub mod engine;
pub mod error;

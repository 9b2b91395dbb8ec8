//! Settlement: payments to shares to payouts to journal to root, to the unit.
#![deny(clippy::float_arithmetic)]

mod book;
pub mod cascade;
pub mod engine;
pub mod error;
mod flow;
mod intake;
mod journal;
mod read;
mod remainder;
pub mod settle;
mod standing;
mod state;
pub mod tree;
mod usage;

pub use engine::{session, session_with_batches};
pub use error::{AccountingError, Remedy};
pub use settle::{Input, RULE, Settled, settle};

//! Settlement: payments to shares to payouts to journal to root, to the unit.
#![deny(clippy::float_arithmetic)]

mod book;
pub mod cascade;
pub mod engine;
pub mod error;
pub mod explain;
mod flow;
mod intake;
mod journal;
pub mod next;
pub mod proof;
mod read;
pub mod register;
mod remainder;
pub mod settle;
mod standing;
mod state;
pub mod tree;
mod usage;
pub mod verify;

pub use engine::{session, session_with_batches};
pub use error::{AccountingError, Remedy};
pub use explain::{Explanation, ExplanationLine, explain};
pub use next::{SettleOutcome, epoch_folder, settle_next};
pub use proof::{Proof, proof, verify_proof};
pub use register::{register, register_views};
pub use settle::{Input, RULE, Settled, settle};
pub use verify::{Findings, verify_epoch, verify_store};

//! Settlement: payments to shares to payouts to journal to root, to the unit. Rule [`RULE`].
//!
//! In the order the money travels:
//!
//! 1. [`engine`]: an SQL session with [`cascade`](engine::cascade_udf), and a `sum` that cannot wrap; [`register()`] puts
//!    the published tables of a snapshot into it;
//! 2. `state`: what holds at the cut (policies, owners, graph, payouts, penalties, stake);
//! 3. `intake`: payments that are ripe in the epoch, net of refunds, and pool fundings; `dealing`: which of them their
//!    own payers are paid by;
//! 4. `flow`: each over its channels, the model channel over models and up their lineage;
//! 5. `usage`: the data channel over inferences, then over their records, the one heavy scan, into `sums`;
//! 6. `book`: splits, penalties, payouts, quarantine, holds; `names`: payees and lines as numbers; `remainder`: base
//!    units and the lines that add up to them;
//! 7. `journal`, `standing` and `balances`: double entry, cumulative positions, what waits for a challenge, and the trial
//!    balance that must hold at every close;
//! 8. [`tree`]: what claims are proved against; [`tables`]: what is published, with `digest`; [`settle()`] ties 2 to 8
//!    together and writes the manifest;
//! 9. [`next`]: the next epoch of a data folder, published (`stage`); [`mod@proof`], [`mod@explain`] and [`verify`]: what
//!    people ask of it.
//!
//! All splits are cascades ([`cascade`]); inside an epoch money is in sub-units, so that the one rounding is at the end.
//! The rows of payments and graph are few and are worked on in memory; payees are as many as contributors, so what
//! they are due stays numbers until it is published; records are many and stream by.
//! The crate reads no clock, opens no socket and has no floating point: the same tables give the same bytes, however
//! many threads or however little memory there is (INV-08, tested against a second settlement in `tests/`).
//!
//! What rule 1 decides where the design leaves room:
//!
//! - an agent's stakers are those of the models it uses, by their weight; stake is what `StakeChanged` says, so a slash
//!   counts by the balance it leaves;
//! - money on a model or batch is summed per (vault, token, policy, subject) before it is divided;
//! - only the data channel rests on a batch and waits for its challenge window: the longer of the payment's policy and
//!   of the hub's at the reference, so that nothing can be upheld against what is posted;
//! - of the batches that count and cover an inference by one method, the first has it, judged at each cut: when a batch
//!   is rejected or replaced, the next one takes its inferences;
//! - absolute lineage gives an ancestor its declared share of what the model that was used took in, for every path that
//!   leads to it, all ancestors together at most `pass_ppb`;
//! - records are normalised, then copies are counted once (`dedupe`), then those below `min_share_ppb` of what is left
//!   go, then those beyond `mass_keep_ppb` of what is left then;
//! - an inference that only payments to oneself name has no part in pools;
//! - a token that would overflow is suspended payment by payment and counts as no revenue;
//! - lines are ordered by role (platform, agent, model, lineage, data, staker, payment), dataset, contribution, model,
//!   agent.
//!
//! Not checked: what a vault holds on chain against what it owes (ruling 6). No table has that balance.
#![deny(clippy::float_arithmetic)]

mod balances;
mod book;
pub mod cascade;
mod dealing;
mod digest;
pub mod engine;
pub mod error;
pub mod explain;
mod flow;
mod intake;
mod journal;
mod log;
mod names;
pub mod next;
pub mod proof;
mod read;
pub mod register;
mod remainder;
pub mod settle;
mod stage;
mod standing;
mod state;
mod sums;
pub mod tables;
pub mod tree;
mod usage;
pub mod verify;

pub use engine::{session, session_with_batches};
pub use error::{AccountingError, Remedy};
pub use explain::{Explanation, ExplanationLine, explain};
pub use log::verify_log;
pub use next::{SettleOutcome, epoch_folder, settle_next};
pub use proof::{Proof, proof, verify_proof};
pub use register::{register, register_views};
pub use settle::{Input, RULE, Settled, settle};
pub use tables::Tables;
pub use verify::{Findings, verify_epoch, verify_store};

//! Settlement: payments to shares to payouts to journal to root, to the unit. Rule [`RULE`].
//!
//! In the order the money travels:
//!
//! 1. [`engine`]: an SQL session with [`cascade`](engine::cascade_udf), and a `sum` that cannot wrap; [`register()`] puts
//!    the published tables of a snapshot into it, [`duckdb()`] into somebody else's;
//! 2. `state`: what holds at the cut (policies, owners, graph, payouts, penalties, stake);
//! 3. `intake`: payments that are ripe in the epoch, net of refunds, and pool fundings; `dealing`: which of them their
//!    own payers are paid by;
//! 4. `flow`: each over its channels, the model channel over models and up their lineage;
//! 5. `usage`: the data channel over inferences, then over their records, the one heavy scan, into `sums`;
//! 6. `book`: splits, penalties, payouts, quarantine, holds; `names`: payees and lines as numbers; `remainder`: base
//!    units and the lines that add up to them;
//!    `suspense` brings back what was held and is free now, by the epoch that held it;
//! 7. `journal`, `standing`, `funding` and `balances`: double entry, cumulative positions, what waits for a challenge or
//!    until its vault has the money, and the trial balance that must hold at every close;
//! 8. [`tree`]: what claims are proved against, and trees of other distributors' formats; [`tables`]: what is published,
//!    in its `order`, with `digest`; [`settle()`] ties 2 to 8 together and writes the manifest. What there is for every
//!    payee is sorted and hashed on all processors (`threads`), several hashes at a time (`keccak`);
//! 9. [`next`]: the next epoch of a data folder, published (`stage`); [`mod@proof`], [`mod@explain`] and [`verify`]: what
//!    people ask of it; [`mod@statement`]: what came and went between two epochs; `alarm`: where the chain says otherwise;
//! 10. [`mod@replay`]: what is settled, made again from its facts and compared; [`mod@audit`]: tables of anybody
//!     ([`folder`]) settled, by the recorded policies and by others. Both keep their ledger in a folder of its own
//!     (`scratch`).
//!
//! The scan of 5 may be done by other machines: a session that carries a [`Cluster`] ships it as one plan,
//! `sum(cascade(…))` by flow and target over `attributions` and what is to be divided, to a Ballista cluster that knows
//! both functions; [`cluster`] says what the caller brings along. Records whose weights are made again (`usage::records`)
//! are few and stay here, and so does everything else. Partial sums of partitions are added, again checked, so the
//! digest is that of one machine whatever the number of executors, tasks and tries.
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
//! - of the batches that count and cover an inference by one method, the first that was read has it, judged at each cut:
//!   when a batch is rejected or replaced, the next one takes its inferences; a blob that was found late was read then;
//! - absolute lineage gives an ancestor its declared share of what the model that was used took in, for every path that
//!   leads to it, all ancestors together at most `pass_ppb`;
//! - records are normalised, then copies are counted once (`dedupe`), then those below `min_share_ppb` of what is left
//!   go, then those beyond `mass_keep_ppb` of what is left then;
//! - an inference that only payments to oneself name has no part in pools;
//! - a token that would overflow is suspended payment by payment and counts as no revenue;
//! - lines are ordered by role (platform, agent, model, lineage, data, staker, payment, released), dataset,
//!   contribution, model, agent.
//!
//! Money is held under a reason and, where that is known, under what it is held of: the payment (`blob_missing`,
//! `unbacked`, `self_dealing`) or the account (`quarantined`, `penalty`). What becomes of it later is a table in
//! `suspense`. A payment that names an inference of a batch without a blob waits with it when the inference's id is the
//! one that its batch gives it; an id of its own says nothing of its batch before the blob is there. Payments that named
//! nothing were divided without a late batch and stay so. What leaves suspense is divided and rounded by itself, apart
//! from the epoch's revenue and from what adjusts other epochs, so it may differ from what would have been paid in time
//! by less than one base unit per payee and adjusted epoch, and by what changed since in state that is read at the cut
//! (payout addresses, penalties, owners). Whether a payment is one to oneself is judged when it is received, by who is
//! paid then, and not again when something of it leaves suspense. `epochs` counts revenue alone: what is released was
//! revenue, and held, before.
//!
//! Below a line of an explanation lie batches, inferences, records and payments ([`explain::Origins`]). None of that is
//! kept: the epoch is divided again by the ordinary steps, of the records only those of the lines that are asked for, and
//! a line's base units fall to what they came from by the cascade, in the order of flows, inferences and records, with
//! the sub-units of each as weights; an inference's part falls to its sources likewise, and to what each source is made
//! of. So every level adds up to the one above, and two levels below the same line need not agree to the unit with each
//! other. What was posted is taken back over the epoch that booked it pending, for the batch that the entry waited for.
//!
//! What a vault held at the cut is an input ([`Input::vault_balances`], ruling 6), kept in `vault_balances`: who settles has
//! it read ([`Vaults`]), who settles again takes it from there. Where it is less than the vault owes, the epoch's increases
//! go on the tree pro rata and the rest waits, as `funding` says. Compared are vaults whose contract emits only for what
//! it received (payments backed by `vault`, funded pools); of others nobody knows where the money is.
#![deny(clippy::float_arithmetic)]

mod alarm;
pub mod audit;
mod balances;
mod book;
pub mod cascade;
pub mod cluster;
mod dealing;
mod digest;
mod duckdb;
pub mod engine;
pub mod error;
pub mod explain;
mod flow;
pub mod folder;
mod funding;
mod intake;
mod journal;
mod keccak;
mod log;
mod names;
pub mod next;
mod order;
mod progress;
pub mod proof;
mod read;
pub mod register;
mod remainder;
pub mod replay;
mod scratch;
pub mod settle;
mod stage;
mod standing;
mod state;
pub mod statement;
mod sums;
mod suspense;
pub mod tables;
mod threads;
pub mod tree;
mod usage;
pub mod verify;

pub use alarm::{Alarm, AlarmKind, alarms};
pub use audit::{Audit, audit};
pub use cluster::Cluster;
pub use duckdb::duckdb;
pub use engine::{session, session_with_batches};
pub use error::{AccountingError, Remedy};
pub use explain::{
    Explainer, Explanation, ExplanationLine, Lines, MoneyPath, MoneyPaths, Origins, Stand, Ways, explain,
};
pub use folder::Folder;
pub use funding::readings_in;
pub use log::verify_log;
pub use next::{Cut, SettleOutcome, Unread, Vaults, epoch_folder, settle_next};
pub use progress::{Progress, watched};
pub use proof::{Proof, proof, verify_proof};
pub use register::{register, register_views};
pub use replay::{Replayed, replay};
pub use settle::{Input, RULE, Settled, settle};
pub use statement::{Statement, StatementLine, StatementOf, stated_for, statement};
pub use tables::Tables;
pub use verify::{Findings, verify_epoch, verify_store};

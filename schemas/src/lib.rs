//! The shared vocabulary of Tributary: ids, amounts, positions, events, table columns, encodings, policies.
//!
//! No I/O, no async, no clock, no SQL engine. In the order the data travels:
//!
//! 1. [`id`], [`position`], [`amount`], [`code`]: what a fact is made of;
//! 2. [`event`]: the facts themselves; [`policy`]: the one fact that is a document;
//! 3. [`cbor`], [`encoding`]: the bytes that contracts and two indexers agree on, and the log root over them;
//! 4. [`eigenda`], [`payload_codec`], [`batch`]: what a blob is certified by, how it is packed, what it holds;
//! 5. [`mod@column`], [`table`], [`facts`], [`money`]: the published tables, whose doc comments are their manual;
//! 6. [`hot`]: which of them there are of blocks that are not sealed yet;
//! 7. [`invariant`]: what must always hold, by name.

pub mod amount;
pub mod batch;
pub mod cbor;
pub mod code;
pub mod column;
pub mod eigenda;
pub mod encoding;
pub mod error;
pub mod event;
pub mod facts;
pub mod hot;
pub mod id;
pub mod invariant;
pub mod money;
pub mod payload_codec;
pub mod policy;
pub mod position;
pub mod table;

pub use amount::Amount;
pub use error::SchemaError;
pub use event::{Event, Payload};
pub use position::{BlockRef, Position};
pub use table::Table;

/// Version of the vocabulary, of the tables and of the encodings.
pub const SCHEMA_VERSION: u32 = 1;

#[cfg(test)]
mod vectors;

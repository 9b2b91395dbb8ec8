//! From an L1 inbox to L2 blocks: which posting, and so which EigenDA blob, carries a block.
//!
//! In the order the data travels:
//!
//! ```text
//! transaction ─▶ posting ─┬─ payload ──────────────────────────▶ frame ─▶ channel ─▶ compression ─▶ batch ─▶ anchor
//!                         ├─ commitment ─▶ (EigenDA) ─────────────┘
//!                         └─ blobs ─▶ (beacon) ─▶ blob_encoding ──┘
//! ```
//!
//! 1. [`transaction`]: a signed L1 transaction and its sender; whether it may post;
//! 2. [`posting`]: what its calldata is: frames, an alt-DA commitment, or nothing of ours;
//! 3. [`blob_encoding`]: the payload of an EIP-4844 blob;
//! 4. [`frame`]: the frames of a payload, all or none;
//! 5. [`channel`]: frames put together, by the rules before and after Holocene;
//! 6. [`compression`]: as many bytes as a channel gives, and how it ends;
//! 7. [`batch`]: singular and span batches, their transactions rebuilt so that hashes can be compared;
//! 8. [`anchor`]: the L2 blocks that a batch claims exactly as they are.
//!
//! [`report`] is all of it for one transaction or payload, to be read by people.
//!
//! Everything here is a pure function of bytes. A batcher may post anything: bad bytes are passed over with a reason
//! ([`InboxError`]), nothing panics, and no count is allocated for before the bytes that it counts are seen. Bounds
//! are those of op-node, so what is cut off here is cut off by every node.

pub mod anchor;
pub mod batch;
pub mod blob_encoding;
pub mod channel;
pub mod compression;
mod error;
pub mod frame;
#[cfg(test)]
mod posted;
pub mod posting;
mod reader;
pub mod report;
#[cfg(test)]
mod testing;
pub mod transaction;

pub use error::InboxError;

//! What Tributary keeps on disk: the tail (sled and segment files) and the published tables (Delta Lake, Parquet).
//!
//! In the order the data travels:
//!
//! 1. [`archive`]: blobs by content hash, kept the moment they verify;
//! 2. [`tail`]: the unsealed blocks and the point-read state at their head, every block undoable;
//! 3. [`lake`]: what is final, published as atomic snapshots of all tables; states keep their history;
//! 4. [`feed`]: which blocks the tail took in and gave up, in order, for other processes;
//! 5. [`hot`]: the tails that this process follows into, for queries about blocks that are not sealed yet;
//! 6. [`blocks`]: whole blocks as they were verified, for whoever reads them again by other rules;
//! 7. [`generation`]: the ledgers of one data folder by different rules, and which of them is current;
//! 8. [`status`]: what the follower tells other processes about itself;
//! 9. [`space`]: how much room the disk has;
//! 10. [`backup`]: a copy of what is final, as of one snapshot of each generation;
//! 11. [`error`]: what can go wrong, and what the caller can do about it.
//!
//! Publishing and sealing are two steps with one order: [`Lake::publish`] makes rows durable and visible, then
//! [`Tail::seal`] forgets how to undo them. A crash in between leaves blocks in the tail that the newest snapshot
//! already holds; whoever starts compares [`Tail::sealed`] with the snapshot's head and seals up to it.
//!
//! One process opens the [`Tail`]; any number open the [`Lake`], read the archive ([`ArchiveReader`]) and add to it
//! ([`Archive`]): its files are named by their content, so two who write the same one write the same bytes. No network
//! and no domain rules in this room.

pub mod archive;
pub mod backup;
pub mod blocks;
mod durable;
pub mod error;
pub mod feed;
pub mod generation;
pub mod hot;
pub mod lake;
pub mod space;
pub mod status;
pub mod tail;

pub use archive::{Archive, ArchiveReader, BLOB_BYTES_MAX, BlobRecord, Content, Void};
pub use blocks::{Blocks, KeptBlock};
pub use error::{Remedy, StoreError};
pub use feed::{FeedEvent, FeedOptions, FeedPage, FeedReader, FeedRecord};
pub use generation::{Current, Generation, Generations, newest_heads};
pub use hot::{Bodies, HotTails, Offer, SealedAt};
pub use lake::{
    Anchors, BlockRanges, Change, DeclaredOutcome, Heads, Keyed, Lake, Snapshot, Staged, TableFile, TableRef,
    WINDOW_ROWS,
};
pub use space::free_bytes;
pub use status::{
    AnchorStatus, EndpointStatus, Settling, Status, read_settling, read_status, write_settling, write_status,
};
pub use tail::{BlockRef, HELD_BLOCKS_MAX, Held, HeldHead, Tail, TailBlock, TailOptions};

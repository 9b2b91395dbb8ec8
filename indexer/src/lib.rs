//! Follow, verify, decode, append, seal.
//!
//! In the order the data travels:
//!
//! ```text
//! endpoint ──▶ verify ──▶ follow ──▶ decode ──▶ fold ──▶ (tail) ──▶ seal ──▶ (tables)
//!                                     mapping    state      ▲ blob ─────┘
//! ```
//!
//! 1. [`endpoint`]: nodes over HTTP and WebSocket; retries, limits, health, quarantine;
//! 2. [`verify`]: header hash, transactions root, receipts root, bloom: nothing unverified passes (INV-04);
//! 3. [`follow`]: canonical blocks or an unwind, any depth above what is final, never below (INV-11);
//! 4. [`mapping`], [`decode`]: which logs mean what, and what they say;
//! 5. [`fold`] over [`state`]: what is valid, and what becomes a row;
//! 6. [`blob`]: batches and manifests, fetched from whoever has them and judged by their commitment;
//! 7. [`eigenda`]: what a certificate proves, and whether bytes are what it commits to;
//! 8. [`seal`]: final blocks whose blobs all have an outcome, as one published snapshot;
//! 9. [`pipeline`]: all of it together, as one service; [`rebuild`] by other rules, from the blocks that are kept.
//!
//! [`reads`] is what rules ask of the state of contracts, and how far the answers are believed.
//! [`vaults`] reads what reward vaults hold when an epoch ends, for whoever settles it.
//!
//! [`probe`] looks at endpoints before anything is followed; [`s3`] is where buckets are.
//!
//! [`inbox`] reads the other chain: which posting on L1, and so which EigenDA blob, carries an L2 block; it is pure.
//! [`anchor`] follows L1 with it, beside all of the above, and hands its rows to the next publication; [`beacon`] has the
//! blobs of L1's own that batches are posted in.
//!
//! [`block`] holds what passes between following and folding. Time is an input ([`clock`]); what can go wrong, and
//! what a caller can do about it, is in [`error`]. There is no SQL engine and no HTTP server here.

pub mod anchor;
pub mod beacon;
pub mod blob;
pub mod block;
pub mod clock;
pub mod decode;
pub mod eigenda;
pub mod endpoint;
pub mod error;
pub mod fold;
pub mod follow;
pub mod inbox;
mod kept;
pub mod mapping;
pub mod pipeline;
pub mod probe;
pub mod reads;
pub mod s3;
pub mod seal;
pub mod state;
mod tables;
pub mod vaults;
pub mod verify;

pub use block::{Chain, Finality, Heads, L1Origin, Sink, Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};
pub use clock::Clock;
pub use error::{IndexerError, Remedy};
pub use mapping::{Contracts, Mapping};
pub use pipeline::{
    CertificateOptions, Disk, FreeSpace, IndexerConfig, KeptBlocks, MappingChoice, Outcome, Pipeline, Points, Progress,
    Reached, SpaceOptions, VerifierOptions, rebuild, run,
};

//! The payload of an attribution batch: one Parquet file that every ML pipeline can write.
//!
//! Columns, in this order: `inference` int32 (ordinal, non-decreasing from 0), `subject` fixed\[32\], `target` fixed\[32\]
//! (strictly ascending with `row` inside an inference), `row` int32 optional, `score` int64, `fee_weight` int64
//! optional, `inference_id` fixed\[32\] optional. The last two columns may be absent. zstd. Footer metadata
//! [`FOOTER_KEY`]: JSON of [`BatchFooter`].

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

/// Key of the footer metadata.
pub const FOOTER_KEY: &str = "tributary.batch";
/// Value of [`BatchFooter::format`].
pub const FORMAT: &str = "tributary-batch/1";
/// Most bytes a decoded batch may take.
pub const DECODED_BYTES_MAX: u64 = 256 << 20;
/// Largest ratio of decoded to encoded bytes.
pub const EXPANSION_MAX: u64 = 200;
/// Names of the columns in their order; the last two may be absent.
pub const COLUMNS: [&str; 7] = ["inference", "subject", "target", "row", "score", "fee_weight", "inference_id"];

/// What the footer says; each field must agree with the commitment on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchFooter {
    /// [`FORMAT`].
    pub format: String,
    /// The L2's chain id.
    pub chain_id: u64,
    /// The hub that the batch is committed to.
    pub hub: Address,
    /// Who made it.
    pub producer: Address,
    /// Its ordinal.
    pub seq: u64,
    /// The method's entity id.
    pub method: B256,
    /// Hash of the method's parameters.
    pub params_hash: B256,
    /// value = score · `10^score_exp`.
    pub score_exp: i32,
    /// Inferences in it.
    pub inferences: u32,
    /// Records in it.
    pub records: u32,
}

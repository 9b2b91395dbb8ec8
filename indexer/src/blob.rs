//! Blobs: which are wanted, how they are found, and what they hold.
//!
//! Only what a valid batch or dataset version refers to is fetched (ruling 14), by its keccak commitment; the bytes
//! are checked and archived at first sight. A source that serves other bytes is asked again and never believed; a blob
//! nobody has is declared missing by the policy's deadline, which is an input of the log (ruling 10). Bytes that are
//! what was committed to and still break the format void their batch: that is a fact of the chain, found everywhere.

mod fetch;
mod manifest;
mod payload;
mod proxy;

pub use fetch::{Answer, BlobSource, Fetcher, Kept, NotFound};
pub use manifest::{Manifest, read_manifest};
pub use payload::{Batch, Commitment, InferenceHead, Record, Unreadable, read_batch};
pub(crate) use proxy::ABSENT;
pub use proxy::Proxies;

use alloy_primitives::B256;

/// The keccak256 in a reference of the payload-hash form, `00 ‖ keccak256(payload)`; `None` for any other form.
#[must_use]
pub fn reference_hash(reference: &[u8]) -> Option<B256> {
    match reference {
        [0, hash @ ..] => B256::try_from(hash).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

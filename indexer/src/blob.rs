//! Blobs: which are wanted, how they are found, and what they hold.
//!
//! Only what a valid batch or dataset version refers to is fetched (ruling 14): by the keccak256 of the payload, or by
//! a certificate of EigenDA. Whatever anybody gives is judged by the commitment alone, archived at first sight, and
//! kept with the proof that it is it. A source that serves other bytes is asked again and never believed; a blob nobody
//! has is declared missing by the policy's deadline, which is an input of the log (ruling 10), and a batch's is sought on,
//! seldom. A certificate that proves nothing, and bytes that are what was committed to and still break the format, void
//! their batch: that is a fact of the chain, found everywhere.
//!
//! ```text
//! reference ─▶ judge: the certificate by itself ─▶ own archive, proxies, buckets ─▶ judge: the bytes ─▶ archive
//! ```

mod docket;
mod fetch;
mod find;
mod judge;
mod late;
mod manifest;
mod payload;
mod proxy;
mod recheck;
mod reference;
mod verifier;

pub use fetch::Fetcher;
pub use find::{Answer, BlobSource, Finder, Kept, Lack, NotFound};
pub use judge::{Assessed, Found, Judge, Judgement, Standing};
pub use late::{Place, SOUGHT_MAX, Seeker};
pub use manifest::{Manifest, read_manifest};
pub use payload::{Batch, Commitment, InferenceHead, Record, Unreadable, read_batch};
pub(crate) use proxy::ABSENT;
pub use proxy::Proxies;
pub use recheck::recheck;
pub use reference::{CertificateReference, Reference};
pub use verifier::Verifier;

#[cfg(test)]
mod tests;

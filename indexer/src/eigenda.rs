//! What a certificate of EigenDA proves, and whether bytes are what it commits to.
//!
//! ```text
//! commitment ─▶ L0 parsed ─▶ L1 in its batch, ─▶ L2 batch signed, ─▶ L3 enough stake signed
//!               (schemas)    account recovered    length proved       (L1's answer, from outside)
//! bytes ──────▶ D1 payload decodes ─▶ D2 KZG commitment matches
//! ```
//!
//! 1. [`ladder`]: the levels above as a list of checks, never as one yes or no;
//! 2. [`kzg`]: commitments from bytes, and opening proofs, with which bytes are checked again in milliseconds;
//! 3. [`srs`]: the points that commitments are made with, from a file that certifies itself;
//! 4. [`setup`]: the constants of the ceremony those points come from;
//! 5. `signature`: the pairings of a certificate, tried all at once, and one by one when they do not hold together;
//! 6. [`round`]: the same for several certificates;
//! 7. `msm`: sums of many points, most of what a commitment costs;
//! 8. [`pool`]: threads of their own for all this, so that following a chain never waits for a commitment.
//!
//! No network here. Levels up to L2 need nothing but the certificate; L2 does not show who the signers are, which is
//! why rewards want L3 where an L1 endpoint is configured (ruling 26).

mod certificate;
mod curve;
mod data;
pub mod kzg;
pub mod ladder;
mod msm;
pub mod pool;
mod report;
pub mod round;
pub mod setup;
mod signature;
pub mod srs;

pub use data::{Evidence, Witness};
pub use kzg::Opening;
pub use ladder::{Check, Level, Outcome, elements, inspect, judge};
pub use pool::Pool;
pub use report::{PayloadReport, Report};
pub use round::{Case, judge_all};
pub use setup::Setup;
pub use srs::{Cache, Srs};
pub use tributary_schemas::eigenda::Form;

use std::path::PathBuf;

/// Why bytes, points or files could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EigenDaError {
    /// Bytes that are no power-of-two number of field elements.
    #[error("{got} bytes: expected a power-of-two number, at most {most}, of 32-byte elements")]
    Length {
        /// How many bytes there were.
        got: usize,
        /// Most elements.
        most: usize,
    },
    /// An element at or above the order of the field.
    #[error("element {index} is not below the order of the scalar field")]
    Element {
        /// Which one, from 0.
        index: usize,
    },
    /// Something that claims to be a point and is none.
    #[error("{what} is {reason}")]
    Point {
        /// Whose point.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A blob longer than the points that are loaded.
    #[error("the blob has {need} elements and the SRS {have} points: expected at least as many")]
    TooFewPoints {
        /// Points there are.
        have: usize,
        /// Points needed.
        need: usize,
    },
    /// Bytes with another commitment.
    #[error("the bytes have another commitment, as evaluations and as coefficients ({form:?} was expected)")]
    Commitment {
        /// The form that was configured.
        form: Form,
    },
    /// An opening proof that does not hold.
    #[error("the opening proof does not hold for these bytes and this commitment")]
    Opening,
    /// An SRS that is not the ceremony's.
    #[error("SRS {file}: {reason}")]
    Srs {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that could not be read.
    #[error("reading {file}")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Threads that could not be started.
    #[error("starting {threads} threads for commitments")]
    Threads {
        /// How many.
        threads: usize,
        /// Why not.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// Work that ended without a result: it panicked, or the pool is gone.
    #[error("the work on a commitment ended without a result")]
    Lost,
}

#[cfg(test)]
mod tests;

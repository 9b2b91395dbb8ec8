//! What can go wrong while an embedded network starts or is driven.
//!
//! A devnet has one caller, a test or the demo, and nothing to retry: either a port
//! could be opened or it could not. Everything a *client* does wrong is answered over
//! the wire in the protocol it speaks and never becomes one of these.

use std::io;

/// Failures of the devnet's own control handle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// A loopback port could not be opened.
    #[error("opening a loopback port for the {service}")]
    Listen {
        /// Which service was starting.
        service: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A fault was asked for by a name nobody knows.
    #[error("unknown fault {given:?}; known are {known}")]
    UnknownFault {
        /// What was given.
        given: String,
        /// All names, separated by commas.
        known: String,
    },
    /// Blocks that no batch can hold.
    #[error("no batch can be made: {reason}")]
    Unbatchable {
        /// What does not fit.
        reason: String,
    },
    /// Blobs that no disperser takes.
    #[error("nothing can be dispersed: {reason}")]
    Undispersable {
        /// What does not fit.
        reason: String,
    },
    /// A fork was asked for that would reach into finalised blocks.
    #[error("a fork of depth {depth} would cut finalised block {finalized}; the head is {head}")]
    ForkTooDeep {
        /// The depth asked for.
        depth: u64,
        /// The head.
        head: u64,
        /// The finalised block.
        finalized: u64,
    },
}

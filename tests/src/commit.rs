//! The benchmark of commitments to blobs: made, opened, and the opening verified.

use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::time::Instant;
use tributary_indexer::eigenda::{EigenDaError, Form, Pool, Setup, Srs};
use tributary_schemas::payload_codec;

use crate::measure;

/// Commits to a payload that fills a blob of so many bytes, on so many threads.
///
/// The points are those of a setup made on the spot, as many as the blob has elements: whose they are takes no part in
/// the time.
///
/// # Panics
/// When the blob is larger than a blob can be, or its opening does not hold.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub async fn bench(blob_bytes: usize, threads: NonZeroUsize) -> Result<Value, EigenDaError> {
    let work = move || {
        let elements = (blob_bytes / 32).next_power_of_two();
        let (srs, setup) = (Srs::of_known_tau([7; 32].into(), elements), Setup::of_known_tau([7; 32].into()));
        // no two chunks alike
        let payload: Vec<u8> = (0_u64..).flat_map(u64::to_le_bytes).take(31 * (elements - 1)).collect();
        let encoded = payload_codec::encode_to(&payload, elements).expect("the payload fits by construction");
        let form = Form::Evaluations;
        let began = Instant::now();
        let commitment = srs.commit(&encoded, form)?;
        let committed = began.elapsed();
        let opening = srs.open(&encoded, form, &commitment)?;
        let opened = began.elapsed();
        setup.verify_opening(&encoded, form, &commitment, &opening)?;
        let verified = began.elapsed();
        Ok(json!({
            "blob_bytes": encoded.len(),
            "threads": threads,
            "commit_seconds": committed.as_secs_f64(),
            "open_seconds": (opened - committed).as_secs_f64(),
            "verify_seconds": (verified - opened).as_secs_f64(),
            "peak_rss_mib": measure::peak_rss(std::process::id()) >> 20,
        }))
    };
    Pool::new(threads)?.run(work).await?
}

//! `tributary da`: what was posted to L1 and to EigenDA, looked at by hand.

mod decode;
mod inspect;

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use tributary_indexer::inbox::report::bytes_of;

use crate::arguments::Da;
use crate::failure::Failure;

/// Most bytes that are read of a file: the largest payload of EigenDA, encoded and in hex, twice over.
const FILE_BYTES_MAX: u64 = 1 << 26;

/// Runs a command of `da`.
pub(crate) fn da(arguments: &Da) -> Result<ExitCode, Failure> {
    match arguments {
        Da::Inspect(arguments) => inspect::inspect(arguments),
        Da::Decode(arguments) => decode::decode(arguments),
    }
}

/// The bytes of an argument: a file of hex text or of bytes, or hex text itself.
pub(crate) fn bytes(argument: &str, what: &str) -> Result<Vec<u8>, Failure> {
    let file = match std::fs::File::open(argument) {
        Ok(file) => file,
        Err(error) => {
            let inline = bytes_of(argument.as_bytes());
            let is_hex = inline.as_slice() != argument.as_bytes();
            let shown: String = argument.chars().take(80).collect();
            return is_hex
                .then_some(inline)
                .ok_or_else(|| anyhow!(error).context(format!("{what} {shown:?} is neither hex nor a file")).into());
        }
    };
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("reading {argument}"))?;
    if u64::try_from(read)? > FILE_BYTES_MAX {
        return Err(anyhow!("{argument} has more than {FILE_BYTES_MAX} bytes, which is no {what}").into());
    }
    Ok(bytes_of(&bytes))
}

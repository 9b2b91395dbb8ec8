//! A payload is a version byte and frames; a frame is a numbered piece of a channel.
//!
//! ```text
//! 00 │ channel 16 │ number u16be │ length u32be │ data │ last 00|01 │ channel 16 │ …
//! ```
//!
//! (specs/protocol/derivation.md, "Frame format".) All frames of a payload parse, or none is used.

use super::InboxError;
use super::reader::Reader;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most bytes of data in a frame (`MaxFrameLen` in op-node).
pub const FRAME_BYTES_MAX: usize = 1_000_000;

/// The only derivation version there is.
pub const DERIVATION_VERSION: u8 = 0;

/// What a frame weighs beside its data when channels are bounded (op-node's `frameSize`).
pub const FRAME_OVERHEAD: usize = 200;

/// The name of a channel, drawn by the batcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelId(pub [u8; 16]);

impl fmt::Display for ChannelId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A piece of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The channel it belongs to.
    pub channel: ChannelId,
    /// Its number in the channel, from zero.
    pub number: u16,
    /// Its bytes of the channel.
    pub data: &'a [u8],
    /// Whether the channel ends with it.
    pub last: bool,
}

/// The frames of a payload (version byte included). One that does not parse spoils them all.
pub fn parse(payload: &[u8]) -> Result<Vec<Frame<'_>>, InboxError> {
    let mut reader = Reader::new(payload);
    let [version] = reader.array::<1>("the version of a payload")?;
    if version != DERIVATION_VERSION {
        let got = format!("{version:#04x}");
        return Err(InboxError::Unexpected { what: "the version of a payload", got, expected: "0x00" });
    }
    let mut frames = vec![frame(&mut reader)?];
    while !reader.rest().is_empty() {
        frames.push(frame(&mut reader)?);
    }
    Ok(frames)
}

fn frame<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, InboxError> {
    let channel = ChannelId(reader.array("the channel of a frame")?);
    let number = u16::from_be_bytes(reader.array("the number of a frame")?);
    let claimed = u32::from_be_bytes(reader.array("the length of a frame")?);
    let len = usize::try_from(claimed).unwrap_or(usize::MAX);
    if len > FRAME_BYTES_MAX {
        let (got, limit) = (u64::from(claimed), FRAME_BYTES_MAX as u64);
        return Err(InboxError::OverLimit { what: "the length of a frame", got, limit });
    }
    let data = reader.take(len, "the data of a frame")?;
    let last = match reader.array("the end of a frame")? {
        [0] => false,
        [1] => true,
        [other] => {
            let got = format!("{other:#04x}");
            return Err(InboxError::Unexpected { what: "the end of a frame", got, expected: "0x00 or 0x01" });
        }
    };
    Ok(Frame { channel, number, data, last })
}

#[cfg(test)]
mod tests;

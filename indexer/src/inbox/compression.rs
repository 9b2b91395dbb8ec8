//! The bytes of a channel, decompressed as far as they go.
//!
//! The first byte says how: low four bits 8 or 15 for zlib, `01` for brotli on what follows (from Fjord). op-node
//! reads a channel as a stream and uses every batch that comes out of it before the stream ends or breaks; batchers
//! rely on it (there are real channels whose zlib stream has no last block). So an end that is missing or corrupt is
//! a state beside the bytes that came before it, never an error instead of them.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use std::cmp::{max, min};
use std::fmt;
use std::ops::{Range, RangeInclusive};

/// First byte of a channel in brotli.
pub const BROTLI_VERSION: u8 = 1;

/// How a channel is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 1950.
    Zlib,
    /// RFC 7932.
    Brotli,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Zlib => "zlib",
            Self::Brotli => "brotli",
        })
    }
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// With its end.
    Complete {
        /// Bytes after the end that were not read.
        unread: usize,
    },
    /// Its end is missing; what came before it is there.
    Truncated,
    /// It is damaged; what came before the damage is there.
    Corrupt {
        /// What is wrong.
        reason: String,
    },
    /// There would have been more than the limit; what fits is there.
    Capped {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Decompressed bytes and how they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decompressed {
    /// By what; `None` when the first byte says nothing known.
    pub algorithm: Option<Algorithm>,
    /// The bytes, never more than the limit.
    pub bytes: Vec<u8>,
    /// How many bytes were out after each part was in.
    pub ends: Vec<usize>,
    /// How the stream ended.
    pub end: StreamEnd,
}

impl Decompressed {
    /// The parts, by index, that the bytes `range` came in: from the one that gave the byte before them (a decoder
    /// gives its bytes late, so theirs may begin there) to the one with which all of them could be read.
    #[must_use]
    pub fn parts_of(&self, range: &Range<usize>) -> RangeInclusive<usize> {
        let first = self.ends.partition_point(|there| *there < range.start);
        let last = self.ends.partition_point(|there| *there < range.end);
        first..=last
    }
}

/// Decompresses a channel given in parts (the data of its frames), to `limit` bytes at most.
#[must_use]
pub fn decompress(parts: &[&[u8]], limit: usize, brotli: bool) -> Decompressed {
    let Some(at) = parts.iter().position(|part| !part.is_empty()) else {
        return Decompressed { algorithm: None, bytes: vec![], ends: vec![0; parts.len()], end: StreamEnd::Truncated };
    };
    match parts[at][0] {
        BROTLI_VERSION if brotli => {
            let mut rest = parts.to_vec();
            rest[at] = &rest[at][1..];
            decompress_as(Algorithm::Brotli, &rest, limit)
        }
        byte if matches!(byte & 0x0f, 8 | 15) => decompress_as(Algorithm::Zlib, parts, limit),
        byte => {
            let reason = format!("a channel begins with {byte:#04x}, expected a zlib header or 0x01 (brotli, Fjord)");
            let ends = vec![0; parts.len()];
            Decompressed { algorithm: None, bytes: vec![], ends, end: StreamEnd::Corrupt { reason } }
        }
    }
}

/// Decompresses a stream known to be of an algorithm, without a version byte.
#[must_use]
pub fn decompress_as(algorithm: Algorithm, parts: &[&[u8]], limit: usize) -> Decompressed {
    let mut stream = match algorithm {
        Algorithm::Zlib => Stream::Zlib(Decompress::new(true)),
        Algorithm::Brotli => Stream::Brotli(Box::new(BrotliState::new_strict(
            StandardAlloc::default(),
            StandardAlloc::default(),
            StandardAlloc::default(),
        ))),
    };
    let mut out = Output { buffer: Vec::new(), len: 0, limit };
    let mut ends = Vec::with_capacity(parts.len());
    let mut end = None;
    for part in parts {
        match &mut end {
            None => end = stream.feed(part, &mut out),
            Some(StreamEnd::Complete { unread }) => *unread += part.len(),
            Some(_) => {}
        }
        ends.push(out.len);
    }
    out.buffer.truncate(out.len);
    Decompressed { algorithm: Some(algorithm), bytes: out.buffer, ends, end: end.unwrap_or(StreamEnd::Truncated) }
}

enum Stream {
    Zlib(Decompress),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
}

/// What one call of a decoder came to.
enum Called {
    More,
    Starved,
    Ended,
    Broken(String),
}

impl Stream {
    /// Puts a part in and takes out all that comes; `Some` when that was the end of the stream.
    fn feed(&mut self, mut part: &[u8], out: &mut Output) -> Option<StreamEnd> {
        loop {
            // At the limit one byte of room tells an exact fit from an excess.
            let mut probe = [0_u8; 1];
            let at_limit = out.len == out.limit;
            let room = if at_limit { &mut probe[..] } else { out.room() };
            let (called, read, written) = self.call(part, room);
            part = &part[read..];
            if at_limit && written > 0 {
                return Some(StreamEnd::Capped { limit: out.limit });
            }
            out.len += written;
            match called {
                Called::Ended => return Some(StreamEnd::Complete { unread: part.len() }),
                Called::Broken(reason) => return Some(StreamEnd::Corrupt { reason }),
                Called::Starved => return None,
                Called::More if read == 0 && written == 0 => return None,
                Called::More => {}
            }
        }
    }

    /// Result, bytes read, bytes written.
    fn call(&mut self, input: &[u8], room: &mut [u8]) -> (Called, usize, usize) {
        match self {
            Self::Zlib(inflate) => {
                let (read, written) = (inflate.total_in(), inflate.total_out());
                let called = match inflate.decompress(input, room, FlushDecompress::Sync) {
                    Ok(Status::StreamEnd) => Called::Ended,
                    Ok(Status::Ok | Status::BufError) => Called::More,
                    Err(error) => Called::Broken(format!("zlib: {error}")),
                };
                (called, taken(read, inflate.total_in()), taken(written, inflate.total_out()))
            }
            Self::Brotli(state) => {
                let (mut input_left, mut read) = (input.len(), 0);
                let (mut room_left, mut written, mut total) = (room.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut input_left,
                    &mut read,
                    input,
                    &mut room_left,
                    &mut written,
                    room,
                    &mut total,
                    state,
                );
                let called = match result {
                    BrotliResult::ResultSuccess => Called::Ended,
                    BrotliResult::NeedsMoreInput => Called::Starved,
                    BrotliResult::NeedsMoreOutput => Called::More,
                    BrotliResult::ResultFailure => Called::Broken(format!("brotli: {:?}", state.error_code)),
                };
                (called, read, written)
            }
        }
    }
}

fn taken(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

/// What came out, with room behind it that is made once, not for every part.
struct Output {
    buffer: Vec<u8>,
    len: usize,
    limit: usize,
}

impl Output {
    /// Room behind what came out, which has not reached the limit: never beyond that.
    fn room(&mut self) -> &mut [u8] {
        if self.len == self.buffer.len() {
            let grown = min(self.limit, self.len + max(self.len, 1 << 16));
            self.buffer.reserve_exact(grown - self.len);
            self.buffer.resize(grown, 0);
        }
        &mut self.buffer[self.len..]
    }
}

#[cfg(test)]
mod tests;

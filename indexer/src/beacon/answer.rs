//! What beacon nodes answer, as far as it matters here.
//!
//! Integers are quoted in this API; they are read with and without quotes. Of an answer nothing is kept but what is
//! asked for, and an element of a list is decoded before the next one is read, so that a list of a million nothings ends
//! at the first.

use alloy_primitives::hex;
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

use crate::inbox::blob_encoding::BLOB_BYTES;

/// Bytes of a KZG commitment.
const COMMITMENT_BYTES: usize = 48;
/// Milliseconds of a slot where a node does not say: Ethereum's.
const SLOT_MS: u64 = 12_000;
/// The longest slot that is believed: a day.
const SLOT_MS_MAX: u64 = 86_400_000;

/// When slots are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Unix seconds at which slot 0 begins.
    pub genesis_time: u64,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
}

impl Slots {
    /// The slot of an L1 block by its time, in Unix seconds; `None` before genesis.
    #[must_use]
    pub fn at(&self, timestamp: u64) -> Option<u64> {
        timestamp.checked_sub(self.genesis_time)?.checked_mul(1_000)?.checked_div(self.slot_ms)
    }

    /// Whether a slot begins at a time, as one does at the time of every L1 block.
    #[must_use]
    pub fn begins_at(&self, timestamp: u64) -> bool {
        let since = timestamp.checked_sub(self.genesis_time).and_then(|since| since.checked_mul(1_000));
        since.and_then(|since| since.checked_rem(self.slot_ms)) == Some(0)
    }
}

/// A sidecar of the older route: the commitment it claims, and the blob.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sidecar {
    pub(super) commitment: Vec<u8>,
    pub(super) blob: Vec<u8>,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

/// The genesis time in an answer about genesis.
pub(super) fn genesis_time(body: &[u8]) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct Genesis {
        genesis_time: Integer,
    }
    read::<Genesis>(body).map(|genesis| genesis.genesis_time.0)
}

/// Milliseconds of a slot in an answer about the configuration, or without one: that is Ethereum's, as development
/// nodes have no such route. A guess does no harm, as blobs of another slot have other hashes.
pub(super) fn slot_ms(body: Option<&[u8]>) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct Spec {
        #[serde(rename = "SLOT_DURATION_MS")]
        slot_ms: Option<Integer>,
        #[serde(rename = "SECONDS_PER_SLOT")]
        slot_seconds: Option<Integer>,
    }
    let Some(body) = body else { return Ok(SLOT_MS) };
    let spec: Spec = read(body)?;
    let seconds = spec.slot_seconds.map(|seconds| seconds.0.saturating_mul(1_000));
    let slot_ms = spec.slot_ms.map(|ms| ms.0).or(seconds).unwrap_or(SLOT_MS);
    if (1..=SLOT_MS_MAX).contains(&slot_ms) {
        return Ok(slot_ms);
    }
    Err(format!("slots of {slot_ms} ms: expected 1 to {SLOT_MS_MAX}"))
}

/// The blobs in an answer of the newer route.
pub(super) fn blobs(body: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    read::<Vec<Hex<BLOB_BYTES>>>(body).map(|blobs| blobs.into_iter().map(|blob| blob.0).collect())
}

/// The sidecars in an answer of the older route.
pub(super) fn sidecars(body: &[u8]) -> Result<Vec<Sidecar>, String> {
    #[derive(Deserialize)]
    struct Told {
        blob: Hex<BLOB_BYTES>,
        kzg_commitment: Hex<COMMITMENT_BYTES>,
    }
    let told = read::<Vec<Told>>(body)?;
    Ok(told.into_iter().map(|one| Sidecar { commitment: one.kzg_commitment.0, blob: one.blob.0 }).collect())
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice::<Data<T>>(body).map(|answer| answer.data).map_err(|error| {
        // What was read is as long as a blob and says nothing.
        let said: String = error.to_string().chars().take(160).collect();
        format!("unreadable answer: {said}")
    })
}

/// An integer, quoted or not.
struct Integer(u64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Number(u64),
            Text(&'a str),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => {
                text.parse().map(Self).map_err(|_error| D::Error::invalid_value(Unexpected::Str(text), &"an integer"))
            }
        }
    }
}

/// `N` bytes in hex.
struct Hex<const N: usize>(Vec<u8>);

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor::<N>)
    }
}

struct HexVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for HexVisitor<N> {
    type Value = Hex<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes in hex")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.len() != N.saturating_mul(2) {
            return Err(E::invalid_length(digits.len() / 2, &self));
        }
        hex::decode(digits).map(Hex).map_err(E::custom)
    }
}

//! Solidity's event encoding, read strictly and without copying.
//!
//! Every argument has exactly one encoding here: words are checked to their last padding bit, dynamic parts lie one
//! after the other in the order of the arguments, and nothing follows them. What Solidity's `emit` writes is always so;
//! bytes that are not so were made by hand, and reading them leniently would let one log mean two things.

use alloy_dyn_abi::{DynSolType, Specifier as _};
use alloy_json_abi::Event as AbiEvent;

const WORD: usize = 32;

/// The arguments of an event: their types, and which are topics.
#[derive(Debug, Clone)]
pub(crate) struct EventShape {
    params: Vec<Param>,
    topics: usize,
    heads: usize,
}

#[derive(Debug, Clone)]
struct Param {
    name: String,
    kind: Kind,
    indexed: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Static(Static),
    Bytes,
    Text,
    Array(Static),
}

#[derive(Debug, Clone, Copy)]
enum Static {
    Uint(usize),
    Int(usize),
    Address,
    Bool,
    Fixed(usize),
}

/// A decoded argument, borrowed from the log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg<'a> {
    /// An unsigned integer or a truth value.
    Uint(&'a [u8; WORD]),
    /// A signed integer.
    Int(&'a [u8; WORD]),
    /// Fixed bytes of this length, left-aligned.
    Fixed(&'a [u8; WORD], usize),
    /// An address.
    Address(&'a [u8]),
    /// A truth value.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// The elements of an array, one word each, and their type.
    Array(&'a [u8], Element),
}

/// The type of an array's elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element(Static);

impl EventShape {
    pub(crate) fn new(event: &AbiEvent) -> Result<Self, String> {
        let params = event
            .inputs
            .iter()
            .map(|input| {
                let resolved = input.resolve().map_err(|error| format!("argument {:?}: {error}", input.name))?;
                Ok(Param { name: input.name.clone(), kind: Kind::new(&resolved)?, indexed: input.indexed })
            })
            .collect::<Result<Vec<_>, String>>()?;
        let topics = params.iter().filter(|param| param.indexed).count();
        if topics > 3 {
            return Err(format!("{topics} indexed arguments: expected at most 3"));
        }
        let heads = params.len() - topics;
        Ok(Self { params, topics, heads })
    }

    /// Number of topics, the event's own included.
    pub(crate) const fn topic_count(&self) -> usize {
        1 + self.topics
    }

    /// The arguments of a log, in the order of the signature, or what is wrong with it.
    pub(crate) fn decode<'a>(
        &self,
        topics: &'a [alloy_primitives::B256],
        data: &'a [u8],
    ) -> Result<Vec<Arg<'a>>, String> {
        if topics.len() != self.topic_count() {
            return Err(format!("{} topics: expected {}", topics.len(), self.topic_count()));
        }
        let mut indexed = topics[1..].iter();
        let mut tail = self.heads * WORD;
        let mut head = 0;
        let mut args = Vec::with_capacity(self.params.len());
        for param in &self.params {
            let named = |reason: String| format!("argument {}: {reason}", param.name);
            let arg = if param.indexed {
                let topic = indexed.next().ok_or_else(|| named("has no topic".to_owned()))?;
                param.kind.topic(&topic.0)
            } else {
                let word = word_at(data, head).map_err(named)?;
                head += WORD;
                param.kind.argument(word, data, &mut tail)
            };
            args.push(arg.map_err(named)?);
        }
        if tail != data.len() {
            return Err(format!("{} bytes of data: expected {tail}", data.len()));
        }
        Ok(args)
    }

    /// The log that encodes `fill` in every word, one byte or element in every dynamic argument: what a rule is tried on.
    pub(crate) fn sample(&self, fill: u8) -> (Vec<alloy_primitives::B256>, Vec<u8>) {
        let mut topics = vec![alloy_primitives::B256::ZERO];
        let mut heads = Vec::new();
        let mut tail = Vec::new();
        for param in &self.params {
            let word = param.kind.sample(fill);
            if param.indexed {
                topics.push(word.into());
            } else if let Kind::Static(_) = param.kind {
                heads.extend(word);
            } else {
                let offset = u64::try_from(self.heads * WORD + tail.len()).unwrap_or(u64::MAX);
                heads.extend(number(offset));
                tail.extend(number(1));
                tail.extend(word);
            }
        }
        heads.extend(tail);
        (topics, heads)
    }
}

impl Kind {
    fn new(resolved: &DynSolType) -> Result<Self, String> {
        match resolved {
            DynSolType::Bytes => Ok(Self::Bytes),
            DynSolType::String => Ok(Self::Text),
            DynSolType::Array(element) => Static::new(element).map(Self::Array),
            other => Static::new(other).map(Self::Static),
        }
    }

    /// An indexed argument; of a dynamic one only the hash is there.
    fn topic<'a>(&self, topic: &'a [u8; WORD]) -> Result<Arg<'a>, String> {
        match self {
            Self::Static(kind) => kind.read(topic),
            Self::Bytes | Self::Text | Self::Array(_) => Ok(Arg::Fixed(topic, WORD)),
        }
    }

    fn argument<'a>(&self, head: &'a [u8; WORD], data: &'a [u8], tail: &mut usize) -> Result<Arg<'a>, String> {
        if let Self::Static(kind) = self {
            return kind.read(head);
        }
        let offset = small(head).ok_or("offset beyond the data")?;
        if offset != *tail {
            return Err(format!("offset {offset}: expected {tail}"));
        }
        let length = small(word_at(data, offset)?).ok_or("length beyond the data")?;
        let body = data.get(offset + WORD..).unwrap_or_default();
        let size = if let Self::Array(_) = self { length.checked_mul(WORD) } else { Some(length) };
        let padded = size.and_then(|size| size.checked_next_multiple_of(WORD));
        let (Some(size), Some(padded)) = (size, padded) else { return Err(format!("length {length}")) };
        let bytes = body.get(..padded).ok_or_else(|| format!("length {length}: only {} bytes are left", body.len()))?;
        let (bytes, padding) = bytes.split_at(size);
        if padding.iter().any(|byte| *byte != 0) {
            return Err("padding is not zero".to_owned());
        }
        *tail = offset + WORD + padded;
        match self {
            Self::Text => std::str::from_utf8(bytes).map(Arg::Text).map_err(|error| error.to_string()),
            Self::Array(kind) => {
                let (words, _) = bytes.as_chunks::<WORD>();
                for word in words {
                    let _checked = kind.read(word)?;
                }
                Ok(Arg::Array(bytes, Element(*kind)))
            }
            Self::Bytes | Self::Static(_) => Ok(Arg::Bytes(bytes)),
        }
    }

    fn sample(&self, fill: u8) -> [u8; WORD] {
        let mut word = [0; WORD];
        match self {
            // One byte of text, so that it is valid UTF-8 whatever the fill.
            Self::Text | Self::Bytes => word[0] = b'0' + fill,
            Self::Static(Static::Fixed(_)) | Self::Array(Static::Fixed(_)) => word[0] = fill,
            Self::Static(_) | Self::Array(_) => word[WORD - 1] = fill,
        }
        word
    }
}

impl Element {
    /// The element in this word, which was checked when the array was read.
    pub(crate) fn read(self, word: &[u8; WORD]) -> Result<Arg<'_>, String> {
        self.0.read(word)
    }
}

impl Static {
    fn new(resolved: &DynSolType) -> Result<Self, String> {
        match resolved {
            DynSolType::Uint(bits) => Ok(Self::Uint(*bits)),
            DynSolType::Int(bits) => Ok(Self::Int(*bits)),
            DynSolType::Address => Ok(Self::Address),
            DynSolType::Bool => Ok(Self::Bool),
            DynSolType::FixedBytes(size) => Ok(Self::Fixed(*size)),
            other => {
                Err(format!("type {other} has no reading here: expected a static word, bytes, string or an array"))
            }
        }
    }

    fn read(self, word: &[u8; WORD]) -> Result<Arg<'_>, String> {
        let clean = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let checked = match self {
            Self::Uint(bits) => clean(&word[..WORD - bits / 8]).then_some(Arg::Uint(word)),
            Self::Int(bits) => {
                let sign = if word[WORD - bits / 8] & 0x80 == 0 { 0 } else { 0xff };
                word[..WORD - bits / 8].iter().all(|byte| *byte == sign).then_some(Arg::Int(word))
            }
            Self::Address => clean(&word[..12]).then_some(Arg::Address(&word[12..])),
            Self::Bool => (clean(&word[..WORD - 1]) && word[WORD - 1] < 2).then_some(Arg::Bool(word[WORD - 1] == 1)),
            Self::Fixed(size) => clean(&word[size..]).then_some(Arg::Fixed(word, size)),
        };
        checked.ok_or_else(|| format!("0x{} does not fit {self:?}", alloy_primitives::hex::encode(word)))
    }
}

fn word_at(data: &[u8], offset: usize) -> Result<&[u8; WORD], String> {
    data.get(offset..)
        .and_then(<[u8]>::first_chunk::<WORD>)
        .ok_or_else(|| format!("{} bytes of data: expected a word at {offset}", data.len()))
}

/// The number in a word, when it is small enough to be a place in memory; lengths of a log are far below 2^32.
fn small(word: &[u8; WORD]) -> Option<usize> {
    let (high, low) = word.split_at(WORD - 4);
    let low = u32::from_be_bytes(low.try_into().ok()?);
    if high.iter().any(|byte| *byte != 0) { None } else { usize::try_from(low).ok() }
}

fn number(value: u64) -> [u8; WORD] {
    let mut word = [0; WORD];
    word[WORD - 8..].copy_from_slice(&value.to_be_bytes());
    word
}

impl Arg<'_> {
    /// Whether it is a word of zeros, or empty.
    pub(crate) fn is_zero(&self) -> bool {
        let clean = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        match self {
            Self::Uint(word) | Self::Int(word) | Self::Fixed(word, _) => clean(&word[..]),
            Self::Address(bytes) => clean(bytes),
            Self::Bool(truth) => !truth,
            Self::Bytes(bytes) | Self::Array(bytes, _) => bytes.is_empty(),
            Self::Text(text) => text.is_empty(),
        }
    }
}

//! Solidity's event encoding, read strictly and without copying.
//!
//! Every argument has exactly one encoding here: words are checked to their last padding bit, dynamic parts lie one
//! after the other in the order of the arguments, and nothing follows them. What Solidity's `emit` writes is always so;
//! bytes that are not so were made by hand, and reading them leniently would let one log mean two things.

use alloy_json_abi::{Event as AbiEvent, Param as AbiParam};
use alloy_primitives::{B256, U256};

use super::sample::Sample;

const WORD: usize = 32;
/// Deepest nesting of tuples and arrays in a signature.
const DEPTH_MAX: usize = 8;
/// Most arguments, components and fixed elements of one signature.
const PARTS_MAX: usize = 1024;

/// The arguments of an event or call: their types, and which are topics.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    params: Vec<Param>,
    topics: usize,
    /// Bytes of the heads of the arguments that are no topics.
    heads: usize,
}

#[derive(Debug, Clone)]
struct Param {
    name: String,
    kind: Kind,
    indexed: bool,
}

/// The type of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One word.
    Static(Static),
    /// Bytes of any length.
    Bytes,
    /// Text.
    Text,
    /// Any number of elements.
    List(Box<Self>),
    /// So many elements.
    Fixed(Box<Self>, usize),
    /// Components with their names.
    Tuple(Vec<(String, Self)>),
}

/// A type of one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Static {
    /// An unsigned integer of so many bits.
    Uint(usize),
    /// A signed integer of so many bits.
    Int(usize),
    /// An address.
    Address,
    /// A truth value.
    Bool,
    /// So many bytes.
    Fixed(usize),
}

/// A decoded argument, borrowed from the log.
#[derive(Debug, Clone)]
pub(crate) enum Arg<'a> {
    /// A word, and its type, of which it is to its last bit.
    Word(&'a [u8; WORD], Static),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// The elements of a list of words, and their type.
    Words(&'a [u8], Static),
    /// Components of a tuple, or elements of any other list.
    Many(Vec<Self>),
}

impl Shape {
    /// The shape of an event.
    pub(crate) fn event(event: &AbiEvent) -> Result<Self, String> {
        let params = event.inputs.iter().map(|input| {
            let kind = Kind::parse(&input.ty, &input.components, 0)?;
            Ok(Param { name: input.name.clone(), kind, indexed: input.indexed })
        });
        Self::new(params.collect::<Result<_, String>>()?)
    }

    /// The shape of a call's arguments, or of what abi.encode wrote.
    pub(crate) fn tuple(params: &[AbiParam]) -> Result<Self, String> {
        let params = params.iter().map(|input| {
            let kind = Kind::parse(&input.ty, &input.components, 0)?;
            Ok(Param { name: input.name.clone(), kind, indexed: false })
        });
        Self::new(params.collect::<Result<_, String>>()?)
    }

    /// The shape of values with these names.
    pub(crate) fn named(values: Vec<(String, Kind)>) -> Result<Self, String> {
        Self::new(values.into_iter().map(|(name, kind)| Param { name, kind, indexed: false }).collect())
    }

    fn new(params: Vec<Param>) -> Result<Self, String> {
        let topics = params.iter().filter(|param| param.indexed).count();
        if topics > 3 {
            return Err(format!("{topics} indexed arguments: expected at most 3"));
        }
        let parts: usize = params.iter().map(|param| param.kind.parts()).sum();
        if parts > PARTS_MAX {
            return Err(format!("{parts} arguments and components: expected at most {PARTS_MAX}"));
        }
        let heads = params.iter().filter(|param| !param.indexed).map(|param| param.kind.head()).sum();
        Ok(Self { params, topics, heads })
    }

    /// Number of topics, the event's own included.
    pub(crate) const fn topic_count(&self) -> usize {
        1 + self.topics
    }

    /// The names of the arguments.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|param| param.name.as_str())
    }

    /// The types of the arguments.
    pub(crate) fn kinds(&self) -> Vec<&Kind> {
        self.params.iter().map(|param| &param.kind).collect()
    }

    /// Where the argument of this name stands, and what is there: of a dynamic topic, the hash.
    pub(crate) fn argument(&self, name: &str) -> Option<(usize, Kind)> {
        let index = self.params.iter().position(|param| param.name == name)?;
        let param = self.params.get(index)?;
        let hashed = param.indexed && !matches!(param.kind, Kind::Static(_));
        Some((index, if hashed { Kind::Static(Static::Fixed(WORD)) } else { param.kind.clone() }))
    }

    /// The arguments of a log, in the order of the signature, or what is wrong with it.
    pub(crate) fn decode<'a>(&self, topics: &'a [B256], data: &'a [u8]) -> Result<Vec<Arg<'a>>, String> {
        let mut args = Vec::new();
        self.decode_into(topics, data, &mut args).map(|()| args)
    }

    /// The same in the place of what `args` held, whose memory is used again.
    pub(crate) fn decode_into<'a>(
        &self,
        topics: &'a [B256],
        data: &'a [u8],
        args: &mut Vec<Arg<'a>>,
    ) -> Result<(), String> {
        if topics.len() != self.topic_count() {
            return Err(format!("{} topics: expected {}", topics.len(), self.topic_count()));
        }
        let used = self.read(topics, data, args)?;
        if used == data.len() { Ok(()) } else { Err(format!("{} bytes of data: expected {used}", data.len())) }
    }

    /// The arguments of a call. What follows them is not read, as Solidity does not: a suffix stands there.
    pub(crate) fn decode_call<'a>(&self, data: &'a [u8]) -> Result<Vec<Arg<'a>>, String> {
        let mut args = Vec::new();
        self.read(&[], data, &mut args).map(|_| args)
    }

    fn read<'a>(&self, topics: &'a [B256], data: &'a [u8], args: &mut Vec<Arg<'a>>) -> Result<usize, String> {
        let mut indexed = topics.iter().skip(1);
        let mut cursor = Cursor { data, head: 0, tail: self.heads };
        args.clear();
        args.reserve(self.params.len());
        for param in &self.params {
            let named = |reason: String| format!("argument {}: {reason}", param.name);
            let read = if param.indexed {
                let topic = indexed.next().ok_or_else(|| named("has no topic".to_owned()))?;
                param.kind.topic(&topic.0, args)
            } else {
                param.kind.read(&mut cursor, args)
            };
            read.map_err(named)?;
        }
        Ok(cursor.tail)
    }

    /// The log that encodes `fill` in every word, with one byte or element in everything of variable length: what a rule
    /// is tried on.
    pub(crate) fn sample(&self, fill: u8) -> (Vec<B256>, Vec<u8>) {
        let mut topics = vec![B256::ZERO];
        let mut body = Sample::new(fill, self.heads);
        for param in &self.params {
            if param.indexed {
                topics.push(body.word(&param.kind).into());
            } else {
                body.push(&param.kind);
            }
        }
        (topics, body.finish())
    }
}

/// A place in a sequence of heads, with the tails behind them.
struct Cursor<'a> {
    data: &'a [u8],
    head: usize,
    tail: usize,
}

impl<'a> Cursor<'a> {
    fn word(&mut self) -> Result<&'a [u8; WORD], String> {
        let word = word_at(self.data, self.head)?;
        self.head += WORD;
        Ok(word)
    }
}

impl Kind {
    /// Reads a type as JSON ABIs write it: `uint256`, `tuple[2][]`, the components apart.
    pub(crate) fn parse(text: &str, components: &[AbiParam], depth: usize) -> Result<Self, String> {
        if depth > DEPTH_MAX {
            return Err(format!("type {text} is nested more than {DEPTH_MAX} deep"));
        }
        if let Some(rest) = text.strip_suffix(']') {
            let (element, count) = rest.rsplit_once('[').ok_or_else(|| format!("type {text}: expected ["))?;
            let element = Box::new(Self::parse(element, components, depth + 1)?);
            if count.is_empty() {
                return Ok(Self::List(element));
            }
            let count: usize = count.parse().map_err(|error| format!("type {text}: {error}"))?;
            if !(1..=PARTS_MAX).contains(&count) {
                return Err(format!("type {text}: expected 1 to {PARTS_MAX} elements"));
            }
            return Ok(Self::Fixed(element, count));
        }
        if text == "tuple" {
            if components.is_empty() {
                return Err("a tuple without components".to_owned());
            }
            let parts = components
                .iter()
                .map(|part| Self::parse(&part.ty, &part.components, depth + 1).map(|kind| (part.name.clone(), kind)));
            return parts.collect::<Result<_, String>>().map(Self::Tuple);
        }
        match text {
            "bytes" => Ok(Self::Bytes),
            "string" => Ok(Self::Text),
            _ => Static::parse(text).map(Self::Static),
        }
    }

    fn parts(&self) -> usize {
        match self {
            Self::Static(_) | Self::Bytes | Self::Text => 1,
            Self::List(element) => element.parts().saturating_add(1),
            Self::Fixed(element, count) => element.parts().saturating_mul(*count),
            Self::Tuple(parts) => parts.iter().fold(0, |sum, (_, kind)| kind.parts().saturating_add(sum)),
        }
    }

    pub(super) fn is_dynamic(&self) -> bool {
        match self {
            Self::Static(_) => false,
            Self::Bytes | Self::Text | Self::List(_) => true,
            Self::Fixed(element, _) => element.is_dynamic(),
            Self::Tuple(parts) => parts.iter().any(|(_, kind)| kind.is_dynamic()),
        }
    }

    /// Bytes of its head.
    pub(super) fn head(&self) -> usize {
        match self {
            Self::Fixed(element, count) if !element.is_dynamic() => element.head().saturating_mul(*count),
            Self::Tuple(parts) if !self.is_dynamic() => {
                parts.iter().fold(0, |sum, (_, kind)| kind.head().saturating_add(sum))
            }
            _ => WORD,
        }
    }

    /// Appends an indexed argument; of one of more than a word only the hash is there.
    fn topic<'a>(&self, topic: &'a [u8; WORD], out: &mut Vec<Arg<'a>>) -> Result<(), String> {
        match self {
            Self::Static(kind) => out.push(kind.read(topic)?),
            _ => out.push(Arg::Word(topic, Static::Fixed(WORD))),
        }
        Ok(())
    }

    /// Appends an argument: most are words, which cost less to read than to move, so that they are made where they stay.
    fn read<'a>(&self, cursor: &mut Cursor<'a>, out: &mut Vec<Arg<'a>>) -> Result<(), String> {
        match self {
            Self::Static(kind) => out.push(kind.read(cursor.word()?)?),
            Self::Tuple(parts) if !self.is_dynamic() => {
                out.push(Self::many(parts.iter().map(|(_, kind)| kind), cursor)?);
            }
            Self::Fixed(element, count) if !element.is_dynamic() => {
                out.push(Self::many(std::iter::repeat_n(&**element, *count), cursor)?);
            }
            _ => out.push(self.behind(cursor)?),
        }
        Ok(())
    }

    /// A dynamic argument, which lies where its offset says: behind those before it.
    fn behind<'a>(&self, cursor: &mut Cursor<'a>) -> Result<Arg<'a>, String> {
        let offset = small(cursor.word()?).ok_or("offset beyond the data")?;
        if offset != cursor.tail {
            return Err(format!("offset {offset}: expected {}", cursor.tail));
        }
        let body = cursor.data.get(offset..).ok_or_else(|| format!("offset {offset}: beyond the data"))?;
        let (arg, size) = self.body(body)?;
        cursor.tail = offset + size;
        Ok(arg)
    }

    /// Values of these types, one after the other.
    fn many<'k, 'a>(kinds: impl Iterator<Item = &'k Self>, cursor: &mut Cursor<'a>) -> Result<Arg<'a>, String> {
        let mut out = Vec::new();
        for kind in kinds {
            kind.read(cursor, &mut out)?;
        }
        Ok(Arg::Many(out))
    }

    /// What the offset of a dynamic argument leads to, and its bytes.
    fn body<'a>(&self, body: &'a [u8]) -> Result<(Arg<'a>, usize), String> {
        let inner = |tail: usize| Cursor { data: body, head: 0, tail };
        match self {
            Self::Tuple(parts) => {
                let mut cursor = inner(parts.iter().map(|(_, kind)| kind.head()).sum());
                Ok((Self::many(parts.iter().map(|(_, kind)| kind), &mut cursor)?, cursor.tail))
            }
            Self::Fixed(element, count) => {
                let mut cursor = inner(element.head().saturating_mul(*count));
                Ok((Self::many(std::iter::repeat_n(&**element, *count), &mut cursor)?, cursor.tail))
            }
            Self::List(element) => element.list(body),
            Self::Static(_) | Self::Bytes | Self::Text => {
                let (bytes, size) = counted(body, 1)?;
                match self {
                    Self::Text => std::str::from_utf8(bytes).map(|text| (Arg::Text(text), size)),
                    _ => Ok((Arg::Bytes(bytes), size)),
                }
                .map_err(|error| error.to_string())
            }
        }
    }

    /// A list of elements of this type.
    fn list<'a>(&self, body: &'a [u8]) -> Result<(Arg<'a>, usize), String> {
        // Each element takes at least its head, so a length is never larger than the data.
        let (heads, size) = counted(body, self.head())?;
        if let Self::Static(kind) = self {
            let (words, _) = heads.as_chunks::<WORD>();
            for word in words {
                kind.check(word)?;
            }
            return Ok((Arg::Words(heads, *kind), size));
        }
        let count = heads.len().checked_div(self.head()).unwrap_or_default();
        let mut cursor = Cursor { data: body.get(WORD..).unwrap_or_default(), head: 0, tail: heads.len() };
        let many = Self::many(std::iter::repeat_n(self, count), &mut cursor)?;
        Ok((many, WORD + cursor.tail))
    }
}

/// The bytes behind a length in units of `unit` bytes, and how many they are with the length and the padding.
fn counted(body: &[u8], unit: usize) -> Result<(&[u8], usize), String> {
    let length = small(word_at(body, 0)?).ok_or("length beyond the data")?;
    let rest = body.get(WORD..).unwrap_or_default();
    let size = length.checked_mul(unit);
    let padded = size.and_then(|size| size.checked_next_multiple_of(WORD));
    let (Some(size), Some(padded)) = (size, padded) else { return Err(format!("length {length}")) };
    let bytes = rest.get(..padded).ok_or_else(|| format!("length {length}: only {} bytes are left", rest.len()))?;
    let (bytes, padding) = bytes.split_at(size);
    if padding.iter().any(|byte| *byte != 0) {
        return Err("padding is not zero".to_owned());
    }
    Ok((bytes, WORD + padded))
}

impl Static {
    /// Reads the name of a type of one word.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let none = || format!("type {text} has no reading here: expected a type of Solidity's ABI");
        let bits = |digits: &str| {
            digits.parse().ok().filter(|bits: &usize| (8..=256).contains(bits) && bits.is_multiple_of(8))
        };
        match text {
            "address" => Ok(Self::Address),
            "bool" => Ok(Self::Bool),
            "uint" => Ok(Self::Uint(256)),
            "int" => Ok(Self::Int(256)),
            _ => {
                if let Some(digits) = text.strip_prefix("uint") {
                    return bits(digits).map(Self::Uint).ok_or_else(none);
                }
                if let Some(digits) = text.strip_prefix("int") {
                    return bits(digits).map(Self::Int).ok_or_else(none);
                }
                let size = text.strip_prefix("bytes").and_then(|digits| digits.parse().ok());
                size.filter(|size| (1..=WORD).contains(size)).map(Self::Fixed).ok_or_else(none)
            }
        }
    }

    /// What a word says, when it is of this type to its last bit.
    pub(crate) fn read(self, word: &[u8; WORD]) -> Result<Arg<'_>, String> {
        self.check(word).map(|()| Arg::Word(word, self))
    }

    /// What a word of this type has beside its padding; of a number, the whole word.
    pub(crate) fn bytes(self, word: &[u8; WORD]) -> &[u8] {
        match self {
            Self::Uint(_) | Self::Int(_) => word,
            Self::Address => &word[12..],
            Self::Bool => &word[WORD - 1..],
            Self::Fixed(size) => &word[..size],
        }
    }

    /// Whether a word is of this type to its last bit.
    fn check(self, word: &[u8; WORD]) -> Result<(), String> {
        let number = || U256::from_be_bytes(*word);
        let fits = match self {
            Self::Uint(bits) => number().bit_len() <= bits,
            // A negative number has as many bits as its complement, and one for the sign.
            Self::Int(bits) => (if word[0] & 0x80 == 0 { number() } else { !number() }).bit_len() < bits,
            Self::Address => number().bit_len() <= 160,
            Self::Bool => number().bit_len() <= 1,
            Self::Fixed(WORD) => true,
            Self::Fixed(size) => number().trailing_zeros() >= 8 * (WORD - size),
        };
        if fits { Ok(()) } else { Err(format!("0x{} does not fit {self:?}", alloy_primitives::hex::encode(word))) }
    }
}

fn word_at(data: &[u8], offset: usize) -> Result<&[u8; WORD], String> {
    data.get(offset..)
        .and_then(<[u8]>::first_chunk::<WORD>)
        .ok_or_else(|| format!("{} bytes of data: expected a word at {offset}", data.len()))
}

/// The number in a word, when it is small enough to be a place in memory; lengths of a log are far below 2^32.
fn small(word: &[u8; WORD]) -> Option<usize> {
    let number: u32 = U256::from_be_bytes(*word).try_into().ok()?;
    usize::try_from(number).ok()
}

impl<'a> Arg<'a> {
    /// Its bytes, a number's as its whole word; none of a list.
    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Word(word, kind) => Some(kind.bytes(word)),
            Self::Bytes(bytes) => Some(bytes),
            Self::Text(text) => Some(text.as_bytes()),
            Self::Words(..) | Self::Many(_) => None,
        }
    }

    /// Whether it is a word of zeros, or empty.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Word(word, _) => word.iter().all(|byte| *byte == 0),
            Self::Bytes(bytes) | Self::Words(bytes, _) => bytes.is_empty(),
            Self::Text(text) => text.is_empty(),
            Self::Many(parts) => parts.iter().all(Self::is_zero),
        }
    }

    /// Elements of a list; none for what is no list.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Self::Words(bytes, _) => Some(bytes.len() / WORD),
            Self::Many(parts) => Some(parts.len()),
            _ => None,
        }
    }

    /// A component or element.
    pub(crate) fn part(&self, index: usize) -> Option<Self> {
        match self {
            Self::Words(bytes, kind) => kind.read(bytes.as_chunks::<WORD>().0.get(index)?).ok(),
            Self::Many(parts) => parts.get(index).cloned(),
            _ => None,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Static(kind) => kind.fmt(f),
            Self::Bytes => f.write_str("bytes"),
            Self::Text => f.write_str("string"),
            Self::List(element) => write!(f, "{element}[]"),
            Self::Fixed(element, count) => write!(f, "{element}[{count}]"),
            Self::Tuple(_) => f.write_str("tuple"),
        }
    }
}

impl std::fmt::Display for Static {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uint(bits) => write!(f, "uint{bits}"),
            Self::Int(bits) => write!(f, "int{bits}"),
            Self::Address => f.write_str("address"),
            Self::Bool => f.write_str("bool"),
            Self::Fixed(size) => write!(f, "bytes{size}"),
        }
    }
}

//! What an expression comes to, for one log. Everything costs, and what one log may cost is bounded by its size.

use alloy_primitives::{Address, B256, I256, U256, keccak256};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use tributary_schemas::BlockRef;
use tributary_schemas::id::{EntityKind, entity_id, external_id, version_id};

use super::abi::{Arg, Static};
use super::state::Reading;
use super::{Known, make};
use crate::mapping::{Around, Constant, Expr, LEVELS_MAX, Lookup, Made, Place, Root, Step, Test, Type};
use crate::{TxInfo, VerifiedLog};

/// Bytes that may be gone through for each byte of a log and its calldata, before it is refused as too costly.
const WORK_PER_BYTE: usize = 64;
/// What any log may cost, however small.
const WORK_LEAST: usize = 1 << 16;

/// What a rule can read from.
pub(crate) struct Source<'a> {
    pub(crate) chain_id: u64,
    /// The contract that the fact is of: the namespace of its ids.
    pub(crate) emitter: Address,
    pub(crate) block: &'a BlockRef,
    pub(crate) tx: Option<&'a TxInfo>,
    pub(crate) log: Option<&'a VerifiedLog>,
    pub(crate) args: &'a [Arg<'a>],
    /// The values of the call that the log comes from, or why there are none.
    pub(crate) call: Result<&'a [Arg<'a>], &'a str>,
    pub(crate) joined: Option<Joined<'a>>,
    pub(crate) known: &'a dyn Known,
    /// What contracts answered.
    pub(crate) reading: &'a Reading<'a>,
    /// Only types matter: what is computed is a word of this fill.
    pub(crate) sample: Option<u8>,
    pub(crate) work: &'a Cell<usize>,
}

/// The log that a rule joined.
#[derive(Clone, Copy)]
pub(crate) struct Joined<'a> {
    pub(crate) log: &'a VerifiedLog,
    pub(crate) args: &'a [Arg<'a>],
}

/// The elements that are being gone through, by level of nesting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) indices: [usize; LEVELS_MAX],
    /// The ordinal of the element among all that the rule goes through.
    pub(crate) ordinal: usize,
    /// The level that a zip goes through.
    pub(crate) levels: usize,
    /// The element that is read of a list that is a field's whole value.
    pub(crate) element: Option<usize>,
}

/// Why no fact could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildError {
    /// A number is outside what its field can hold.
    Range(String),
    /// Something that is asked about does not exist.
    Unknown(String),
    /// What would back it backs something else.
    Spent(String),
    /// Whoever says it is not asked about further.
    Stranger(String),
    /// Anything else.
    Shape(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(reason)
            | Self::Unknown(reason)
            | Self::Spent(reason)
            | Self::Stranger(reason)
            | Self::Shape(reason) => f.write_str(reason),
        }
    }
}
impl std::error::Error for BuildError {}

impl At {
    /// Of a rule that goes through no list.
    pub(crate) const NOWHERE: Self = Self { indices: [0; LEVELS_MAX], ordinal: 0, levels: 0, element: None };
}

/// One expression, over the log or over one element of its lists. It is passed on with every value, and so kept small.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) expr: &'a Expr,
    pub(crate) source: &'a Source<'a>,
    pub(crate) at: &'a At,
}

/// What an expression came to.
#[derive(Clone)]
pub(crate) enum Value<'a> {
    Nothing,
    /// An unsigned integer and its bits.
    Unsigned([u8; 32], usize),
    /// A signed integer and its bits.
    Signed([u8; 32], usize),
    Id([u8; 32]),
    Address([u8; 20]),
    Bytes(Cow<'a, [u8]>),
    Text(Cow<'a, str>),
    Bool(bool),
    /// A list to go through: of an argument, or of a zip.
    Array(Field<'a>, usize),
    Texts(Vec<String>),
}

impl<'a> Source<'a> {
    /// What one log of so many bytes may cost.
    pub(crate) const fn allowance(bytes: usize) -> Cell<usize> {
        Cell::new(bytes.saturating_mul(WORK_PER_BYTE).saturating_add(WORK_LEAST))
    }

    /// Takes from what this log may cost.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), BuildError> {
        let left = self.work.get().checked_sub(bytes.saturating_add(32));
        self.work.set(left.ok_or_else(|| BuildError::Shape("the log costs more than its size allows".to_owned()))?);
        Ok(())
    }

    fn tx(&self) -> Result<&'a TxInfo, BuildError> {
        self.tx.ok_or_else(|| unfit("a log without a transaction", "a transaction"))
    }

    fn log(&self) -> Result<&'a VerifiedLog, BuildError> {
        self.log.ok_or_else(|| unfit("a transaction without a log", "a log"))
    }

    fn joined(&self) -> Result<Joined<'a>, BuildError> {
        self.joined.ok_or_else(|| unfit("no joined log", "one"))
    }

    const fn has(&self, root: Root) -> bool {
        match root {
            Root::Log => true,
            Root::Call => self.call.is_ok(),
            Root::Joined => self.joined.is_some(),
        }
    }

    /// The argument at a place, or nothing when a list there is shorter.
    pub(crate) fn reach(&self, place: &Place, at: &At) -> Result<Cow<'a, Arg<'a>>, BuildError> {
        let args = match place.root {
            Root::Log => self.args,
            Root::Call => self.call.map_err(|reason| BuildError::Shape(reason.to_owned()))?,
            Root::Joined => self.joined()?.args,
        };
        let root = args.get(place.index).ok_or_else(|| unfit("no argument", "an argument"))?;
        if place.steps.is_empty() {
            return Ok(Cow::Borrowed(root));
        }
        place.steps.iter().try_fold(Cow::Borrowed(root), |arg, step| {
            let index = match *step {
                Step::Part(index) => index,
                Step::Each(level) => at.indices.get(level).copied().unwrap_or_default(),
            };
            // Lists of a sample have one element, which stands for all.
            let index =
                if self.sample.is_some() && arg.length().is_some_and(|length| index >= length) { 0 } else { index };
            let part = match arg {
                Cow::Borrowed(Arg::Many(parts)) => parts.get(index).map(Cow::Borrowed),
                Cow::Borrowed(arg) => arg.part(index).map(Cow::Owned),
                Cow::Owned(arg) => arg.part(index).map(Cow::Owned),
            };
            part.ok_or_else(|| unfit("a shorter list", &format!("an element {index}")))
        })
    }

    /// Whether a condition holds.
    pub(crate) fn passes(&self, expr: &Expr, test: &Test, at: &At) -> Result<bool, BuildError> {
        let value = (Field { expr, source: self, at }).value()?;
        Ok(match test {
            Test::Is(constant) => value.is(constant),
            Test::OneOf(list) => match value {
                Value::Address(address) => list.contains(&Address::from(address)),
                _ => false,
            },
        })
    }
}

impl<'a> Field<'a> {
    pub(crate) fn value(self) -> Result<Value<'a>, BuildError> {
        self.source.charge(0)?;
        let of = |expr: &'a Expr| Field { expr, ..self };
        Ok(match self.expr {
            Expr::Nothing => Value::Nothing,
            Expr::Arg(place) => self.argument(place)?,
            Expr::Around(around) => self.around(*around)?,
            Expr::Const(constant) => Value::of(constant),
            Expr::Native(kind, namespace, key) => Value::Id(self.native(*kind, namespace.as_deref(), key)?.0),
            Expr::NoneIf(none, inner) => match of(inner).value()? {
                value if value.is(none) => Value::Nothing,
                value => value,
            },
            Expr::Or(one, other) => match of(one).value()? {
                Value::Nothing => of(other).value()?,
                value => value,
            },
            Expr::IfThere(root, one, other) => of(if self.source.has(*root) { one } else { other }).value()?,
            Expr::Zip(arrays, _) => Value::Array(self, self.source.zipped(arrays, self.at)?),
            Expr::List(structs) => Value::Array(self, structs.len()),
            Expr::Made(made, ty) => match self.source.sample {
                Some(fill) => Value::sample(ty, fill),
                None => self.made(made, ty)?,
            },
        })
    }

    /// The id of this kind with that native key.
    pub(super) fn native(self, kind: EntityKind, namespace: Option<&Expr>, key: &Expr) -> Result<B256, BuildError> {
        let namespace = match namespace {
            None => self.source.emitter,
            Some(expr) => Field { expr, ..self }.address()?,
        };
        let id = |key: &[u8]| entity_id(kind, self.source.chain_id, namespace, key);
        let key = Field { expr: key, ..self };
        if let Some(bytes) = key.plain()?.and_then(Arg::bytes) {
            return Ok(id(bytes));
        }
        let key = key.value()?;
        Ok(match key.word() {
            Some(word) => id(&word),
            None => id(&key.packed("a native key")?),
        })
    }

    /// The argument of the log that it is, where it is no more than that and no list: nothing need be computed for it.
    pub(super) fn plain(self) -> Result<Option<&'a Arg<'a>>, BuildError> {
        let Expr::Arg(Place { root: Root::Log, index, steps }) = self.expr else { return Ok(None) };
        if !steps.is_empty() || self.at.element.is_some() {
            return Ok(None);
        }
        let arg = self.source.args.get(*index).filter(|arg| !matches!(arg, Arg::Words(..) | Arg::Many(_)));
        if arg.is_some() {
            self.source.charge(0)?;
        }
        Ok(arg)
    }

    fn argument(self, place: &'a Place) -> Result<Value<'a>, BuildError> {
        let mut arg = self.source.reach(place, self.at)?;
        if let Some(index) = self.at.element {
            arg = Cow::Owned(arg.part(index).ok_or_else(|| unfit("a shorter list", "an element"))?);
        }
        if let Some(length) = arg.length() {
            return Ok(Value::Array(self, length));
        }
        Ok(Value::of_arg(&arg))
    }

    fn around(self, around: Around) -> Result<Value<'a>, BuildError> {
        let source = self.source;
        let number = |number: u64, bits| Value::Unsigned(U256::from(number).to_be_bytes(), bits);
        Ok(match around {
            Around::Emitter => Value::Address(source.log.map_or(source.emitter, |log| log.address).into_array()),
            Around::LogIndex => number(u64::from(source.log()?.log_index), 32),
            Around::LogData => Value::Bytes(Cow::Borrowed(&source.log()?.data)),
            Around::TxFrom => {
                let sender = source.tx()?.sender();
                Value::Address(
                    sender.ok_or_else(|| unfit("a transaction without a sender", "a signature"))?.into_array(),
                )
            }
            Around::TxTo => source.tx()?.to.map_or(Value::Nothing, |to| Value::Address(to.into_array())),
            Around::TxValue => Value::Unsigned(source.tx()?.value.to_be_bytes(), 256),
            Around::TxHash => Value::Id(source.tx()?.hash.0),
            Around::TxInput => Value::Bytes(Cow::Borrowed(&source.tx()?.input)),
            Around::BlockNumber => number(source.block.number, 64),
            Around::BlockTimestamp => number(source.block.timestamp, 64),
            Around::BlockHash => Value::Id(source.block.hash.0),
            Around::ChainId => number(source.chain_id, 64),
            Around::EachIndex => number(u64::try_from(self.at.ordinal).unwrap_or(u64::MAX), 32),
            Around::JoinedLogIndex => number(u64::from(source.joined()?.log.log_index), 32),
            Around::JoinedEmitter => Value::Address(source.joined()?.log.address.into_array()),
        })
    }

    fn made(self, made: &'a Made, ty: &Type) -> Result<Value<'a>, BuildError> {
        let of = |expr: &'a Expr| Field { expr, ..self };
        let packed = |parts: &'a [Expr]| {
            let mut out = Vec::new();
            for part in parts {
                let value = of(part).value()?;
                let bytes = value.packed("a value to pack")?;
                self.source.charge(bytes.len())?;
                out.extend_from_slice(&bytes);
            }
            Ok::<_, BuildError>(out)
        };
        Ok(match made {
            Made::Keccak(parts) => Value::Id(keccak256(packed(parts)?).0),
            Made::Concat(parts) => Value::Bytes(Cow::Owned(packed(parts)?)),
            Made::Slice(inner, at, length) => make::slice(of(inner).bytes()?, *at, *length, ty)?,
            Made::Cast(inner) => make::cast(of(inner).value()?, ty)?,
            Made::Scale(inner, power, floor) => make::scale(&of(inner).value()?, *power, *floor)?,
            Made::Abi(inner, shape, place) => {
                let bytes = of(inner).bytes()?;
                self.source.charge(bytes.len())?;
                make::abi(&bytes, shape, place)?
            }
            Made::Utf8(inner) => make::utf8(of(inner).value()?)?,
            Made::Json(inner, path) => match of(inner).value()? {
                Value::Nothing => Value::Nothing,
                value => {
                    let text = value.text()?;
                    self.source.charge(text.len())?;
                    make::json(&text, path, ty)?
                }
            },
            Made::Version(entity, number) => {
                let number =
                    u32::try_from(of(number).unsigned(32)?).map_err(|error| BuildError::Range(error.to_string()))?;
                Value::Id(version_id(of(entity).id()?, number).0)
            }
            Made::External(inner) => Value::Id(external_id(&of(inner).value()?.text()?).0.0),
            Made::Lookup(lookup, inner) => {
                let id = of(inner).id()?;
                match lookup {
                    Lookup::Owner => {
                        let owner = self.source.known.owner(id);
                        Value::Address(owner.ok_or_else(|| unknown("entity", id))?.into_array())
                    }
                    Lookup::LatestVersion => {
                        Value::Id(self.source.known.latest_version(id).ok_or_else(|| unknown("version of", id))?.0)
                    }
                }
            }
            Made::Codes(inner) => Value::Texts(make::codes(&of(inner).bytes()?)?),
            Made::State(read) => self.state(read)?,
        })
    }

    pub(super) fn address(self) -> Result<Address, BuildError> {
        match self.value()? {
            Value::Address(address) => Ok(address.into()),
            other => Err(unfit(other.what(), "an address")),
        }
    }

    fn id(self) -> Result<B256, BuildError> {
        let value = self.value()?;
        let bytes = value.packed("an id")?;
        B256::try_from(bytes.as_ref()).map_err(|_wrong| unfit(value.what(), "an id"))
    }

    fn bytes(self) -> Result<Cow<'a, [u8]>, BuildError> {
        match self.value()? {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Id(word) => Ok(Cow::Owned(word.to_vec())),
            other => Err(unfit(other.what(), "bytes")),
        }
    }
}

impl<'a> Source<'a> {
    /// The length that all lists of a zip have.
    pub(crate) fn zipped(&self, arrays: &[Place], at: &At) -> Result<usize, BuildError> {
        let mut first = None;
        for place in arrays {
            let length = self.reach(place, at)?.length().ok_or_else(|| unfit("no list", "a list"))?;
            match *first.get_or_insert(length) {
                first if first != length => {
                    let reason = format!("arrays of {first} and {length} elements: expected one length");
                    return Err(BuildError::Shape(reason));
                }
                _ => {}
            }
        }
        first.ok_or_else(|| unfit("a zip without arrays", "at least one array"))
    }
}

impl<'a> Value<'a> {
    fn of(constant: &'a Constant) -> Self {
        match constant {
            Constant::Text(text) => Value::Text(Cow::Borrowed(text)),
            Constant::Number(number) => Value::Unsigned(U256::from(*number).to_be_bytes(), 64),
            Constant::Bool(truth) => Value::Bool(*truth),
            Constant::Bytes(bytes) => match <[u8; 20]>::try_from(bytes.as_slice()) {
                Ok(address) => Value::Address(address),
                Err(_) => Value::Bytes(Cow::Borrowed(bytes)),
            },
        }
    }

    /// The value of an argument that is no list.
    pub(super) fn of_arg(arg: &Arg<'a>) -> Self {
        match arg {
            Arg::Word(word, Static::Uint(bits)) => Value::Unsigned(**word, *bits),
            Arg::Word(word, Static::Int(bits)) => Value::Signed(**word, *bits),
            Arg::Word(word, Static::Fixed(size)) => Value::Bytes(Cow::Borrowed(&word[..*size])),
            Arg::Word(word, Static::Address) => Value::Address(Address::from_word((*word).into()).into_array()),
            Arg::Word(word, Static::Bool) => Value::Bool(word[31] == 1),
            Arg::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Arg::Text(text) => Value::Text(Cow::Borrowed(text)),
            Arg::Words(..) | Arg::Many(_) => Value::Nothing,
        }
    }

    /// Any value of a type: what a computed value is while a rule is tried.
    fn sample(ty: &Type, fill: u8) -> Self {
        let mut word = [0; 32];
        word[31] = fill;
        match ty {
            Type::Word(Static::Uint(bits)) => Value::Unsigned(word, *bits),
            Type::Number => Value::Unsigned(word, 64),
            Type::Word(Static::Int(bits)) => Value::Signed(word, *bits),
            Type::Word(Static::Address) => Value::Address(Address::with_last_byte(fill).into_array()),
            Type::Word(Static::Bool) => Value::Bool(fill != 0),
            Type::Word(Static::Fixed(size)) => Value::Bytes(Cow::Owned(vec![fill; *size])),
            Type::Id => Value::Id(word),
            Type::Bytes => Value::Bytes(Cow::Owned(vec![fill])),
            Type::Text => Value::Text(Cow::Owned(fill.to_string())),
            Type::List => Value::Texts(vec![fill.to_string()]),
        }
    }

    fn is(&self, constant: &Constant) -> bool {
        match (self, constant) {
            (Self::Text(text), Constant::Text(other)) => text == other,
            (Self::Bool(truth), Constant::Bool(other)) => truth == other,
            (Self::Address(address), Constant::Bytes(bytes)) => bytes == address,
            (Self::Id(word), Constant::Bytes(bytes)) => bytes == word,
            (Self::Bytes(value), Constant::Bytes(bytes)) => bytes.as_slice() == value.as_ref(),
            (Self::Unsigned(word, _) | Self::Signed(word, _) | Self::Id(word), Constant::Number(number)) => {
                U256::from_be_bytes(*word) == U256::from(*number)
            }
            (Self::Bytes(bytes), Constant::Number(number)) => {
                bytes.len() == 32 && U256::from_be_slice(bytes) == U256::from(*number)
            }
            (Self::Address(address), Constant::Number(number)) => U256::from_be_slice(address) == U256::from(*number),
            _ => false,
        }
    }

    /// The whole word of an integer or id.
    pub(super) const fn word(&self) -> Option<[u8; 32]> {
        match self {
            Self::Unsigned(word, _) | Self::Signed(word, _) | Self::Id(word) => Some(*word),
            _ => None,
        }
    }

    /// Whether both are one value: integers of other widths are the same number, so words are compared where they are.
    pub(super) fn same(&self, other: &Value<'_>) -> Result<bool, BuildError> {
        Ok(match (self.word(), other.word()) {
            (Some(one), Some(other)) => one == other,
            _ => self.packed("a value to compare")? == other.packed("a value to compare")?,
        })
    }

    /// Its bytes as `abi.encodePacked` writes them.
    pub(super) fn packed(&self, expected: &str) -> Result<Cow<'_, [u8]>, BuildError> {
        Ok(match self {
            Self::Unsigned(word, bits) | Self::Signed(word, bits) => Cow::Borrowed(&word[32 - bits / 8..]),
            Self::Id(word) => Cow::Borrowed(word),
            Self::Address(address) => Cow::Borrowed(address),
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Text(text) => Cow::Borrowed(text.as_bytes()),
            Self::Bool(truth) => Cow::Owned(vec![u8::from(*truth)]),
            Self::Nothing | Self::Array(..) | Self::Texts(_) => return Err(unfit(self.what(), expected)),
        })
    }

    pub(super) fn text(self) -> Result<Cow<'a, str>, BuildError> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(unfit(other.what(), "text")),
        }
    }

    pub(super) const fn what(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Unsigned(..) => "an unsigned integer",
            Self::Signed(..) => "a signed integer",
            Self::Id(_) => "an id",
            Self::Address(_) => "an address",
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "text",
            Self::Bool(_) => "a truth value",
            Self::Array(..) | Self::Texts(_) => "a list",
        }
    }
}

/// A signed word.
pub(super) const fn signed(word: [u8; 32]) -> I256 {
    I256::from_raw(U256::from_be_bytes(word))
}

fn unknown(what: &str, id: B256) -> BuildError {
    BuildError::Unknown(format!("no {what} {id} at this position"))
}

pub(super) fn unfit(got: &str, expected: &str) -> BuildError {
    BuildError::Shape(format!("got {got}: expected {expected}"))
}

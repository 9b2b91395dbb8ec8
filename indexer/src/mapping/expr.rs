//! Where a field comes from, compiled.

use alloy_primitives::Address;
use std::collections::BTreeSet;
use std::sync::Arc;
use tributary_schemas::id::EntityKind;

use super::state::StateRead;
use super::types::Type;
use crate::decode::Shape;

/// Where a field comes from.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    /// Nowhere: NULL.
    Nothing,
    /// An argument, or a part of one.
    Arg(Place),
    /// What surrounds the log.
    Around(Around),
    /// Always this.
    Const(Constant),
    /// The id of a kind with this native key, in the namespace of the emitter or of another contract.
    Native(EntityKind, Option<Box<Self>>, Box<Self>),
    /// Nothing when the value is this, else the value.
    NoneIf(Constant, Box<Self>),
    /// The second where the first is nothing.
    Or(Box<Self>, Box<Self>),
    /// The first when the rule's join or call was found, else the second.
    IfThere(Root, Box<Self>, Box<Self>),
    /// One struct per element of parallel arrays: the arrays, and fields by name.
    Zip(Vec<Place>, Vec<(String, Self)>),
    /// As many structs as are written, each with fields by name.
    List(Vec<Vec<(String, Self)>>),
    /// Something made of other values; its type is known beforehand.
    Made(Box<Made>, Type),
}

/// Whose arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Root {
    /// The log's.
    Log,
    /// The call's that the log comes from.
    Call,
    /// Those of the log that the rule joins.
    Joined,
}

/// An argument, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Whose.
    pub(crate) root: Root,
    /// Which.
    pub(crate) index: usize,
    /// The way down into it.
    pub(crate) steps: Vec<Step>,
}

/// One step into an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The component or element of this index.
    Part(usize),
    /// The element that is being gone through, at this level of nesting.
    Each(usize),
}

/// What surrounds a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// The contract that emitted it.
    Emitter,
    /// Its index in the block.
    LogIndex,
    /// Its data.
    LogData,
    /// The sender of the transaction.
    TxFrom,
    /// Whom the transaction called.
    TxTo,
    /// The value of the transaction.
    TxValue,
    /// The hash of the transaction.
    TxHash,
    /// The calldata of the transaction.
    TxInput,
    /// The number of the block.
    BlockNumber,
    /// The time of the block, Unix seconds.
    BlockTimestamp,
    /// The hash of the block.
    BlockHash,
    /// The chain id.
    ChainId,
    /// The ordinal of the element that is being gone through.
    EachIndex,
    /// The index in the block of the log that was joined.
    JoinedLogIndex,
    /// The contract that emitted the log that was joined.
    JoinedEmitter,
}

/// A fixed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Constant {
    /// Text, or a word of a closed set.
    Text(String),
    /// A number.
    Number(u64),
    /// A truth value.
    Bool(bool),
    /// 20 or 32 bytes, written as 0x hex.
    Bytes(Vec<u8>),
}

/// Something made of other values.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    /// keccak256 of the packed values.
    Keccak(Vec<Expr>),
    /// The packed values, one after the other.
    Concat(Vec<Expr>),
    /// Bytes from a place, counted from the end when negative; to the end without a length.
    Slice(Expr, i64, Option<usize>),
    /// The same value as another type.
    Cast(Expr),
    /// Times ten to this power; below zero the division must come out even unless it may be rounded down.
    Scale(Expr, i32, bool),
    /// A part of what abi.encode wrote.
    Abi(Expr, Arc<Shape>, Place),
    /// Bytes read as text.
    Utf8(Expr),
    /// A value inside a JSON text, by keys and indices.
    Json(Expr, Vec<String>),
    /// The id of a version of an entity.
    Version(Expr, Expr),
    /// The id of something outside the chain.
    External(Expr),
    /// What is known of an entity.
    Lookup(Lookup, Expr),
    /// The codes of an ERC-8021 suffix.
    Codes(Expr),
    /// What a contract answers at the end of the block.
    State(StateRead),
}

/// What can be asked of an entity that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Who owns it.
    Owner,
    /// The id of its last version.
    LatestVersion,
}

/// A condition on a log.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// Equal to this.
    Is(Constant),
    /// One of these contracts.
    OneOf(BTreeSet<Address>),
}

impl Expr {
    /// Whether it holds for `found` in this expression or any below it.
    pub(crate) fn any(&self, found: &mut dyn FnMut(&Self) -> bool) -> bool {
        found(self)
            || match self {
                Self::Nothing | Self::Arg(_) | Self::Around(_) | Self::Const(_) => false,
                Self::Native(_, namespace, key) => {
                    namespace.as_ref().is_some_and(|inner| inner.any(found)) || key.any(found)
                }
                Self::NoneIf(_, inner) => inner.any(found),
                Self::Or(one, other) | Self::IfThere(_, one, other) => one.any(found) || other.any(found),
                Self::Zip(_, fields) => fields.iter().any(|(_, inner)| inner.any(found)),
                Self::List(structs) => structs.iter().flatten().any(|(_, inner)| inner.any(found)),
                Self::Made(made, _) => made.operands().iter().any(|inner| inner.any(found)),
            }
    }

    /// Whether it asks about entities, so that it is read after the registrations of its transaction.
    pub(crate) fn looks_up(&self) -> bool {
        self.any(&mut |expr| matches!(expr, Self::Made(made, _) if matches!(**made, Made::Lookup(..))))
    }
}

impl Made {
    /// The values it is made of.
    pub(crate) fn operands(&self) -> Vec<&Expr> {
        match self {
            Self::Keccak(parts) | Self::Concat(parts) => parts.iter().collect(),
            Self::Version(one, other) => vec![one, other],
            Self::State(read) => read.operands(),
            Self::Slice(of, ..)
            | Self::Cast(of)
            | Self::Scale(of, ..)
            | Self::Abi(of, ..)
            | Self::Utf8(of)
            | Self::Json(of, _)
            | Self::External(of)
            | Self::Lookup(_, of)
            | Self::Codes(of) => vec![of],
        }
    }
}

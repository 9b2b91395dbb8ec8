//! Where a field comes from.

use alloy_primitives::{B256, U256};
use tributary_schemas::id::EntityKind;

use super::text::position;

/// Where a field comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    /// Nowhere: NULL.
    Nothing,
    /// An argument of the event, by its index.
    Arg(usize),
    /// The contract that emitted the log.
    Emitter,
    /// The sender of the transaction.
    TxFrom,
    /// The value of the transaction.
    TxValue,
    /// The hash of the transaction.
    TxHash,
    /// Always this.
    Const(Constant),
    /// The id of a kind with this native key in the emitter's namespace.
    Native(EntityKind, Box<Self>),
    /// Nothing when the argument equals this word, else the argument.
    NoneIf(B256, Box<Self>),
    /// One struct per element of parallel arrays: fields by name.
    Zip(Vec<(String, Self)>),
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

impl Expr {
    /// Reads an expression; `names` are the arguments of the event.
    pub(super) fn parse(value: &toml::Value, names: &[&str]) -> Result<Self, String> {
        let table = match value {
            toml::Value::String(name) => return position(names, name).map(Self::Arg),
            toml::Value::Table(table) => table,
            other => return Err(format!("{other} is no expression: expected the name of an argument or a table")),
        };
        let keys: Vec<&str> = table.keys().map(String::as_str).collect();
        match keys.as_slice() {
            ["arg"] => Self::parse(&table["arg"], names),
            ["arg", "none_if"] => {
                Ok(Self::NoneIf(word(&table["none_if"])?, Box::new(Self::parse(&table["arg"], names)?)))
            }
            ["key", "native"] => {
                let kind = text(&table["native"])?.parse::<EntityKind>().map_err(|error| error.to_string())?;
                Ok(Self::Native(kind, Box::new(Self::parse(&table["key"], names)?)))
            }
            ["from"] => match text(&table["from"])? {
                "emitter" => Ok(Self::Emitter),
                "tx.from" => Ok(Self::TxFrom),
                "tx.value" => Ok(Self::TxValue),
                "tx.hash" => Ok(Self::TxHash),
                other => Err(format!("from {other:?}: expected emitter, tx.from, tx.value or tx.hash")),
            },
            ["const"] => constant(&table["const"]).map(Self::Const),
            ["zip"] => {
                let fields = table["zip"].as_table().ok_or_else(|| "zip: expected a table of fields".to_owned())?;
                let fields = fields.iter().map(|(name, value)| Ok((name.clone(), Self::parse(value, names)?)));
                fields.collect::<Result<Vec<_>, String>>().map(Self::Zip)
            }
            other => Err(format!(
                "keys {}: expected arg, arg with none_if, native with key, from, const or zip",
                other.join(", ")
            )),
        }
    }

    /// Arguments it reads.
    pub(crate) fn arguments(&self, out: &mut Vec<usize>) {
        match self {
            Self::Arg(index) => out.push(*index),
            Self::Native(_, inner) | Self::NoneIf(_, inner) => inner.arguments(out),
            Self::Zip(fields) => fields.iter().for_each(|(_, inner)| inner.arguments(out)),
            Self::Nothing | Self::Emitter | Self::TxFrom | Self::TxValue | Self::TxHash | Self::Const(_) => {}
        }
    }
}

fn text(value: &toml::Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value}: expected text"))
}

fn word(value: &toml::Value) -> Result<B256, String> {
    value
        .as_integer()
        .and_then(|number| u64::try_from(number).ok())
        .map(|number| B256::from(U256::from(number)))
        .ok_or_else(|| format!("{value}: expected a number from zero"))
}

fn constant(value: &toml::Value) -> Result<Constant, String> {
    match value {
        toml::Value::Boolean(truth) => Ok(Constant::Bool(*truth)),
        toml::Value::Integer(number) => {
            u64::try_from(*number).map(Constant::Number).map_err(|error| format!("const {number}: {error}"))
        }
        toml::Value::String(text) => match text.strip_prefix("0x") {
            Some(hex) => alloy_primitives::hex::decode(hex).map(Constant::Bytes).map_err(|error| error.to_string()),
            None => Ok(Constant::Text(text.clone())),
        },
        other => Err(format!("const {other}: expected text, a number from zero or a truth value")),
    }
}

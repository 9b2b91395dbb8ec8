//! Expressions as they are written, read against the arguments that are there.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use toml::{Table, Value};
use tributary_schemas::id::EntityKind;

use super::expr::{Around, Constant, Expr, Lookup, Made, Place, Root, Step};
use super::signature::parameters;
use super::types::Type;
use super::word::unknown;
use super::{Contracts, operator};
use crate::decode::{Kind, Shape, Static};

/// Deepest nesting of expressions.
const DEPTH_MAX: usize = 16;
/// Most expressions of one rule.
const NODES_MAX: usize = 512;
/// Levels of lists that are gone through at once, a zip included.
pub(crate) const LEVELS_MAX: usize = 4;

/// What an expression may name.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) log: Option<&'a Shape>,
    pub(crate) call: Option<&'a Shape>,
    pub(crate) joined: Option<&'a Shape>,
    /// Names of arguments that other generations of the event have.
    pub(crate) elsewhere: BTreeSet<String>,
    /// The lists that the rule goes through, and how many levels deep.
    pub(crate) each: Vec<Place>,
    pub(crate) levels: usize,
    /// Whether `joined.` may be named: the join must find something, or this is behind `if_joined`.
    pub(crate) joined_is_there: bool,
    /// Whether `call.` may be named, likewise.
    pub(crate) call_is_there: bool,
    pub(crate) contracts: Option<&'a Contracts>,
    nodes: Rc<Cell<usize>>,
    depth: usize,
    zip: bool,
}

/// Why an expression cannot be read.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// Only because this generation of the event lacks an argument that another has.
    pub(crate) absent: bool,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, absent: false }
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

pub(super) type Read<T> = Result<T, Refusal>;
pub(super) type Typed = (Expr, Type);

impl<'a> Scope<'a> {
    /// The arguments of an event, the names that other generations of it have, and the contracts by role.
    pub(crate) fn of(log: &'a Shape, elsewhere: BTreeSet<String>, contracts: &'a Contracts) -> Self {
        Self { log: Some(log), elsewhere, contracts: Some(contracts), ..Self::default() }
    }

    /// Arguments alone.
    pub(super) fn over(shape: &'a Shape) -> Self {
        Self { log: Some(shape), ..Self::default() }
    }

    /// Reads an expression; its type.
    pub(crate) fn read(&self, value: &Value) -> Read<Typed> {
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > NODES_MAX || self.depth > DEPTH_MAX {
            return Err(format!("expected at most {NODES_MAX} expressions, {DEPTH_MAX} deep").into());
        }
        let table = match value {
            Value::String(name) => return self.argument(name),
            Value::Table(table) => table,
            other => {
                return Err(format!("{other} is no expression: expected the name of an argument or a table").into());
            }
        };
        let operator = operator::of(table)?;
        let inner = self.below();
        let (mut expr, ty) = inner.operation(operator, table)?;
        if let Some(none) = table.get("none_if") {
            expr = Expr::NoneIf(constant(none)?, Box::new(expr));
        }
        if let Some(other) = table.get("or") {
            let (other, other_ty) = inner.read(other)?;
            same(&ty, &other_ty)?;
            expr = Expr::Or(Box::new(expr), Box::new(other));
        }
        Ok((expr, ty))
    }

    fn below(&self) -> Self {
        Self {
            elsewhere: self.elsewhere.clone(),
            each: self.each.clone(),
            nodes: Rc::clone(&self.nodes),
            depth: self.depth + 1,
            ..*self
        }
    }

    fn operation(&self, operator: &str, table: &Table) -> Read<Typed> {
        let value = &table[operator];
        match operator {
            "arg" => self.read(value),
            "from" => Ok(around(text(value)?)?),
            "const" => {
                let constant = constant(value)?;
                let ty = match &constant {
                    Constant::Text(_) => Type::Text,
                    Constant::Number(_) => Type::Number,
                    Constant::Bool(_) => Type::Word(Static::Bool),
                    Constant::Bytes(bytes) if bytes.len() == 20 => Type::Word(Static::Address),
                    Constant::Bytes(bytes) if bytes.len() == 32 => Type::Id,
                    Constant::Bytes(_) => Type::Bytes,
                };
                Ok((Expr::Const(constant), ty))
            }
            "role" => Ok((Expr::Const(Constant::Bytes(self.role(text(value)?)?)), Type::Word(Static::Address))),
            "native" => self.native(table),
            "zip" => self.zipped(value),
            "list" => self.list(value),
            "first" => self.first(value),
            "if_joined" | "if_called" => self.if_there(operator, table),
            "keccak" => Ok((made(Made::Keccak(self.packed(value)?), &Type::Id), Type::Id)),
            "concat" => Ok((made(Made::Concat(self.packed(value)?), &Type::Bytes), Type::Bytes)),
            "slice" => self.slice(table),
            "cast" => {
                let ty = Type::parse(text(value)?)?;
                let (of, from) = self.operand(table)?;
                wants(from.casts_to(&ty), &from, &format!("something that can be {ty}"))?;
                Ok((made(Made::Cast(of), &ty), ty))
            }
            "scale" => self.scale(table),
            "abi" => self.abi(table),
            "utf8" => {
                let (of, from) = self.read(value)?;
                wants(from.is_bytes(), &from, "bytes")?;
                Ok((made(Made::Utf8(of), &Type::Text), Type::Text))
            }
            "json" => self.json(table),
            "version_of" => {
                let (of, from) = self.read(value)?;
                wants(from.is_id(), &from, "an id")?;
                let (number, number_ty) = self.read(required(table, "number")?)?;
                wants(number_ty.is_integer(), &number_ty, "a version number")?;
                Ok((made(Made::Version(of, number), &Type::Id), Type::Id))
            }
            "external" => {
                let (of, from) = self.read(value)?;
                wants(from == Type::Text, &from, "text")?;
                Ok((made(Made::External(of), &Type::Id), Type::Id))
            }
            "owner" => self.lookup(Lookup::Owner, value, Type::Word(Static::Address)),
            "latest_version" => self.lookup(Lookup::LatestVersion, value, Type::Id),
            "erc8021" => {
                let (of, from) = self.read(value)?;
                wants(from == Type::Bytes, &from, "bytes")?;
                Ok((made(Made::Codes(of), &Type::List), Type::List))
            }
            _ => self.state(table),
        }
    }

    /// An argument by its name, or a part of one by a path.
    fn argument(&self, path: &str) -> Read<Typed> {
        let (place, kind) = self.place(path)?;
        Ok((Expr::Arg(place), Type::of(&kind)))
    }

    /// The place that a path names: `name`, `call.name` or `joined.name`, then `.component`, `[INDEX]` or `[]`.
    pub(crate) fn place(&self, path: &str) -> Read<(Place, Kind)> {
        let (root, shape, rest) = match path.split_once('.') {
            Some(("call", rest)) if self.call.is_some() => {
                if !self.call_is_there {
                    return Err(format!("{path:?}: the call may be hidden: expected it behind if_called").into());
                }
                (Root::Call, self.call, rest)
            }
            Some(("joined", rest)) if self.joined.is_some() => {
                if !self.joined_is_there {
                    return Err(format!("{path:?}: the join may find nothing: expected it behind if_joined").into());
                }
                (Root::Joined, self.joined, rest)
            }
            _ => (Root::Log, self.log, path),
        };
        let (name, mut rest) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        let found = shape.and_then(|shape| shape.argument(name));
        let Some((index, mut kind)) = found else {
            let names = shape.into_iter().flat_map(Shape::names);
            let absent = self.elsewhere.contains(name);
            return Err(Refusal { reason: unknown("no argument", name, names), absent });
        };
        let mut place = Place { root, index, steps: Vec::new() };
        let mut level = 0;
        while !rest.is_empty() {
            let (step, after) = rest[1..].split_at(rest[1..].find(['.', '[']).unwrap_or(rest.len() - 1));
            let (step, next) =
                down(&kind, &rest[..1], step, &mut level).map_err(|reason| format!("{path:?}: {reason}"))?;
            place.steps.push(step);
            (kind, rest) = (next, after);
        }
        let most = self.levels + usize::from(self.zip);
        if level > most {
            return Err(format!("{path:?} goes through {level} lists: the rule goes through {most}").into());
        }
        // A list that is gone through stands for its element.
        if let Kind::List(element) = &kind
            && (self.zip || self.each.contains(&place))
        {
            place.steps.push(Step::Each(if self.zip { self.levels } else { level }));
            kind = (**element).clone();
        }
        Ok((place, kind))
    }

    /// The values that are packed: one, or several.
    fn packed(&self, value: &Value) -> Read<Vec<Expr>> {
        let parts = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        let read = parts.iter().map(|part| {
            let (expr, ty) = self.read(part)?;
            wants(ty.packs(), &ty, "a value of one width: give a number one with cast")?;
            Ok(expr)
        });
        read.collect()
    }

    fn role(&self, role: &str) -> Result<Vec<u8>, String> {
        let contracts = self.contracts.ok_or("no roles are known here")?;
        let list = contracts.get(role);
        let list = list.ok_or_else(|| unknown("no role", role, contracts.keys().map(String::as_str)))?;
        match (list.len(), list.first()) {
            (1, Some(address)) => Ok(address.to_vec()),
            // Nothing is heard from a role that nobody has.
            (0, _) => Ok(vec![0; 20]),
            (count, _) => Err(format!("role {role} has {count} contracts: expected one")),
        }
    }

    fn native(&self, table: &Table) -> Read<Typed> {
        let word = text(&table["native"])?;
        let kind = word
            .parse::<EntityKind>()
            .map_err(|_unknown| unknown("no kind of entity", word, EntityKind::ALL.map(EntityKind::as_str)))?;
        let (key, ty) = self.read(required(table, "key")?)?;
        wants(ty.packs() && ty != Type::Word(Static::Bool), &ty, "a native key")?;
        let namespace = match table.get("namespace") {
            None => None,
            Some(value) => {
                let (namespace, ty) = self.read(value)?;
                wants(ty == Type::Word(Static::Address), &ty, "an address")?;
                Some(Box::new(namespace))
            }
        };
        Ok((Expr::Native(kind, namespace, Box::new(key)), Type::Id))
    }

    fn zipped(&self, value: &Value) -> Read<Typed> {
        let scope = Scope { zip: true, ..self.below() };
        let mut arrays = BTreeSet::new();
        let fields = scope.fields("zip", value)?;
        for (_, expr) in &fields {
            expr.any(&mut |expr| {
                if let Expr::Arg(place) = expr
                    && let Some(end) = place.steps.iter().position(|step| *step == Step::Each(self.levels))
                {
                    arrays.insert(Place { steps: place.steps[..end].to_vec(), ..place.clone() });
                }
                false
            });
        }
        if arrays.is_empty() {
            return Err("a zip without arrays: expected at least one".into());
        }
        Ok((Expr::Zip(arrays.into_iter().collect(), fields), Type::List))
    }

    /// The fields of a struct.
    fn fields(&self, operator: &str, value: &Value) -> Read<Vec<(String, Expr)>> {
        let table = value.as_table().ok_or_else(|| format!("{operator}: expected a table of fields"))?;
        table.iter().map(|(name, value)| Ok((name.clone(), self.read(value)?.0))).collect()
    }

    fn list(&self, value: &Value) -> Read<Typed> {
        let structs = value.as_array().ok_or("list: expected a list of tables of fields")?;
        let scope = self.below();
        let read = structs.iter().map(|one| scope.fields("list", one));
        Ok((Expr::List(read.collect::<Read<_>>()?), Type::List))
    }

    /// The first of several that this generation of the event has.
    fn first(&self, value: &Value) -> Read<Typed> {
        let list = value.as_array().ok_or("first: expected a list of expressions")?;
        let mut absent = None;
        for one in list {
            match self.read(one) {
                Err(refusal) if refusal.absent => absent = Some(refusal),
                other => return other,
            }
        }
        Err(absent.unwrap_or_else(|| "first: expected at least one expression".into()))
    }

    fn if_there(&self, operator: &str, table: &Table) -> Read<Typed> {
        let (root, inner) = match operator {
            "if_called" if self.call.is_none() => return Err("if_called: the rule has no call".into()),
            "if_called" => (Root::Call, Scope { call_is_there: true, ..self.below() }),
            _ if self.joined.is_none() => return Err("if_joined: the rule has no join".into()),
            _ => (Root::Joined, Scope { joined_is_there: true, ..self.below() }),
        };
        let (found, ty) = inner.read(&table[operator])?;
        let other = match table.get("else") {
            None => Expr::Nothing,
            Some(value) => {
                let (other, other_ty) = self.read(value)?;
                same(&ty, &other_ty)?;
                other
            }
        };
        Ok((Expr::IfThere(root, Box::new(found), Box::new(other)), ty))
    }

    fn operand(&self, table: &Table) -> Read<Typed> {
        self.read(required(table, "of")?)
    }

    fn slice(&self, table: &Table) -> Read<Typed> {
        let (of, from) = self.read(&table["slice"])?;
        wants(from.is_bytes(), &from, "bytes")?;
        let at = table.get("at").map_or(Ok(0), |at| at.as_integer().ok_or("at: expected an integer"))?;
        let length = match table.get("length") {
            None => None,
            Some(length) => Some(
                length
                    .as_integer()
                    .and_then(|length| usize::try_from(length).ok())
                    .ok_or("length: expected an integer from zero")?,
            ),
        };
        let ty = match length {
            Some(20) => Type::Word(Static::Address),
            Some(length @ 1..=32) => Type::Word(Static::Fixed(length)),
            _ => Type::Bytes,
        };
        Ok((made(Made::Slice(of, at, length), &ty), ty))
    }

    fn scale(&self, table: &Table) -> Read<Typed> {
        let power = table["scale"].as_integer().and_then(|power| i32::try_from(power).ok());
        let power =
            power.filter(|power| (-77..=77).contains(power)).ok_or("scale: expected a power of ten, -77 to 77")?;
        let floor = match table.get("round").map(text).transpose()? {
            None => false,
            Some("down") => true,
            Some(other) => return Err(format!("round {other:?}: expected \"down\"").into()),
        };
        let (of, from) = self.operand(table)?;
        let ty = match from {
            Type::Word(Static::Uint(_)) => Type::Word(Static::Uint(256)),
            Type::Word(Static::Int(_)) => Type::Word(Static::Int(256)),
            other => return Err(wants(false, &other, "an integer of the ABI").err().unwrap_or_else(|| "".into())),
        };
        Ok((made(Made::Scale(of, power, floor), &ty), ty))
    }

    fn abi(&self, table: &Table) -> Read<Typed> {
        let params = parameters(text(&table["abi"])?)?;
        let shape = Shape::tuple(&params)?;
        let (of, from) = self.operand(table)?;
        wants(from == Type::Bytes, &from, "bytes")?;
        let (place, kind) = Scope::over(&shape).place(text(required(table, "take")?)?)?;
        let ty = Type::of(&kind);
        wants(ty != Type::List, &ty, "a single value")?;
        Ok((made(Made::Abi(of, Arc::new(shape), place), &ty), ty))
    }

    fn json(&self, table: &Table) -> Read<Typed> {
        let (of, from) = self.read(&table["json"])?;
        wants(from == Type::Text, &from, "text")?;
        let ty = table.get("as").map_or(Ok(Type::Text), |name| Type::parse(text(name)?))?;
        wants(ty != Type::Bytes, &ty, "text or a type of one word")?;
        let path = text(required(table, "path")?)?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) || path.len() > DEPTH_MAX {
            return Err(format!("path: expected 1 to {DEPTH_MAX} keys or indices with dots between").into());
        }
        Ok((made(Made::Json(of, path), &ty), ty))
    }

    fn lookup(&self, lookup: Lookup, value: &Value, ty: Type) -> Read<Typed> {
        let (of, from) = self.read(value)?;
        wants(from.is_id(), &from, "the id of an entity")?;
        Ok((made(Made::Lookup(lookup, of), &ty), ty))
    }
}

/// One step of a path.
fn down(kind: &Kind, mark: &str, step: &str, level: &mut usize) -> Result<(Step, Kind), String> {
    match (mark, kind) {
        (".", Kind::Tuple(parts)) => {
            let index = parts.iter().position(|(name, _)| name == step);
            let index =
                index.ok_or_else(|| unknown("no component", step, parts.iter().map(|(name, _)| name.as_str())))?;
            Ok((Step::Part(index), parts[index].1.clone()))
        }
        ("[", Kind::List(element)) if step == "]" => {
            *level += 1;
            Ok((Step::Each(*level - 1), (**element).clone()))
        }
        ("[", Kind::List(element) | Kind::Fixed(element, _)) => {
            let index = step.strip_suffix(']').and_then(|digits| digits.parse::<usize>().ok());
            let index = index.ok_or_else(|| format!("[{step}: expected an index, or nothing, and ]"))?;
            if matches!(kind, Kind::Fixed(_, count) if index >= *count) {
                return Err(format!("index {index} of {kind}"));
            }
            Ok((Step::Part(index), (**element).clone()))
        }
        _ => Err(format!("{mark}{step} of {kind}: expected .component of a tuple, [INDEX] or [] of a list")),
    }
}

pub(super) fn made(made: Made, ty: &Type) -> Expr {
    Expr::Made(Box::new(made), ty.clone())
}

pub(super) fn wants(held: bool, got: &Type, expected: &str) -> Read<()> {
    if held { Ok(()) } else { Err(format!("got {got}: expected {expected}").into()) }
}

fn same(one: &Type, other: &Type) -> Read<()> {
    let alike = one == other || (one.is_integer() && other.is_integer()) || (one.is_id() && other.is_id());
    wants(alike, other, &format!("{one}, as the value it stands in for"))
}

fn around(word: &str) -> Result<Typed, String> {
    let uint = |bits| Type::Word(Static::Uint(bits));
    let known = [
        ("emitter", Around::Emitter, Type::Word(Static::Address)),
        ("log.index", Around::LogIndex, uint(32)),
        ("log.data", Around::LogData, Type::Bytes),
        ("tx.from", Around::TxFrom, Type::Word(Static::Address)),
        ("tx.to", Around::TxTo, Type::Word(Static::Address)),
        ("tx.value", Around::TxValue, uint(256)),
        ("tx.hash", Around::TxHash, Type::Id),
        ("tx.input", Around::TxInput, Type::Bytes),
        ("block.number", Around::BlockNumber, uint(64)),
        ("block.timestamp", Around::BlockTimestamp, uint(64)),
        ("block.hash", Around::BlockHash, Type::Id),
        ("chain.id", Around::ChainId, uint(64)),
        ("each.index", Around::EachIndex, uint(32)),
        ("joined.log_index", Around::JoinedLogIndex, uint(32)),
        ("joined.emitter", Around::JoinedEmitter, Type::Word(Static::Address)),
    ];
    let found = known.iter().find(|(name, ..)| *name == word);
    found
        .map(|(_, around, ty)| (Expr::Around(*around), ty.clone()))
        .ok_or_else(|| unknown("from", word, known.iter().map(|(name, ..)| *name)))
}

pub(crate) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value}: expected text"))
}

pub(super) fn required<'t>(table: &'t Table, key: &str) -> Result<&'t Value, String> {
    table.get(key).ok_or_else(|| format!("expected {key} beside it"))
}

/// A fixed value: text, 0x hex, a number from zero or a truth value.
pub(crate) fn constant(value: &Value) -> Result<Constant, String> {
    match value {
        Value::Boolean(truth) => Ok(Constant::Bool(*truth)),
        Value::Integer(number) => {
            u64::try_from(*number).map(Constant::Number).map_err(|error| format!("const {number}: {error}"))
        }
        Value::String(text) => match text.strip_prefix("0x") {
            Some(hex) => alloy_primitives::hex::decode(hex).map(Constant::Bytes).map_err(|error| error.to_string()),
            None => Ok(Constant::Text(text.clone())),
        },
        other => Err(format!("const {other}: expected text, a number from zero or a truth value")),
    }
}

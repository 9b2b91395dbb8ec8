//! State reads: a function of a contract, what it is asked with, and what is taken of its answer.

use alloy_primitives::Selector;
use toml::Table;

use super::parse::{Read, Scope, Typed, made, required, text, wants};
use super::types::Type;
use super::{Expr, Made, Place, Root, signature};
use crate::decode::{Kind, Shape, Static};
use crate::reads::DEPTH_MAX;

/// A function that is asked at the end of the block.
#[derive(Debug, Clone)]
pub(crate) struct StateRead {
    /// Its name and parameters, for a person.
    pub(crate) signature: String,
    pub(crate) selector: Selector,
    /// The contract.
    pub(crate) of: Expr,
    /// What it is asked with, and as what.
    pub(crate) with: Vec<(Kind, Expr)>,
    /// What it returns.
    pub(crate) returns: Shape,
    /// What is taken of that.
    pub(crate) take: Place,
    /// Whether a revert, or no such answer, is nothing instead of a refusal of the log.
    pub(crate) may_revert: bool,
}

impl Scope<'_> {
    /// `{ state = "f(T a) returns (U b)", of = EXPR, with = [EXPR, …], take = "b", on_revert = "nothing" }`
    pub(super) fn state(&self, table: &Table) -> Read<Typed> {
        let written = text(required(table, "state")?)?;
        let (selector, params, returns) = function(written)?;
        let (of, from) = self.read(required(table, "of")?)?;
        wants(from == Type::Word(Static::Address), &from, "the address of a contract")?;
        let given = table.get("with").map_or(Ok(&[][..]), |list| {
            list.as_array().map(Vec::as_slice).ok_or_else(|| format!("with {list}: expected a list of expressions"))
        })?;
        if given.len() != params.len() {
            return Err(format!("with: {} values: expected {}, as {written} takes", given.len(), params.len()).into());
        }
        let mut with = Vec::new();
        for (kind, value) in params.into_iter().zip(given) {
            let (expr, from) = self.read(value)?;
            wants(takes(&kind, &from), &from, &format!("{kind}, as {written} takes"))?;
            with.push((kind, expr));
        }
        let (take, ty) = taken(&returns, table.get("take").map(text).transpose()?)?;
        let may_revert = match table.get("on_revert").map(text).transpose()? {
            None => false,
            Some("nothing") => true,
            Some(other) => return Err(format!("on_revert {other:?}: expected \"nothing\"").into()),
        };
        let signature = written.to_owned();
        let read = StateRead { signature, selector, of, with, returns, take, may_revert };
        if read.operands().into_iter().any(|operand| operand.state_depth() >= DEPTH_MAX) {
            return Err(format!("state: expected at most {DEPTH_MAX} reads inside each other").into());
        }
        Ok((made(Made::State(read), &ty), ty))
    }
}

impl StateRead {
    /// The values it is made of.
    pub(crate) fn operands(&self) -> Vec<&Expr> {
        std::iter::once(&self.of).chain(self.with.iter().map(|(_, expr)| expr)).collect()
    }
}

impl Expr {
    /// Whether it asks the state of a contract.
    pub(crate) fn reads_state(&self) -> bool {
        self.any(&mut |expr| matches!(expr, Self::Made(made, _) if matches!(**made, Made::State(_))))
    }

    /// How many state reads stand inside each other in it.
    fn state_depth(&self) -> usize {
        let mut deepest = 0;
        self.any(&mut |expr| {
            if let Self::Made(made, _) = expr
                && let Made::State(read) = &**made
            {
                let below = read.operands().into_iter().map(Self::state_depth).max().unwrap_or_default();
                deepest = std::cmp::max(deepest, below.saturating_add(1));
            }
            false
        });
        deepest
    }
}

/// The selector of a function, its parameters, and what it returns.
fn function(written: &str) -> Result<(Selector, Vec<Kind>, Shape), String> {
    let expected = || format!("state {written:?}: expected NAME(ARGUMENTS) returns (RESULTS)");
    let (call, returns) = written.split_once(" returns").ok_or_else(expected)?;
    let call = call.rsplit_once(')').filter(|(_, words)| words.split_whitespace().all(is_modifier));
    let (call, _) = call.ok_or_else(expected)?;
    let returns = returns.trim().trim_end_matches(';').strip_prefix('(').and_then(|list| list.strip_suffix(')'));
    let (selector, params) = signature::function(&format!("{call})"))?;
    let returns = Shape::tuple(&signature::parameters(returns.ok_or_else(expected)?)?)?;
    let kinds = params.iter().map(|param| {
        let kind = Kind::parse(&param.ty, &param.components, 0)?;
        match kind {
            Kind::Static(_) | Kind::Bytes | Kind::Text => Ok(kind),
            _ => Err(format!("state {written:?}: parameter {kind}: expected no list and no tuple")),
        }
    });
    Ok((selector, kinds.collect::<Result<_, String>>()?, returns))
}

fn is_modifier(word: &str) -> bool {
    matches!(word, "external" | "public" | "view" | "pure")
}

/// Whether a value can stand for a parameter.
fn takes(kind: &Kind, from: &Type) -> bool {
    match kind {
        Kind::Static(word) => {
            let to = Type::Word(*word);
            *from == to || from.casts_to(&to)
        }
        Kind::Bytes => from.is_bytes(),
        Kind::Text => *from == Type::Text,
        Kind::List(_) | Kind::Fixed(..) | Kind::Tuple(_) => false,
    }
}

/// What is taken of the results: one by its path, or the only one there is.
fn taken(returns: &Shape, path: Option<&str>) -> Read<(Place, Type)> {
    let kinds = returns.kinds();
    let (place, kind) = match (path, kinds.as_slice()) {
        (Some(path), _) => Scope::over(returns).place(path)?,
        (None, [only]) => (Place { root: Root::Log, index: 0, steps: Vec::new() }, (*only).clone()),
        (None, all) => return Err(format!("take: expected the name of one of {} results", all.len()).into()),
    };
    let ty = Type::of(&kind);
    wants(ty != Type::List, &ty, "a single value: take one with a path")?;
    Ok((place, ty))
}

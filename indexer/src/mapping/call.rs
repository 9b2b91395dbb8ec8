//! The call that a log comes from: functions by their signatures, and what a log takes from their arguments.

use alloy_primitives::Selector;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::parse::Scope;
use super::problem::Fault;
use super::{Contracts, Expr, Place, signature};
use crate::decode::{Kind, Shape};

/// The calls of a rule as they are written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallText {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    on: BTreeMap<String, toml::Value>,
    function: Vec<FunctionText>,
}

/// A function as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FunctionText {
    signature: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    each: Vec<String>,
    values: BTreeMap<String, String>,
}

/// The calls that a rule's log may come from.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Whether the rule does without it.
    pub(crate) optional: bool,
    pub(crate) functions: Vec<Function>,
    /// What every function gives for each log, by name.
    pub(crate) values: Shape,
    /// The log's arguments, and what the call must say of them.
    pub(crate) on: Vec<(Place, Expr)>,
}

/// A function that a log may come from.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) selector: Selector,
    pub(crate) shape: Shape,
    /// The list whose every element emits a log; without one a call emits one.
    pub(crate) each: Option<Place>,
    pub(crate) levels: usize,
    /// Where each value stands, in the order of the values.
    pub(crate) values: Vec<Place>,
}

impl CallText {
    /// The functions, and the values that all of them give.
    pub(super) fn functions(&self, contracts: &Contracts) -> Result<(Vec<Function>, Shape), Fault> {
        let wrong = |reason: String| Fault::at(&["call", "function"], reason);
        let mut given: Option<Vec<(String, Kind)>> = None;
        let mut functions: Vec<Function> = Vec::new();
        for text in &self.function {
            let (function, values) =
                text.compile(contracts).map_err(|reason| wrong(format!("{}: {reason}", text.signature)))?;
            if functions.iter().any(|one| one.selector == function.selector) {
                return Err(wrong(format!("{} is listed twice", text.signature)));
            }
            match &given {
                Some(first) if *first != values => {
                    let reason = format!("{}: expected values of the names and types of the first", text.signature);
                    return Err(wrong(reason));
                }
                _ => given = Some(values),
            }
            functions.push(function);
        }
        let values = given.ok_or_else(|| wrong("expected at least one function".to_owned()))?;
        Ok((functions, Shape::named(values).map_err(wrong)?))
    }

    /// The call; `scope` has the arguments of the log and the values of the call.
    pub(super) fn compile(&self, functions: Vec<Function>, values: &Shape, scope: &Scope<'_>) -> Result<Call, Fault> {
        let on = self.on.iter().map(|(name, value)| {
            let wrong = |reason: String| Fault::at(&["call", "on", name], reason);
            let (place, _) = scope.place(name).map_err(|refusal| wrong(refusal.reason))?;
            let (expr, _) = scope.read(value).map_err(|refusal| wrong(refusal.reason))?;
            Ok((place, expr))
        });
        let on = on.collect::<Result<_, Fault>>()?;
        Ok(Call { optional: self.optional, functions, values: values.clone(), on })
    }
}

impl FunctionText {
    fn compile(&self, contracts: &Contracts) -> Result<(Function, Vec<(String, Kind)>), String> {
        let (selector, params) = signature::function(&self.signature)?;
        let shape = Shape::tuple(&params)?;
        let mut scope = Scope::of(&shape, Default::default(), contracts);
        if self.each.len() > 1 {
            return Err("expected one list in each".to_owned());
        }
        scope.go_through(&self.each)?;
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for (name, path) in &self.values {
            let (place, kind) = scope.place(path).map_err(|refusal| refusal.reason)?;
            if !matches!(kind, Kind::Static(_) | Kind::Bytes | Kind::Text) {
                return Err(format!("value {name:?} is {kind}: expected no list and no tuple"));
            }
            places.push(place);
            values.push((name.clone(), kind));
        }
        let function =
            Function { selector, each: scope.each.first().cloned(), levels: scope.levels, values: places, shape };
        Ok((function, values))
    }
}

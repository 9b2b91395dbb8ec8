//! What PostgreSQL's clients write and the engine does not read, in words that it does, with the same meaning.
//!
//! A `SELECT` from a table of the catalogue that never has a row gives none: it becomes one that gives none, whatever it
//! asks for. That leaves little of what psql's `\d` asks beyond plain SQL.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, GroupByExpr, Ident, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SetExpr, Statement, TableFactor, TableWithJoins, Value, VisitMut as _, VisitorMut,
};

use super::catalog::{PUBLIC, SCHEMA};
use super::functions::REGCLASS_NAME;
use super::tables::{EMPTY, TABLES};

/// Rewrites a statement in place.
pub(super) fn rewrite(statement: &mut Statement) {
    let _never_breaks: ControlFlow<()> = statement.visit(&mut Rewrite);
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        let known = |name: &str| {
            TABLES.iter().any(|(schema, table, _)| *schema == SCHEMA && *table == name)
                || EMPTY.iter().any(|(table, _)| *table == name)
        };
        if let [ObjectNamePart::Identifier(name)] = relation.0.as_slice()
            && known(&name.value)
        {
            relation.0.insert(0, ObjectNamePart::Identifier(Ident::new(SCHEMA)));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if is_nothing(query) {
            // It may name what is no longer selected.
            query.order_by = None;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.from.iter().any(never_has_rows) || asks_for_a_list(select) {
            empty(select);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let new = match expr {
            Expr::Collate { expr: inner, .. } => Some(take(inner)),
            Expr::BinaryOp { op, .. } => {
                if let BinaryOperator::PGCustomBinaryOperator(parts) = op
                    && let Some(known) = operator(parts)
                {
                    *op = known;
                }
                None
            }
            Expr::Cast { expr: inner, data_type, .. } => cast(inner, data_type),
            Expr::Function(function) => call(function),
            Expr::Subquery(query) if is_nothing(query) => Some(null()),
            Expr::Subquery(query) => {
                of_one_row(query);
                None
            }
            Expr::Exists { subquery, negated } if is_nothing(subquery) => Some(boolean(*negated)),
            Expr::InSubquery { expr: inner, subquery, negated } if is_search_path(subquery) => Some(Expr::InList {
                expr: Box::new(take(inner)),
                list: vec![Expr::Value(Value::SingleQuotedString(PUBLIC.to_owned()).into())],
                negated: *negated,
            }),
            Expr::Identifier(name) if name.value == "current_schema" && name.quote_style.is_none() => {
                Some(function("current_schema", Vec::new()))
            }
            _ => None,
        };
        if let Some(new) = new {
            *expr = new;
        }
        ControlFlow::Continue(())
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

fn boolean(yes: bool) -> Expr {
    Expr::Value(Value::Boolean(yes).into())
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, null())
}

fn function(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Whether a table that never has a row is joined so that nothing can come of it.
fn never_has_rows(from: &TableWithJoins) -> bool {
    let inner = |operator: &JoinOperator| {
        matches!(operator, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_))
    };
    let joined = || from.joins.iter().filter(|join| inner(&join.join_operator)).any(|join| is_empty(&join.relation));
    // A RIGHT or FULL JOIN brings rows of its own.
    let keeps = |operator: &JoinOperator| {
        inner(operator) || matches!(operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_))
    };
    from.joins.iter().all(|join| keeps(&join.join_operator)) && (is_empty(&from.relation) || joined())
}

/// Lists of the catalogue that are NULL in every row.
const NO_LISTS: [&str; 7] = ["reloptions", "relacl", "attacl", "datacl", "typacl", "nspacl", "spcacl"];

/// Whether only rows are wanted in which one of these is there.
fn asks_for_a_list(select: &Select) -> bool {
    let is_list = |expr: &&Expr| matches!(expr, Expr::IsNotNull(list) if NO_LISTS.contains(&name_of(list).as_str()));
    select.from.iter().all(|from| from.joins.is_empty() && is_of_catalogue(&from.relation))
        && select.selection.as_ref().is_some_and(|wanted| conditions(wanted).iter().any(is_list))
}

/// What has to hold together for a condition to hold.
fn conditions(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(inner) => conditions(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => [conditions(left), conditions(right)].concat(),
        other => vec![other],
    }
}

/// The engine takes a subquery for a value that depends on the row around it only where it is an aggregate. Where a row of
/// the catalogue is asked for by its number there is one at most, and the largest of one is that one.
fn of_one_row(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let [from] = select.from.as_slice() else { return };
    let numbered = |expr: &&Expr| match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, .. } => name_of(left) == "oid",
        _ => false,
    };
    let one = select.selection.as_ref().is_some_and(|wanted| conditions(wanted).iter().any(numbered));
    if !one || !from.joins.is_empty() || !is_of_catalogue(&from.relation) {
        return;
    }
    if let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] =
        select.projection.as_mut_slice()
        && !is_aggregate(item)
    {
        *item = function("max", vec![take(item)]);
    }
}

fn is_of_catalogue(relation: &TableFactor) -> bool {
    matches!(relation, TableFactor::Table { name, args: None, .. } if matches!(name.0.as_slice(),
        [ObjectNamePart::Identifier(schema), _] if schema.value == SCHEMA))
}

fn is_empty(relation: &TableFactor) -> bool {
    let name = match relation {
        TableFactor::Table { name, args: None, .. } => name,
        TableFactor::Table { name, args: Some(arguments), .. } => {
            let of = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => NO_LISTS.contains(&name_of(expr).as_str()),
                _ => false,
            };
            return last(name) == "unnest" && arguments.args.iter().all(of);
        }
        _ => return false,
    };
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(table)] => {
            schema.value == SCHEMA && EMPTY.iter().any(|(empty, _)| *empty == table.value)
        }
        _ => false,
    }
}

/// Functions that make one row of none.
const AGGREGATES: [&str; 8] = ["count", "sum", "min", "max", "avg", "array_agg", "string_agg", "bool_or"];

fn is_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if AGGREGATES.contains(&last(&function.name).as_str()))
}

/// Leaves of a `SELECT` the names of its columns.
fn empty(select: &mut Select) {
    let mut names = Vec::new();
    for item in &select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(expr) if is_aggregate(expr) => return,
            SelectItem::UnnamedExpr(expr) => name_of(expr),
            SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
            _ => return,
        };
        // The engine wants names that differ.
        names.push(if names.contains(&name) { format!("{name}_{}", names.len()) } else { name });
    }
    let item = |name: String| SelectItem::ExprWithAlias { expr: null(), alias: Ident::with_quote('"', name) };
    select.projection = names.into_iter().map(item).collect();
    select.from.clear();
    select.selection = Some(boolean(false));
    select.distinct = None;
    select.having = None;
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
}

/// The name that PostgreSQL gives a column.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => name.value.clone(),
        Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.clone()).unwrap_or_default(),
        Expr::Function(function) => last(&function.name),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => name_of(expr),
        Expr::Case { .. } => "case".to_owned(),
        _ => "?column?".to_owned(),
    }
}

fn last(name: &ObjectName) -> String {
    let last = name.0.last().and_then(ObjectNamePart::as_ident);
    last.map(|ident| ident.value.to_ascii_lowercase()).unwrap_or_default()
}

/// Whether [`empty`] made it.
fn is_nothing(query: &Query) -> bool {
    let no = |expr: &Expr| matches!(expr, Expr::Value(value) if value.value == Value::Boolean(false));
    matches!(query.body.as_ref(), SetExpr::Select(select) if select.from.is_empty() && select.selection.as_ref().is_some_and(no))
}

/// Whether a query gives the schemas of the search path, as Grafana asks for them.
fn is_search_path(query: &Query) -> bool {
    let text = query.to_string();
    text.contains("string_to_array(current_setting('search_path')")
}

/// An operator that is named with its schema.
fn operator(parts: &[String]) -> Option<BinaryOperator> {
    match parts {
        [schema, name] if schema == SCHEMA => Some(match name.as_str() {
            "~" => BinaryOperator::PGRegexMatch,
            "~*" => BinaryOperator::PGRegexIMatch,
            "!~" => BinaryOperator::PGRegexNotMatch,
            "!~*" => BinaryOperator::PGRegexNotIMatch,
            "=" => BinaryOperator::Eq,
            "<>" => BinaryOperator::NotEq,
            _ => return None,
        }),
        _ => None,
    }
}

/// Functions are known by their own names; `ARRAY(SELECT …)` of nothing is nothing, and so is the text of it.
fn call(function: &mut Function) -> Option<Expr> {
    if let [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(_)] = function.name.0.as_slice()
        && schema.value == SCHEMA
    {
        function.name.0.remove(0);
    }
    match &function.args {
        FunctionArguments::Subquery(query) if is_nothing(query) => Some(null()),
        FunctionArguments::Subquery(query) if last(&function.name) == "array" => gathered(query).map(Expr::Subquery),
        FunctionArguments::List(list) if last(&function.name) == "array_to_string" => {
            let none = matches!(list.args.first(), Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))))
                if value.value == Value::Null);
            none.then(null)
        }
        _ => None,
    }
}

/// `ARRAY(SELECT a …)` as `(SELECT array_agg(a) …)`; in no order, so only where none was asked for.
fn gathered(query: &Query) -> Option<Box<Query>> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let plain = query.order_by.is_none() && query.limit_clause.is_none() && select.distinct.is_none();
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] =
        select.projection.as_mut_slice()
    else {
        return None;
    };
    *item = function("array_agg", vec![take(item)]);
    plain.then(|| Box::new(query))
}

/// A cast to a type that only PostgreSQL has.
fn cast(inner: &mut Expr, data_type: &mut DataType) -> Option<Expr> {
    let name = match data_type {
        DataType::Regclass => "regclass".to_owned(),
        DataType::Custom(name, modifiers) if modifiers.is_empty() => {
            let ours = matches!(name.0.as_slice(), [_]) || name.to_string().starts_with("pg_catalog.");
            if !ours {
                return None;
            }
            last(name)
        }
        _ => return None,
    };
    match name.as_str() {
        "regclass" if matches!(inner, Expr::Value(_)) => return Some(function("to_regclass", vec![take(inner)])),
        "regclass" => return Some(function(REGCLASS_NAME, vec![take(inner)])),
        "regtype" => return Some(function("format_type", vec![take(inner), null()])),
        "text" | "name" | "char" | "bpchar" | "varchar" | "regproc" | "regnamespace" | "regrole" | "json" | "jsonb" => {
            *data_type = DataType::Text;
        }
        "oid" | "xid" | "int8" => *data_type = DataType::BigInt(None),
        "int4" => *data_type = DataType::Integer(None),
        "int2" => *data_type = DataType::SmallInt(None),
        "float8" => *data_type = DataType::DoublePrecision,
        "bool" => *data_type = DataType::Boolean,
        "numeric" => *data_type = DataType::Numeric(ExactNumberInfo::None),
        _ => {}
    }
    None
}

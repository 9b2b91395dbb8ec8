//! The order of an answer's fields.
//!
//! async-graphql runs the fields of an object side by side and puts each into the answer when it is ready. The
//! specification wants the order of the query (October 2021, section 6.3.2, `CollectFields`), and so does whoever
//! names an answer by its bytes: one snapshot, one answer.

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, PathSegment, Pos, Response, ServerError, Value};

/// The fields of an object in the order in which a query first names them, each with its own.
///
/// Of two fragments on different types the first decides about the names that both have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Order(IndexMap<Name, Self>);

impl Order {
    /// That of an operation. The guard has seen the document: its fragments spread no more fields than it allows, and
    /// none spreads itself.
    pub(crate) fn of(document: &ExecutableDocument, operation: &OperationDefinition) -> Self {
        let mut order = Self::default();
        order.add(document, &operation.selection_set.node);
        order
    }

    fn add(&mut self, document: &ExecutableDocument, selected: &SelectionSet) {
        for item in &selected.items {
            match &item.node {
                Selection::Field(field) => {
                    let name = field.node.response_key().node.clone();
                    self.0.entry(name).or_default().add(document, &field.node.selection_set.node);
                }
                Selection::InlineFragment(fragment) => self.add(document, &fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        self.add(document, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    /// Puts the fields and the errors of an answer in the order of the query.
    pub(crate) fn arrange(&self, response: &mut Response) {
        self.arrange_value(&mut response.data);
        arrange_errors(&mut response.errors);
    }

    /// What is selected nowhere (a scalar that is an object) stays as it is.
    fn arrange_value(&self, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.arrange_value(item)),
            Value::Object(fields) => {
                let place = |name: &Name| self.0.get_index_of(name).unwrap_or(usize::MAX);
                fields.sort_by(|one, _, other, _| place(one).cmp(&place(other)));
                for (name, field) in fields {
                    if let Some(order) = self.0.get(name) {
                        order.arrange_value(field);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Puts errors in the order of the query, and those of one field in the order of the rows they are of.
fn arrange_errors(errors: &mut [ServerError]) {
    errors.sort_by_cached_key(|error| {
        let place = error.locations.first().map(|Pos { line, column }| (*line, *column));
        let rows = error.path.iter().map(|part| match part {
            PathSegment::Field(_) => 0,
            PathSegment::Index(row) => *row,
        });
        (place, rows.collect::<Vec<_>>())
    });
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::DocumentOperations;
    use serde_json::json;

    use super::*;

    fn order(query: &str) -> Order {
        let document = parse_query(query).unwrap();
        let DocumentOperations::Single(operation) = &document.operations else { panic!("one operation") };
        Order::of(&document, &operation.node)
    }

    #[test]
    fn fields_stand_where_the_query_first_names_them() {
        for (query, came, expected) in [
            ("{ a b c }", r#"{"c":1,"a":2,"b":3}"#, r#"{"a":2,"b":3,"c":1}"#),
            ("{ z: a y: b }", r#"{"y":1,"z":2}"#, r#"{"z":2,"y":1}"#),
            ("{ a { x y } b a { w } }", r#"{"b":1,"a":{"w":1,"y":2,"x":3}}"#, r#"{"a":{"x":3,"y":2,"w":1},"b":1}"#),
            (
                "{ l { x y } }",
                r#"{"l":[{"y":1,"x":2},null,{"x":3,"y":4}]}"#,
                r#"{"l":[{"x":2,"y":1},null,{"x":3,"y":4}]}"#,
            ),
            (
                "{ ...F a { y } } fragment F on Query { b a { x } }",
                r#"{"a":{"y":1,"x":2},"b":3}"#,
                r#"{"b":3,"a":{"x":2,"y":1}}"#,
            ),
            ("{ n { ... on A { p q } ... on B { r p } } }", r#"{"n":{"r":1,"p":2}}"#, r#"{"n":{"p":2,"r":1}}"#),
            // A scalar that is an object keeps its own order, and what nobody asked for comes last.
            ("{ s b }", r#"{"x":0,"b":1,"s":{"z":1,"a":2}}"#, r#"{"s":{"z":1,"a":2},"b":1,"x":0}"#),
        ] {
            let mut value = serde_json::from_str::<Value>(came).unwrap();
            order(query).arrange_value(&mut value);
            assert_eq!(serde_json::to_string(&value).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn errors_stand_in_the_order_of_the_query() {
        let error = |line: usize, row: usize| {
            let mut error = ServerError::new(json!([line, row]).to_string(), Some(Pos { line, column: 1 }));
            error.path = vec![PathSegment::Field("l".to_owned()), PathSegment::Index(row)];
            error
        };
        let mut errors = vec![error(2, 10), error(1, 3), error(2, 9), ServerError::new("whole", None)];
        arrange_errors(&mut errors);
        let said = errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>();
        assert_eq!(said, ["whole", "[1,3]", "[2,9]", "[2,10]"]);
    }
}

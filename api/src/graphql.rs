//! GraphQL over HTTP: a body or a query string becomes one request, the request one answer with its status.
//!
//! Statuses follow the GraphQL-over-HTTP draft: `application/graphql-response+json` tells errors by status, the older
//! `application/json` answers 200 to whatever is well formed. Every answer carries a request id, every error a code.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{PathSegment, ServerError, Value, Variables};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use crate::error::{ErrorCode, Refusal};
use crate::guard::{self, GuardLimits};
use crate::schema::Tributary;
use crate::serve::Documents;
use crate::view;

mod arrange;

pub(crate) use arrange::Order;

/// What was asked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(default)]
    query: String,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    operation_name: Option<String>,
    /// Id of a document that the server knows, instead of one.
    #[serde(default)]
    document_id: Option<String>,
    /// Taken, and not looked at.
    #[serde(default)]
    #[expect(dead_code, reason = "clients may send it; nothing here reads it")]
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Asked {
    /// From a message of a WebSocket.
    pub(crate) fn of(query: String, variables: Variables, operation_name: Option<String>) -> Self {
        let variables = match serde_json::to_value(&variables) {
            Ok(serde_json::Value::Object(variables)) => Some(variables),
            _ => None,
        };
        Self { query, variables, operation_name, ..Self::default() }
    }

    /// With the document that it names, where it names one.
    pub(crate) fn with_document(mut self, known: &Documents) -> Result<Self, Refusal> {
        if let Some(id) = self.document_id.take() {
            let found = known.by_id.get(&id).cloned();
            self.query = found.ok_or_else(|| {
                Refusal::new(ErrorCode::DocumentNotFound, format!("there is no document {id:?} here"))
            })?;
        } else if known.only && !known.by_id.values().any(|text| *text == self.query) {
            let message = "only documents that are known here are answered: send their documentId";
            return Err(Refusal::new(ErrorCode::NotOffered, message));
        }
        Ok(self)
    }

    /// From the body of a POST.
    pub(crate) fn from_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            let message = format!("content-type is {kind:?}: expected application/json");
            return Err(Refusal::new(ErrorCode::BadRequest, message));
        }
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Refusal::new(ErrorCode::BatchRefused, "one request at a time: an array of them is refused"));
        }
        let asked = serde_json::from_slice::<Self>(body);
        asked.map_err(|cause| Refusal::new(ErrorCode::BadRequest, format!("body is no GraphQL request: {cause}")))
    }

    /// From the query string of a GET.
    pub(crate) fn from_query(query: &str) -> Result<Self, Refusal> {
        let wrong = |cause: &dyn std::fmt::Display| {
            Refusal::new(ErrorCode::BadRequest, format!("query string is no GraphQL request: {cause}"))
        };
        let fields = async_graphql::http::parse_query_string(query).map_err(|cause| wrong(&cause))?;
        let variables = serde_json::to_value(&fields.variables).map_err(|cause| wrong(&cause))?;
        let serde_json::Value::Object(variables) = variables else { return Err(wrong(&"variables are no object")) };
        Ok(Self {
            query: fields.query,
            variables: Some(variables),
            operation_name: fields.operation_name,
            document_id: named(query),
            ..Self::default()
        })
    }
}

/// The field `documentId` of a query string.
fn named(query: &str) -> Option<String> {
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(name, _)| *name == "documentId").map(|(_, id)| id.to_owned())
}

/// A request that passed the guard.
#[derive(Debug)]
pub(crate) struct Ready {
    request: async_graphql::Request,
    /// What it costs of the quota, beside the one that every request costs.
    pub(crate) units: u32,
    /// What the guard counted.
    complexity: u64,
    /// Whether it is a subscription.
    pub(crate) watches: bool,
    /// The order of its answer's fields.
    order: Order,
}

impl Ready {
    /// The request, to be given what it may read, and the order of its answers' fields.
    pub(crate) fn into_request(self) -> (async_graphql::Request, Order) {
        (self.request, self.order)
    }
}

/// Judges what was asked.
pub(crate) fn prepare(asked: Asked, limits: &GuardLimits) -> Result<Ready, Refusal> {
    if asked.query.trim().is_empty() {
        return Err(Refusal::new(ErrorCode::BadRequest, "query is empty"));
    }
    let variables = Variables::from_json(serde_json::Value::Object(asked.variables.unwrap_or_default()));
    let admitted = guard::admit(&asked.query, &variables, limits)?;
    let operation = operation(&admitted.document, asked.operation_name.as_deref());
    let watches = operation.is_some_and(|operation| operation.ty == OperationType::Subscription);
    let order = operation.map(|operation| Order::of(&admitted.document, operation)).unwrap_or_default();
    let units = u32::try_from(admitted.complexity / 100).unwrap_or(u32::MAX);
    let mut request = async_graphql::Request::new(asked.query).variables(variables);
    if let Some(name) = asked.operation_name {
        request = request.operation_name(name);
    }
    request.set_parsed_query(admitted.document);
    Ok(Ready { request, units, complexity: admitted.complexity, watches, order })
}

/// Refuses a subscription where there is one answer.
pub(crate) fn not_watching(ready: Ready) -> Result<Ready, Refusal> {
    if ready.watches {
        let message = "a subscription needs a WebSocket (graphql-transport-ws) or `accept: text/event-stream`";
        return Err(Refusal::new(ErrorCode::BadRequest, message));
    }
    Ok(ready)
}

/// The operation that will run; `None` where the schema will say that there is none.
fn operation<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(only), _) => Some(only),
        (DocumentOperations::Multiple(many), Some(name)) => many.get(name),
        // One that is alone runs without being named by the request, though it has a name.
        (DocumentOperations::Multiple(many), None) => many.values().next().filter(|_| many.len() == 1),
    };
    found.map(|operation| &operation.node)
}

/// Runs a request over a snapshot.
pub(crate) async fn run(
    schema: &Tributary,
    ready: Ready,
    reads: &Arc<view::Request>,
    deadline: Duration,
) -> async_graphql::Response {
    let cost = [("complexity", ready.complexity), ("units", u64::from(ready.units).saturating_add(1))];
    let request = ready.request.data(Arc::clone(reads));
    let answer = tokio::time::timeout(deadline, Box::pin(schema.execute(request))).await;
    let mut response = answer.unwrap_or_else(|_| {
        let message = format!("the request took longer than {} ms", deadline.as_millis());
        refuse(&Refusal::new(ErrorCode::Timeout, message))
    });
    ready.order.arrange(&mut response);
    response.extensions.insert("asOf".to_owned(), reads.as_of());
    let cost = cost.into_iter().map(|(name, value)| (async_graphql::Name::new(name), Value::from(value)));
    response.extensions.insert("cost".to_owned(), Value::Object(cost.collect()));
    response
}

/// An answer that is nothing but a refusal.
pub(crate) fn refuse(refusal: &Refusal) -> async_graphql::Response {
    let mut error = ServerError::new(refusal.message.clone(), None);
    let mut extensions = async_graphql::ErrorExtensionValues::default();
    extensions.set("code", refusal.code.as_str());
    error.extensions = Some(extensions);
    async_graphql::Response::from_errors(vec![error])
}

/// Puts a code and the request id on every error, and says which status the answer has.
pub(crate) fn finish(response: &mut async_graphql::Response, request_id: &str, strict: bool) -> StatusCode {
    for error in &mut response.errors {
        let in_field = error.path.iter().any(|part| matches!(part, PathSegment::Field(_)));
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            // What has no code comes from the library: before a field runs, the document does not fit the schema;
            // in a field, an argument does not fit its type.
            let code = if in_field { ErrorCode::BadInput } else { ErrorCode::ValidationFailed };
            extensions.set("code", code.as_str());
        }
        extensions.set("requestId", request_id);
    }
    response.extensions.insert("requestId".to_owned(), Value::from(request_id));
    if response.errors.is_empty() || response.data != Value::Null {
        return StatusCode::OK;
    }
    let code = response.errors.first().and_then(|error| error.extensions.as_ref()?.get("code").cloned());
    let found = ErrorCode::ALL.iter().find(|one| code == Some(Value::from(one.as_str())));
    let status =
        StatusCode::from_u16(found.map_or(500, |code| code.status())).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // The older media type says 200 to every request that is well formed and was let in.
    let tells = strict
        || status.is_server_error()
        || found == Some(&ErrorCode::BadRequest)
        || found == Some(&ErrorCode::BatchRefused);
    if tells { status } else { StatusCode::OK }
}

/// The codes of an answer's errors.
pub(crate) fn codes(response: &async_graphql::Response) -> impl Iterator<Item = &str> {
    response.errors.iter().filter_map(|error| match error.extensions.as_ref()?.get("code") {
        Some(Value::String(code)) => Some(code.as_str()),
        _ => None,
    })
}

/// Whether the client takes the newer media type.
pub(crate) fn is_strict(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/graphql-response+json")
}

//! GraphQL over HTTP: a body or a query string becomes one request, the request one answer with its status.
//!
//! Statuses follow the GraphQL-over-HTTP draft: `application/graphql-response+json` tells errors by status, the older
//! `application/json` answers 200 to whatever is well formed. Every answer carries a request id, every error a code.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{PathSegment, ServerError, ValidationMode, Value, Variables};
use axum::http::{HeaderMap, StatusCode, header};
use futures::stream::{BoxStream, StreamExt as _};
use serde::Deserialize;

use crate::error::{ErrorCode, Refusal};
use crate::guard::{self, GuardLimits};
use crate::schema::{self, Tributary};
use crate::serve::Documents;
use crate::view;

mod arrange;
mod known;

use arrange::Order;
use known::{Judged, Known};

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
    query: String,
    variables: serde_json::Map<String, serde_json::Value>,
    operation_name: Option<String>,
    judged: Arc<Judged>,
}

impl Ready {
    /// What it costs of the quota, beside the one that every request costs.
    pub(crate) fn units(&self) -> u32 {
        self.judged.units()
    }

    /// Whether it is a subscription.
    pub(crate) fn watches(&self) -> bool {
        self.judged.watches
    }

    /// All that its answer from one snapshot depends on, with its media type, and whether it names its generation.
    pub(crate) fn asked(&self, (strict, named): (bool, bool), address: Option<&str>) -> String {
        let variables = serde_json::to_string(&self.variables).unwrap_or_default();
        let name = self.operation_name.as_deref().unwrap_or_default();
        // None of these but the last has a zero byte.
        format!("{strict}\0{named}\0{}\0{name}\0{variables}\0{}", address.unwrap_or_default(), self.query)
    }

    fn into_request(self) -> (async_graphql::Request, Arc<Judged>) {
        let variables = Variables::from_json(serde_json::Value::Object(self.variables));
        let mut request = async_graphql::Request::new(self.query).variables(variables);
        if let Some(name) = self.operation_name {
            request = request.operation_name(name);
        }
        request.set_parsed_query(self.judged.document.clone());
        (request, self.judged)
    }
}

/// What answers: the schema behind the guard.
pub(crate) struct Engine {
    limits: GuardLimits,
    schema: Tributary,
    /// The same for documents that are known to fit it: nothing is validated again.
    fitting: Tributary,
    known: Known,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Engine {
    /// One that lets in what is within the limits.
    pub(crate) fn new(limits: GuardLimits) -> Self {
        Self {
            limits,
            schema: schema::build(ValidationMode::Strict),
            fitting: schema::build(ValidationMode::Fast),
            known: known::none(),
        }
    }

    /// Judges what was asked.
    pub(crate) fn prepare(&self, asked: Asked) -> Result<Ready, Refusal> {
        if asked.query.trim().is_empty() {
            return Err(Refusal::new(ErrorCode::BadRequest, "query is empty"));
        }
        let key = known::key(&asked);
        let judged = key.as_ref().and_then(|key| self.known.get(key));
        let Asked { query, variables, operation_name, .. } = asked;
        let variables = variables.unwrap_or_default();
        let judged = match judged {
            Some(judged) => judged,
            None => {
                let given = Variables::from_json(serde_json::Value::Object(variables.clone()));
                let judged = judge(&query, &given, operation_name.as_deref(), &self.limits)?;
                if let Some(key) = key {
                    self.known.keep(key, Arc::clone(&judged), 0);
                }
                judged
            }
        };
        Ok(Ready { query, variables, operation_name, judged })
    }

    /// Runs a request over a snapshot.
    pub(crate) async fn run(
        &self,
        ready: Ready,
        reads: &Arc<view::Request>,
        deadline: Duration,
    ) -> async_graphql::Response {
        let (request, judged) = ready.into_request();
        let units = u64::from(judged.units()).saturating_add(1);
        let cost = [("complexity", judged.complexity), ("units", units)];
        let schema = if judged.fits() { &self.fitting } else { &self.schema };
        let answer = tokio::time::timeout(deadline, Box::pin(schema.execute(request.data(Arc::clone(reads))))).await;
        let mut response = answer.unwrap_or_else(|_| {
            let message = format!("the request took longer than {} ms", deadline.as_millis());
            refuse(&Refusal::new(ErrorCode::Timeout, message))
        });
        // What does not fit the schema is said of the whole document, not of a field.
        if response.errors.iter().all(|error| !error.path.is_empty()) {
            judged.found_to_fit();
        }
        judged.order.arrange(&mut response);
        response.extensions.insert("asOf".to_owned(), reads.as_of());
        let cost = cost.into_iter().map(|(name, value)| (async_graphql::Name::new(name), Value::from(value)));
        response.extensions.insert("cost".to_owned(), Value::Object(cost.collect()));
        response
    }

    /// The events of a subscription, each in the order of the query.
    pub(crate) fn watch(
        &self,
        ready: Ready,
        with: impl FnOnce(async_graphql::Request) -> async_graphql::Request,
    ) -> BoxStream<'static, async_graphql::Response> {
        let (request, judged) = ready.into_request();
        let events = self.schema.execute_stream(with(request)).map(move |mut response| {
            judged.order.arrange(&mut response);
            response
        });
        events.boxed()
    }
}

fn judge(query: &str, variables: &Variables, name: Option<&str>, limits: &GuardLimits) -> Result<Arc<Judged>, Refusal> {
    let admitted = guard::admit(query, variables, limits)?;
    let operation = operation(&admitted.document, name);
    let watches = operation.is_some_and(|operation| operation.ty == OperationType::Subscription);
    let order = operation.map(|operation| Order::of(&admitted.document, operation)).unwrap_or_default();
    Ok(Judged::new(admitted.document, admitted.complexity, watches, order))
}

/// Refuses a subscription where there is one answer.
pub(crate) fn not_watching(ready: Ready) -> Result<Ready, Refusal> {
    if ready.watches() {
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

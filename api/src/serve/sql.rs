//! `POST /v1/sql`: a query in JSON, its rows as JSON, CSV or an Arrow IPC stream, whichever `Accept` puts first.

use alloy_primitives::B256;
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tributary_schemas::column::hex_text;
use tributary_store::{HeldHead, Snapshot, StoreError};

use super::routes::{Client, Left, RequestId, answer, problem, too_many};
use super::{App, Way};
use crate::error::{ErrorCode, Refusal};
use crate::limits::Remaining;
use crate::pinned::Pinned;
use crate::rows;
use crate::sql_gate::{self, Found, Hot, SqlError};

/// What a SQL query costs of the quota.
pub(crate) const SQL_UNITS: u32 = 10;

/// Names a generation, in requests and answers.
pub(super) const GENERATION: &str = "x-tributary-generation";

/// Name the newest block of an answer that read blocks which are not sealed.
const TAIL: &str = "x-tributary-tail-block";
const TAIL_HASH: &str = "x-tributary-tail-hash";

/// How often a newer snapshot is taken when the blocks above one are sealed before they are held.
pub(crate) const JOIN_TRIES: u32 = 3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlAsked {
    query: String,
}

/// The forms that rows are given in, the one for whoever accepts anything first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
    Arrow,
}

impl Form {
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Arrow];

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

pub(super) async fn sql(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Extension(Client(asking)): Extension<Client>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match sql_answer(&app, asking, &headers, &body).await {
        Ok(response) => response,
        Err(Ok(none)) => too_many(&app, none, &id),
        Err(Err(refusal)) => problem(&refusal, &id),
    }
}

async fn sql_answer(
    app: &App,
    asking: std::net::IpAddr,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Result<Remaining, Refusal>> {
    let wrong =
        |cause: serde_json::Error| Refusal::new(ErrorCode::BadRequest, format!("body is no SQL request: {cause}"));
    let asked = serde_json::from_slice::<SqlAsked>(body).map_err(|cause| Err(wrong(cause)))?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = negotiate(accept).map_err(Err)?;
    let left = app.limiter.charge(asking, SQL_UNITS).map_err(Ok)?;
    let named = generation(headers).map_err(Err)?;
    let _room = app.sql_room.enter(Way::Http).await.map_err(Err)?;
    let (pinned, Found { batches, tail }) = found(app, named, &asked.query).await.map_err(Err)?;
    let written = match form {
        Form::Json => as_json(&batches, &pinned.snapshot, tail),
        Form::Csv => rows::csv(&batches),
        Form::Arrow => rows::arrow(&batches, &as_of(&pinned.snapshot, tail)),
    };
    let written = written.map_err(|cause| Err(Refusal::internal("writing rows", &cause)))?;
    let media_type = if form == Form::Csv { "text/csv; charset=utf-8" } else { form.media_type() };
    let mut response = answer(StatusCode::OK, media_type, written);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    let heads = &pinned.snapshot.heads;
    let told = [("x-tributary-snapshot", pinned.snapshot.version), ("x-tributary-block", heads.block_number)];
    let newest = tail.map(|tail| (TAIL, tail.number));
    for (name, value) in told.into_iter().chain(newest) {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    let hashes = [(GENERATION, heads.mapping_set_hash)];
    for (name, hash) in hashes.into_iter().chain(tail.map(|tail| (TAIL_HASH, tail.hash))) {
        let value = HeaderValue::try_from(hex_text(hash));
        let value = value.map_err(|cause| Err(Refusal::internal("naming what was read", &cause)))?;
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response.extensions_mut().insert(Left(left));
    Ok(response)
}

/// The answer over the newest snapshot. Between choosing that and holding the blocks above it, a newer one may be sealed.
async fn found(app: &App, named: Option<B256>, query: &str) -> Result<(Arc<Pinned>, Found), Refusal> {
    let mut tries = 0;
    loop {
        let pinned = app.shelf.newest_of(named).await?;
        let hot = Hot::above(&app.config.hot, &pinned.snapshot);
        let found = sql_gate::query(pinned.lake(), &pinned.snapshot, hot, query, &app.config.sql).await;
        match found {
            Err(SqlError::Hot { cause: StoreError::NotJoined { .. } }) if tries < JOIN_TRIES => tries += 1,
            found => return found.map(|found| (pinned, found)).map_err(|cause| sql_refusal(&cause)),
        }
    }
}

/// The generation that a request names, by the hash of its mapping set.
pub(super) fn generation(headers: &HeaderMap) -> Result<Option<B256>, Refusal> {
    let Some(named) = headers.get(GENERATION) else { return Ok(None) };
    let hash = named.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || {
        let message =
            format!("the header {GENERATION} is {named:?}: expected the hash of a mapping set, 0x and 64 digits");
        Refusal::new(ErrorCode::BadRequest, message)
    };
    hash.map(Some).ok_or_else(wrong)
}

/// The form that is wanted most of those that are accepted (RFC 9110, 12.5.1).
fn negotiate(accept: &str) -> Result<Form, Refusal> {
    if accept.trim().is_empty() {
        return Ok(Form::Json);
    }
    let mut wanted = accept.split(',').map(wanted).filter(|(_, weight)| *weight > 0).collect::<Vec<_>>();
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let found = wanted.iter().find_map(|(range, _)| {
        let kind = range.strip_suffix('*').filter(|kind| kind.ends_with('/'));
        Form::ALL.into_iter().find(|form| match kind {
            Some("*/") => true,
            Some(kind) => form.media_type().starts_with(kind),
            None => form.media_type() == range,
        })
    });
    found.ok_or_else(|| {
        let offered = Form::ALL.map(Form::media_type).join(", ");
        Refusal::new(ErrorCode::NotAcceptable, format!("{accept:?} is accepted: expected one of {offered}"))
    })
}

/// A media range and its weight in thousandths; a weight that is none counts as one.
fn wanted(range: &str) -> (String, u32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let thousandths = |text: &str| match text.strip_prefix("0.") {
        Some(digits) => format!("{digits:0<3}").get(..3)?.parse().ok(),
        None => text.strip_prefix('0').map(|_| 0),
    };
    (name, weight.and_then(thousandths).unwrap_or(1_000))
}

/// What a query that failed is told.
pub(crate) fn sql_refusal(cause: &SqlError) -> Refusal {
    let code = match cause {
        SqlError::Refused { .. } => ErrorCode::SqlRefused,
        SqlError::Failed { .. } | SqlError::Rows { .. } => ErrorCode::SqlFailed,
        SqlError::Memory { .. } => ErrorCode::TooComplex,
        SqlError::Deadline { .. } => ErrorCode::Timeout,
        SqlError::Tables { source, .. } => return Refusal::internal("opening tables", source),
        SqlError::Hot { cause } => match cause {
            StoreError::NotJoined { .. } => ErrorCode::NotReady,
            StoreError::NotFollowed { .. } => ErrorCode::SqlRefused,
            StoreError::TailTooLong { .. } => ErrorCode::TooComplex,
            other => return Refusal::internal("reading the tail", other),
        },
    };
    Refusal::new(code, cause.to_string())
}

/// The state that an answer was computed at (INV-10), for the metadata of an Arrow schema.
pub(crate) fn as_of(snapshot: &Snapshot, tail: Option<HeldHead>) -> Vec<(&'static str, String)> {
    let heads = &snapshot.heads;
    let mut told = vec![
        ("tributary.snapshot", snapshot.version.to_string()),
        ("tributary.block", heads.block_number.to_string()),
        ("tributary.hash", hex_text(heads.block_hash)),
        ("tributary.finality", heads.finality.clone()),
        ("tributary.trust", heads.trust.clone()),
        ("tributary.log_root", hex_text(heads.log_root)),
        ("tributary.mapping_set_hash", hex_text(heads.mapping_set_hash)),
    ];
    if let Some(tail) = tail {
        told.push(("tributary.tail_block", tail.number.to_string()));
        told.push(("tributary.tail_hash", hex_text(tail.hash)));
    }
    told
}

fn as_json(batches: &[RecordBatch], snapshot: &Snapshot, tail: Option<HeldHead>) -> Result<Vec<u8>, ArrowError> {
    let heads = &snapshot.heads;
    let schema = batches.first().map(RecordBatch::schema);
    let columns = schema.iter().flat_map(|schema| schema.fields());
    let columns = columns.map(|field| json!({ "name": field.name(), "type": field.data_type().to_string() }));
    let mut head = json!({
        "asOf": {
            "number": heads.block_number,
            "hash": hex_text(heads.block_hash),
            "finality": heads.finality,
            "trust": heads.trust,
            "logRoot": hex_text(heads.log_root),
            "mappingSetHash": hex_text(heads.mapping_set_hash),
            "snapshot": snapshot.version,
        },
        "columns": columns.collect::<Vec<_>>(),
    });
    if let Some(tail) = tail {
        head["asOf"]["tail"] = json!({ "number": tail.number, "hash": hex_text(tail.hash), "final": false });
    }
    let mut body = head.to_string().into_bytes();
    body.pop();
    body.extend_from_slice(b",\"rows\":");
    body.extend(rows::json(batches)?);
    body.push(b'}');
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::{Form, negotiate};

    #[test]
    fn the_form_that_is_wanted_most_is_given() {
        for (accept, expected) in [
            ("", Some(Form::Json)),
            ("*/*", Some(Form::Json)),
            ("application/*", Some(Form::Json)),
            ("text/*;q=0.9, application/json;q=0.1", Some(Form::Csv)),
            ("text/csv", Some(Form::Csv)),
            ("Text/CSV; charset=utf-8", Some(Form::Csv)),
            ("application/vnd.apache.arrow.stream", Some(Form::Arrow)),
            ("text/html, application/vnd.apache.arrow.stream;q=0.25, text/csv;q=0.05", Some(Form::Arrow)),
            ("application/json;q=0, text/csv;q=0.001", Some(Form::Csv)),
            ("application/json;q=0", None),
            ("text/html", None),
            ("image/*", None),
            (",;q=,", None),
        ] {
            assert_eq!(negotiate(accept).ok(), expected, "{accept}");
        }
    }
}

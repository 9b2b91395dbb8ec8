//! `/exports`: the published files as they lie, for whoever reads Parquet over HTTP, statements, and provenance.
//!
//! A file's address names its snapshot, so a reader that began with one list of files ends with it (INV-10). Files
//! never change: each has an `ETag`, may be kept for ever, and is read in ranges.

use std::io::SeekFrom;
use std::ops::Range;
use std::sync::Arc;

use alloy_primitives::Address;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, json};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tributary_accounting::StatementOf;
use tributary_schemas::{facts, money};
use tributary_store::{Lake, Snapshot, TableFile};

use super::App;
use super::routes::{FOR_EVER, RequestId, answer, problem};
use crate::error::{ErrorCode, Refusal};
use crate::exchange::{self, ProvenanceForm, StatementForm};

/// Bytes that are read of a file at a time.
const CHUNK_BYTES: usize = 128 << 10;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/exports", get(list))
        .route("/exports/duckdb.sql", get(duckdb))
        .route("/exports/statement/{account}", get(statement))
        .route("/exports/provenance/{form}/{*id}", get(provenance))
}

/// Files cost nothing of the quota, as the dashboard's do: whoever reads Parquet over HTTP asks for hundreds of ranges.
pub(super) fn files_routes() -> Router<Arc<App>> {
    Router::new().route("/exports/{snapshot}/{table}/{file}", get(file))
}

fn told(answered: Result<Response, Refusal>, id: &str) -> Response {
    answered.unwrap_or_else(|refusal| problem(&refusal, id))
}

/// Every table of the newest snapshot, with its files.
async fn list(State(app): State<Arc<App>>, Extension(RequestId(id)): Extension<RequestId>) -> Response {
    let listed = async {
        let pinned = app.shelf.newest().await?;
        let snapshot = &pinned.snapshot;
        let mut tables = Map::new();
        for info in facts::all().into_iter().chain(money::all()) {
            let files = files(pinned.lake(), snapshot, info.name).await?;
            let rows: u64 = files.iter().map(|file| file.rows).sum();
            let files = files.iter().map(|file| {
                let url = address(snapshot, info.name, file);
                json!({ "url": url, "rows": file.rows, "bytes": file.bytes, "etag": etag(file) })
            });
            let files = files.collect::<Vec<_>>();
            tables.insert(info.name.to_owned(), json!({ "rows": rows, "files": files }));
        }
        let heads = &snapshot.heads;
        let body = json!({
            "asOf": {
                "snapshot": snapshot.version,
                "mappingSetHash": tributary_schemas::column::hex_text(heads.mapping_set_hash),
                "number": heads.block_number,
                "hash": tributary_schemas::column::hex_text(heads.block_hash),
                "finality": heads.finality,
            },
            "tables": tables,
        });
        Ok(answer(StatusCode::OK, "application/json", body.to_string()))
    };
    told(listed.await, &id)
}

/// The script that opens the newest snapshot in DuckDB, from here.
async fn duckdb(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    headers: HeaderMap,
) -> Response {
    let written = async {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(Refusal::new(ErrorCode::BadRequest, "the header host names no host"));
        }
        let pinned = app.shelf.newest().await?;
        let snapshot = &pinned.snapshot;
        let place = |table: &str, file: &TableFile| format!("http://{host}{}", address(snapshot, table, file));
        let script = tributary_accounting::duckdb(pinned.lake(), snapshot, place).await;
        let script = script.map_err(|cause| Refusal::internal("listing files", &cause))?;
        Ok(answer(StatusCode::OK, "application/sql", script))
    };
    told(written.await, &id)
}

async fn files(lake: &Lake, snapshot: &Snapshot, table: &str) -> Result<Vec<TableFile>, Refusal> {
    let files = lake.files(snapshot, table).await;
    files.map_err(|cause| Refusal::internal("listing files", &cause))
}

fn name(file: &TableFile) -> String {
    file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn address(snapshot: &Snapshot, table: &str, file: &TableFile) -> String {
    format!("/exports/{}.{}/{table}/{}", snapshot.heads.mapping_set_hash, snapshot.version, name(file))
}

/// A file's name holds a hash of its content.
fn etag(file: &TableFile) -> String {
    format!("\"{}\"", name(file))
}

async fn file(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Path((snapshot, table, named)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let nothing = || Refusal::new(ErrorCode::NotFound, format!("no snapshot {snapshot} has {table}/{named}"));
        let known = facts::all().into_iter().chain(money::all()).any(|info| info.name == table);
        let (generation, version) = snapshot.split_once('.').filter(|_| known).ok_or_else(nothing)?;
        let generation = generation.parse().ok().ok_or_else(nothing)?;
        let version = version.parse().ok().ok_or_else(nothing)?;
        let (lake, snapshot) = app.shelf.snapshot(generation, version).await.ok().ok_or_else(nothing)?;
        let files = files(&lake, &snapshot, &table).await?;
        let file = files.into_iter().find(|file| name(file) == named).ok_or_else(nothing)?;
        send(&file, &headers).await.map_err(|cause| Refusal::internal("reading a file", &cause))
    };
    told(found.await, &id)
}

/// A file or the range of it that is asked for (RFC 9110, 14).
async fn send(file: &TableFile, headers: &HeaderMap) -> std::io::Result<Response> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let etag = etag(file);
    if text(header::IF_NONE_MATCH)
        .is_some_and(|known| known.split(',').any(|one| one.trim() == etag || one.trim() == "*"))
    {
        return Ok(kept(answer(StatusCode::NOT_MODIFIED, "application/vnd.apache.parquet", Body::empty()), &etag));
    }
    let same = text(header::IF_RANGE).is_none_or(|known| known == etag);
    let asked = text(header::RANGE).filter(|_| same).and_then(|asked| range(asked, file.bytes));
    let (status, bytes) = match asked {
        None => (StatusCode::OK, 0..file.bytes),
        Some(Ok(bytes)) => (StatusCode::PARTIAL_CONTENT, bytes),
        Some(Err(())) => {
            let mut none = answer(StatusCode::RANGE_NOT_SATISFIABLE, "text/plain", Body::empty());
            set(&mut none, header::CONTENT_RANGE, &format!("bytes */{}", file.bytes));
            return Ok(none);
        }
    };
    let length = bytes.end - bytes.start;
    let mut source = tokio::fs::File::open(&file.path).await?;
    source.seek(SeekFrom::Start(bytes.start)).await?;
    let chunks = futures::stream::try_unfold(source.take(length), |mut source| async move {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        (&mut source).take(u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX)).read_to_end(&mut chunk).await?;
        Ok::<_, std::io::Error>((!chunk.is_empty()).then(|| (Bytes::from(chunk), source)))
    });
    let mut response = answer(status, "application/vnd.apache.parquet", Body::from_stream(chunks));
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let last = bytes.end.saturating_sub(1);
        set(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{last}/{}", bytes.start, file.bytes));
    }
    Ok(kept(response, &etag))
}

fn kept(mut response: Response, etag: &str) -> Response {
    set(&mut response, header::ETAG, etag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::CACHE_CONTROL, FOR_EVER);
    response
}

fn set(response: &mut Response, name: header::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(name, value);
    }
}

/// The bytes of a range of a file of `length` bytes: an error when it has none of them, nothing when it is not one
/// range of bytes, as then the whole file is the answer.
fn range(asked: &str, length: u64) -> Option<Result<Range<u64>, ()>> {
    let (first, last) = asked.strip_prefix("bytes=")?.trim().split_once('-')?;
    let bytes = match (first.trim(), last.trim()) {
        ("", last) => length.saturating_sub(last.parse().ok()?)..length,
        (first, "") => first.parse().ok()?..length,
        (first, last) => {
            let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
            if last < first {
                return None;
            }
            first..std::cmp::min(last.saturating_add(1), length)
        }
    };
    Some(if bytes.start < bytes.end { Ok(bytes) } else { Err(()) })
}

async fn provenance(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Path((form, of)): Path<(String, String)>,
) -> Response {
    let written = async {
        let known = ProvenanceForm::named(&form);
        let form = known.ok_or_else(|| {
            let message = format!("{form} is no form of provenance: expected prov, cyclonedx or croissant");
            Refusal::new(ErrorCode::NotFound, message)
        })?;
        let document = exchange::of(app.shelf.newest().await?.as_ref(), form, &of).await?;
        Ok(answer(StatusCode::OK, form.media_type(), document.to_string()))
    };
    told(written.await, &id)
}

/// Which statement is asked for, and how it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementAsked {
    /// The token; the native one when not given.
    token: Option<String>,
    /// The first epoch; 0 when not given.
    from: Option<i64>,
    /// The last epoch; the last settled one when not given.
    to: Option<i64>,
    /// csv, json or parquet; CSV when not given.
    format: Option<String>,
}

async fn statement(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Path(account): Path<String>,
    asked: Result<Query<StatementAsked>, QueryRejection>,
) -> Response {
    let written = async {
        let bad = |message: String| Refusal::new(ErrorCode::BadInput, message);
        let Query(asked) = asked.map_err(|cause| bad(cause.body_text()))?;
        let format = asked.format.as_deref().unwrap_or("csv");
        let form = StatementForm::named(format);
        let form = form.ok_or_else(|| bad(format!("format is {format:?}: expected csv, json or parquet")))?;
        let address =
            |text: &str| text.parse::<Address>().map_err(|cause| bad(format!("{text:?} is no address: {cause}")));
        let (account, token) = (address(&account)?, asked.token.as_deref().map_or(Ok(Address::ZERO), address)?);
        let pinned = app.shelf.newest().await?;
        let settled = pinned.snapshot.heads.settled_epoch;
        let settled = settled.ok_or_else(|| Refusal::new(ErrorCode::NotReady, "no epoch is settled yet"))?;
        let epochs = (asked.from.unwrap_or(0), std::cmp::min(asked.to.unwrap_or(settled), settled));
        let found = pinned.statement(StatementOf { account, token, epochs, vault: None }).await?;
        let bytes = exchange::write_statement(&found, form);
        let bytes = bytes.map_err(|cause| Refusal::internal("writing a statement", &cause))?;
        Ok(answer(StatusCode::OK, form.media_type(), bytes))
    };
    told(written.await, &id)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn one_range_of_bytes_is_understood() {
        for (asked, expected) in [
            ("bytes=0-9", Some(Ok(0..10))),
            ("bytes=90-", Some(Ok(90..100))),
            ("bytes=-8", Some(Ok(92..100))),
            ("bytes=-800", Some(Ok(0..100))),
            ("bytes=0-18446744073709551615", Some(Ok(0..100))),
            ("bytes=100-", Some(Err(()))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=9-0", None),
            ("bytes=0-1,4-5", None),
            ("bytes=a-b", None),
            ("lines=0-1", None),
            ("bytes=", None),
        ] {
            assert_eq!(range(asked, 100), expected, "{asked}");
        }
    }
}

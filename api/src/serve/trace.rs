//! The span of a request, with the names that OpenTelemetry's semantic conventions have for a server of HTTP.

use axum::extract::Request;
use axum::http::StatusCode;
use opentelemetry_http::HeaderExtractor;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Begins it; inside the trace of whoever asks, if a header names one (`traceparent`, W3C Trace Context).
pub(super) fn begin(id: &str, request: &Request) -> Span {
    let span = tracing::info_span!(
        "request",
        id,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        http.response.status_code = Empty,
        url.path = request.uri().path(),
    );
    if !span.is_disabled() {
        let asking = opentelemetry::global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor(request.headers()))
        });
        if let Err(cause) = span.set_parent(asking) {
            tracing::trace!(%cause, "spans are logged, and sent nowhere");
        }
    }
    span
}

/// Notes what was answered.
pub(super) fn end(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

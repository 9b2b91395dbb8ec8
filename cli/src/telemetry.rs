//! What the program says of its own work: lines on standard error and, where a collector is named, traces by OTLP/HTTP.
//!
//! Whether traces are sent, where and how many are told as every program with OpenTelemetry is told: by the `OTEL_*`
//! variables of its specification, which its exporter reads by itself. A flag names the collector too.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::filter::{FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::arguments::LogFormat;

/// How long a collector may take for an answer (the specification's default of `OTEL_EXPORTER_OTLP_TIMEOUT`), and what
/// is left to be sent for all of its answers at the end.
const EXPORT_DEADLINE: Duration = Duration::from_secs(10);
const LAST_EXPORT_DEADLINE: Duration = Duration::from_secs(5);

/// How to log.
pub(crate) struct Logs<'a> {
    /// What to log.
    pub(crate) filter: &'a str,
    /// As what.
    pub(crate) format: LogFormat,
    /// Whether colours may be used; they are for terminals, in any case.
    pub(crate) colours: bool,
}

/// What is open until the program ends: the way to the collector, if there is one.
#[derive(Debug)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Begins to log to standard error and, where `collector` or the environment names one, to send traces. A filter that
    /// cannot be read falls back to warnings and says so.
    ///
    /// # Errors
    ///
    /// When what names the collector is no address.
    pub(crate) fn begin(
        logs: &Logs<'_>,
        collector: Option<&str>,
        variables: &BTreeMap<String, String>,
        runtime: &Handle,
    ) -> anyhow::Result<Self> {
        let (filter, wrong) = match EnvFilter::try_new(logs.filter) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new("warn"), Some(error)),
        };
        let colours = logs.colours && std::io::stderr().is_terminal();
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match logs.format {
            LogFormat::Text => lines.with_ansi(colours).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let provider = is_wanted(collector, variables).then(|| provider(collector, variables, runtime)).transpose()?;
        let traces = provider.as_ref().map(|provider| spans_to(provider.tracer("tributary")));
        let set = tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).try_init();
        if set.is_err() {
            crate::output::say("logging was already set up");
        }
        if let Some(error) = wrong {
            tracing::warn!(%error, "the log filter cannot be read; logging warnings");
        }
        if provider.is_some() {
            // A request that belongs to a trace of somebody else goes on in it (W3C Trace Context).
            opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        }
        Ok(Self(provider))
    }

    /// Sends what was not sent yet.
    pub(crate) fn end(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(LAST_EXPORT_DEADLINE)
        {
            tracing::warn!(%error, "the last traces did not reach the collector");
        }
    }
}

/// Whether anybody named a collector, and nobody said to be silent.
fn is_wanted(collector: Option<&str>, variables: &BTreeMap<String, String>) -> bool {
    let is_set = |name: &str| variables.get(name).is_some_and(|value| !value.is_empty());
    let silent = variables.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let named = is_set("OTEL_EXPORTER_OTLP_ENDPOINT") || is_set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    !silent && (collector.is_some() || named)
}

fn provider(
    collector: Option<&str>,
    variables: &BTreeMap<String, String>,
    runtime: &Handle,
) -> anyhow::Result<SdkTracerProvider> {
    let client = reqwest::Client::builder().timeout(EXPORT_DEADLINE).build().context("making a client of HTTP")?;
    let mut exporter =
        SpanExporter::builder().with_http().with_http_client(OnRuntime { client, runtime: runtime.clone() });
    if let Some(collector) = collector {
        exporter = exporter.with_endpoint(traces_of(collector)?);
    }
    let exporter = exporter.build().context("naming the collector of traces")?;
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !variables.contains_key("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name("tributary");
    }
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

/// Where a collector takes traces, by the address that it has for everything (OTLP specification, OTLP/HTTP request).
fn traces_of(collector: &str) -> anyhow::Result<String> {
    let expected = || format!("--otlp-endpoint {collector}: expected an address such as http://localhost:4318");
    let base = url::Url::parse(collector).with_context(expected)?;
    anyhow::ensure!(matches!(base.scheme(), "http" | "https"), expected());
    Ok(format!("{}/v1/traces", collector.trim_end_matches('/')))
}

/// All spans of ours, and with them what is logged at `info` and above.
fn spans_to<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let ours: FilterFn = filter_fn(|metadata| {
        let level = if metadata.is_span() { LevelFilter::DEBUG } else { LevelFilter::INFO };
        metadata.target().starts_with("tributary") && *metadata.level() <= level
    });
    let spans = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
    spans.with_filter(ours.with_max_level_hint(LevelFilter::DEBUG))
}

/// The exporter has a thread of its own; what it sends is sent by the threads that do everything else.
#[derive(Debug)]
struct OnRuntime {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_sent_where_a_collector_is_named_and_nobody_is_told_to_be_silent() {
        let wanted = |collector: Option<&str>, variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            is_wanted(collector, &variables.collect())
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        assert!(!wanted(None, &[]));
        assert!(!wanted(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_SERVICE_NAME", "one")]));
        assert!(wanted(Some("http://localhost:4318"), &[]));
        assert!(wanted(None, &[endpoint]));
        assert!(wanted(None, &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces")]));
        assert!(!wanted(Some("http://localhost:4318"), &[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]));
        assert!(wanted(None, &[endpoint, ("OTEL_SDK_DISABLED", "false")]));
    }

    #[test]
    fn the_address_of_a_collector_is_that_for_everything() {
        assert_eq!(traces_of("http://localhost:4318").unwrap(), "http://localhost:4318/v1/traces");
        assert_eq!(traces_of("https://one.example/otlp/").unwrap(), "https://one.example/otlp/v1/traces");
        for address in ["localhost:4318", "grpc://localhost:4317", "", "/v1/traces"] {
            let error = format!("{:#}", traces_of(address).unwrap_err());
            assert!(error.contains(address) && error.contains("such as http://localhost:4318"), "{error}");
        }
    }
}

//! Traces, sent to a collector by OTLP over HTTP.
//!
//! Invariant: nothing waits for the collector. What is done is queued, the queue is bounded, and what
//! finds it full is dropped; one thread of the OpenTelemetry SDK empties it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Metadata;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{Layer, Registry};

use super::TelemetryError;
use super::sampling::RequestSampler;

/// Spans that wait to be sent.
const QUEUE_LEN_MAX: usize = 8192;
/// What a collector may answer: a few counts, as a rule.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long a request to the collector may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces go, and how many of them.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// `http://HOST:PORT` of the collector; by `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` when not given.
    pub endpoint: Option<String>,
    /// How many of all requests are kept, from 0 to 1.
    pub request_ratio: f64,
    /// Names this broker among others.
    pub instance: String,
}

pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    pub(super) fn start(
        settings: &TraceSettings,
        runtime: &Handle,
    ) -> Result<Self, TelemetryError> {
        let refused = |reason: String| {
            let endpoint = settings.endpoint.clone().unwrap_or_default();
            TelemetryError::Endpoint { endpoint, reason }
        };
        let client = reqwest::Client::builder().timeout(SEND_TIMEOUT).build();
        let client = client.map_err(|error| refused(error.to_string()))?;
        let post = Post { client, runtime: runtime.clone(), away: AtomicBool::new(false) };
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(post);
        if let Some(endpoint) = &settings.endpoint {
            let url = reqwest::Url::parse(endpoint).map_err(|error| refused(error.to_string()))?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(refused("it is no http address".into()));
            }
            exporter =
                exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')));
        }
        let exporter = exporter.build().map_err(|error| refused(error.to_string()))?;
        let queue = BatchConfigBuilder::default().with_max_queue_size(QUEUE_LEN_MAX).build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(queue).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(RequestSampler::new(settings.request_ratio))
            .with_resource(resource(settings))
            .build();
        Ok(Self { provider })
    }

    /// Takes the spans of this crate and of the tiering part, and nobody else's.
    pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let ours = filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("icecore"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
            .boxed()
    }

    pub(super) fn end(self, timeout: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(timeout) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next();
    metadata.is_span() && matches!(name, Some("icecore" | "icecore_tiering"))
}

fn resource(settings: &TraceSettings) -> Resource {
    let resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", settings.instance.clone()));
    // The environment's name counts, if it has one.
    match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => resource.build(),
        None => resource.with_service_name("icecore").build(),
    }
}

/// Sends one request after the other, on the broker's own runtime: the SDK's thread has none. Whether
/// the collector takes them is told when it changes.
struct Post {
    client: reqwest::Client,
    runtime: Handle,
    away: AtomicBool,
}

impl Post {
    fn note(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        let reason = match outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        match (self.away.swap(reason.is_some(), Ordering::Relaxed), reason) {
            (false, Some(reason)) => {
                tracing::warn!(reason, "the collector takes no traces: they are dropped");
            }
            (true, None) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?;
            let status = answer.status();
            Ok::<_, HttpError>(Response::builder().status(status).body(body(answer).await?)?)
        });
        let outcome = sent.await.map_err(HttpError::from).flatten();
        self.note(&outcome);
        outcome
    }
}

async fn body(mut answer: reqwest::Response) -> Result<Bytes, HttpError> {
    let mut body = BytesMut::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer is larger than {ANSWER_BYTES_MAX} bytes").into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

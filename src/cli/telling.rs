//! What a broker tells of itself, as its settings and the environment want it.

use tokio::runtime::Handle;

use crate::config::BrokerConfig;
use crate::telemetry::{LineFormat, Lines, LinesTo, Telemetry, TelemetryError, TraceSettings};

/// What asks for traces where the settings name no collector: OpenTelemetry's own variables.
const COLLECTORS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Begins lines and traces.
pub(super) fn start(
    config: &BrokerConfig,
    to: LinesTo,
    runtime: &Handle,
) -> Result<Telemetry, TelemetryError> {
    let filter = std::env::var("ICECORE_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = filter.unwrap_or_else(|| config.log_filter());
    let format = if config.logs_json() { LineFormat::Json } else { LineFormat::Text };
    let lines = Lines { format, filter, to };
    Telemetry::start(lines, traces(config).as_ref(), runtime)
}

fn traces(config: &BrokerConfig) -> Option<TraceSettings> {
    let endpoint = config.otlp_endpoint();
    let named = COLLECTORS.iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    let off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|off| off.eq_ignore_ascii_case("true"));
    ((endpoint.is_some() || named) && !off).then(|| TraceSettings {
        endpoint,
        request_ratio: config.traced_requests(),
        instance: config.node_id().to_string(),
    })
}

/// Tells of a panic by a line of the log, as of everything else.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, reason = panic.payload_as_str().unwrap_or_default(), "a panic");
    }));
}

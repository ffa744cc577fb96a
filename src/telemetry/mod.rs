//! What a broker tells of itself while it runs: lines in its log, and traces.
//!
//! Lines are made of events and traces of spans, and neither pays for the other: a span that nobody
//! wants is not made. The one thing that asks for spans is an OTLP collector, so without one the code
//! that makes them costs a look at a flag.

mod lines;
mod sampling;
mod traces;

use std::time::Duration;

use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub use lines::{LineFormat, Lines, LinesTo};
pub use traces::TraceSettings;

use traces::Traces;

/// How long the last traces may hold up the end.
const LAST_TRACES: Duration = Duration::from_secs(5);

/// Why lines and traces cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter of the lines does not read as one.
    #[error("logging.filter is {filter:?}: {source}; write it as in info,icecore::broker=debug")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The endpoint is no address of a collector.
    #[error(
        "tracing.otlp.endpoint is {endpoint:?}: give http://HOST:PORT of a collector ({reason})"
    )]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This process has begun them already.
    #[error(transparent)]
    Begun(#[from] TryInitError),
}

/// Lines and traces of this process, as long as it is held.
pub struct Telemetry {
    traces: Option<Traces>,
}

impl Telemetry {
    /// Begins them, once for each process. Traces are sent on `runtime`.
    ///
    /// # Errors
    /// When a setting is wrong, or it was done before.
    pub fn start(
        lines: Lines,
        traces: Option<&TraceSettings>,
        runtime: &Handle,
    ) -> Result<Self, TelemetryError> {
        let mut layers = vec![lines.layer()?];
        let traces = traces.map(|settings| Traces::start(settings, runtime)).transpose()?;
        if let Some(traces) = &traces {
            layers.push(traces.layer());
        }
        tracing_subscriber::registry().with(layers).try_init()?;
        Ok(Self { traces })
    }

    /// Sends the last traces. Blocking, but not for long; the runtime must still run.
    pub fn end(self) {
        if let Some(traces) = self.traces {
            traces.end(LAST_TRACES);
        }
    }
}

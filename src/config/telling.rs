//! What the settings say about the lines of the log, and about traces.

use super::broker::BrokerConfig;

impl BrokerConfig {
    /// Whether lines of the log are JSON objects (`logging.format`).
    #[must_use]
    pub fn logs_json(&self) -> bool {
        self.text("logging.format") == "json"
    }

    /// `logging.filter`.
    #[must_use]
    pub fn log_filter(&self) -> String {
        self.text("logging.filter")
    }

    /// `tracing.otlp.endpoint`, when it is given.
    #[must_use]
    pub fn otlp_endpoint(&self) -> Option<String> {
        Some(self.text("tracing.otlp.endpoint")).filter(|endpoint| !endpoint.is_empty())
    }

    /// `tracing.request.ratio`.
    #[must_use]
    pub fn traced_requests(&self) -> f64 {
        // It was read as a fraction, and told as one.
        self.text("tracing.request.ratio").parse().unwrap_or(0.0)
    }

    fn text(&self, name: &str) -> String {
        self.get(name).map(|(text, _)| text).unwrap_or_default()
    }
}

//! Requests by API.
//!
//! The table is an array by API key; a slot is filled when the API is first asked for, so a page
//! shows only what clients use and a request costs two loads and an increment.

use std::array;
use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{register, seconds};

/// API keys from 0 on that have a slot of their own; Kafka 4.3 ends at 92.
const APIS_MAX: usize = 128;
/// Error codes from -1 on that have a slot of their own; Kafka 4.3 ends at 133.
const ERRORS_MAX: usize = 192;

/// Handles for every API.
pub struct RequestMetrics {
    families: Families,
    by_key: [OnceLock<Box<ApiMetrics>>; APIS_MAX],
    unknown: OnceLock<Box<ApiMetrics>>,
}

#[derive(Clone)]
struct Families {
    requests: Family<RequestLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    seconds: Family<RequestLabels, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    request: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    request: &'static str,
    error: &'static str,
}

impl RequestMetrics {
    /// The handles of one API. `name` is Kafka's name of it, such as `Produce`, always the same
    /// for one key. Keys that no API has share one slot called `Unknown`.
    pub fn api(&self, key: i16, name: &'static str) -> &ApiMetrics {
        let slot = usize::try_from(key).ok().and_then(|key| self.by_key.get(key));
        match slot {
            Some(slot) => slot.get_or_init(|| self.create(name)),
            None => self.unknown.get_or_init(|| self.create("Unknown")),
        }
    }

    fn create(&self, request: &'static str) -> Box<ApiMetrics> {
        let labels = RequestLabels { request };
        Box::new(ApiMetrics {
            request,
            requests: self.families.requests.get_or_create_owned(&labels),
            seconds: self.families.seconds.get_or_create_owned(&labels),
            families: self.families.clone(),
            errors: array::from_fn(|_| OnceLock::new()),
        })
    }

    pub(super) fn registered(registry: &mut Registry) -> Self {
        let r = registry;
        let histograms = Family::new_with_constructor(seconds as fn() -> Histogram);
        let families = Families {
            requests: register(
                r,
                "kafka_network_requestmetrics_requests",
                "Requests taken up",
                Family::default(),
            ),
            errors: register(
                r,
                "kafka_network_requestmetrics_errors",
                "Error codes in responses, NONE among them",
                Family::default(),
            ),
            seconds: register(
                r,
                "icecore_request_seconds",
                "From taking a request up to having its response",
                histograms,
            ),
        };
        Self { families, by_key: array::from_fn(|_| OnceLock::new()), unknown: OnceLock::new() }
    }
}

impl std::fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestMetrics").finish_non_exhaustive()
    }
}

/// The handles of one API.
pub struct ApiMetrics {
    request: &'static str,
    /// Requests taken up.
    pub requests: Counter,
    seconds: Histogram,
    families: Families,
    errors: [OnceLock<Counter>; ERRORS_MAX],
}

impl ApiMetrics {
    /// Counts one error code of a response. `name` is Kafka's name of it, such as `NONE`; codes
    /// that Kafka does not have count as its -1.
    pub fn error(&self, code: i16, name: &'static str) {
        let slot = usize::try_from(i32::from(code) + 1).ok().and_then(|at| self.errors.get(at));
        match slot {
            Some(slot) => slot.get_or_init(|| self.error_counter(name)).inc(),
            None => self.errors[0].get_or_init(|| self.error_counter("UNKNOWN_SERVER_ERROR")).inc(),
        };
    }

    /// Records how long a request took.
    pub fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }

    fn error_counter(&self, error: &'static str) -> Counter {
        let labels = ErrorLabels { request: self.request, error };
        self.families.errors.get_or_create_owned(&labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_errors_are_counted_by_name_and_odd_keys_share_a_line() {
        let mut registry = Registry::default();
        let requests = RequestMetrics::registered(&mut registry);
        requests.api(0, "Produce").requests.inc();
        requests.api(0, "Produce").error(0, "NONE");
        requests.api(0, "Produce").error(-1, "UNKNOWN_SERVER_ERROR");
        requests.api(0, "Produce").error(i16::MAX, "?");
        requests.api(0, "Produce").took(Duration::from_micros(70));
        for key in [-1, i16::MIN, i16::MAX, 128] {
            requests.api(key, "?").requests.inc();
        }
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        for line in [
            "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 1",
            "kafka_network_requestmetrics_requests_total{request=\"Unknown\"} 4",
            "kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"NONE\"} 1",
            "{request=\"Produce\",error=\"UNKNOWN_SERVER_ERROR\"} 2",
            "icecore_request_seconds_bucket{le=\"0.0001\",request=\"Produce\"} 1",
        ] {
            assert!(page.contains(line), "{line} is missing in\n{page}");
        }
    }
}

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
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::page::Page;
use super::seconds;

/// API keys from 0 on that have a slot of their own; Kafka 4.3 ends at 92.
const APIS_MAX: usize = 128;
/// Error codes from -1 on that have a slot of their own; Kafka 4.3 ends at 133.
const ERRORS_MAX: usize = 192;

/// Handles for every API.
pub struct RequestMetrics {
    families: Families,
    by_key: [OnceLock<Box<ApiMetrics>>; APIS_MAX],
    unknown: OnceLock<Box<ApiMetrics>>,
    /// By [`Delayed`].
    waiting: [Gauge; 3],
}

/// What waits before it is answered: Kafka's purgatories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delayed {
    /// A produce request waits for its acks.
    Produce = 0,
    /// A fetch waits for records.
    Fetch = 1,
    /// A member waits for the others of its group.
    Rebalance = 2,
}

/// Counts a request among those that wait, until it is dropped.
#[derive(Debug)]
pub struct Waits(Gauge);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One label, whose name no field of ours may have.
type DelayedLabels = [(&'static str, &'static str); 1];

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

    /// Counts a request among those that wait.
    #[must_use]
    pub fn waits(&self, delayed: Delayed) -> Waits {
        let waiting = &self.waiting[delayed as usize];
        waiting.inc();
        Waits(waiting.clone())
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

    pub(super) fn registered(page: &mut Page) -> Self {
        let histograms = Family::new_with_constructor(seconds as fn() -> Histogram);
        let families = Families {
            requests: page.family(
                "kafka_network_requestmetrics_requests",
                &["request"],
                "Requests taken up",
            ),
            errors: page.family(
                "kafka_network_requestmetrics_errors",
                &["request", "error"],
                "Error codes in responses, NONE among them",
            ),
            seconds: page.add(
                "icecore_request_seconds",
                &["request"],
                "From taking a request up to having its response",
                histograms,
            ),
        };
        let purgatories: Family<DelayedLabels, Gauge> = page.family(
            "kafka_server_delayedoperationpurgatory_purgatorysize",
            &["delayedOperation"],
            "Requests that wait: for records, for acks, for the others of their group",
        );
        let waiting = ["Produce", "Fetch", "Rebalance"];
        let waiting = waiting
            .map(|operation| purgatories.get_or_create_owned(&[("delayedOperation", operation)]));
        Self {
            families,
            by_key: array::from_fn(|_| OnceLock::new()),
            unknown: OnceLock::new(),
            waiting,
        }
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
    /// Counts an error code that stands `count` times in a response. `name` is Kafka's name of it,
    /// such as `NONE`; codes that Kafka does not have count as its -1.
    pub fn errors(&self, code: i16, name: &'static str, count: u32) {
        let slot = usize::try_from(i32::from(code) + 1).ok().and_then(|at| self.errors.get(at));
        let counter = match slot {
            Some(slot) => slot.get_or_init(|| self.error_counter(name)),
            None => self.errors[0].get_or_init(|| self.error_counter("UNKNOWN_SERVER_ERROR")),
        };
        counter.inc_by(count.into());
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
        let mut page = Page::default();
        let requests = RequestMetrics::registered(&mut page);
        requests.api(0, "Produce").requests.inc();
        requests.api(0, "Produce").errors(0, "NONE", 3);
        requests.api(0, "Produce").errors(-1, "UNKNOWN_SERVER_ERROR", 1);
        requests.api(0, "Produce").errors(i16::MAX, "?", 1);
        requests.api(0, "Produce").took(Duration::from_micros(70));
        for key in [-1, i16::MIN, i16::MAX, 128] {
            requests.api(key, "?").requests.inc();
        }
        let waits = [Delayed::Fetch, Delayed::Fetch].map(|delayed| requests.waits(delayed));
        let [gone, _waits] = waits;
        drop(gone);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &page.registry).unwrap();
        for line in [
            "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 1",
            "kafka_network_requestmetrics_requests_total{request=\"Unknown\"} 4",
            "kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"NONE\"} 3",
            "{request=\"Produce\",error=\"UNKNOWN_SERVER_ERROR\"} 2",
            "icecore_request_seconds_bucket{le=\"0.0001\",request=\"Produce\"} 1",
            "purgatorysize{delayedOperation=\"Fetch\"} 1",
            "purgatorysize{delayedOperation=\"Produce\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}

//! The broker as a whole: what it is, whether it serves, how fast it syncs.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::page::Page;

/// The broker.
#[derive(Clone, Debug)]
pub struct BrokerMetrics {
    /// 1 while clients are served.
    pub ready: Gauge,
    /// 1 while this broker takes admin requests.
    pub active_controller: Gauge,
    start_milliseconds: Gauge,
    syncs: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

impl BrokerMetrics {
    /// Handles that no page shows.
    #[must_use]
    pub fn unregistered() -> Self {
        Self::registered(&mut Page::default())
    }

    /// Notes how long the start took.
    pub fn started_in(&self, took: Duration) {
        self.start_milliseconds.set(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    }

    /// Notes how long a sync of a log took.
    pub fn synced_in(&self, took: Duration) {
        self.syncs.observe(took.as_secs_f64());
    }

    pub(super) fn registered(page: &mut Page) -> Self {
        let build: Family<BuildLabels, Gauge> =
            page.family("icecore_build_info", &["version"], "1, for its label");
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        Self {
            ready: page.gauge("icecore_ready", "1 while clients are served"),
            active_controller: page.gauge(
                "kafka_controller_kafkacontroller_activecontrollercount",
                "1 while this broker takes admin requests",
            ),
            start_milliseconds: page.gauge("icecore_start_milliseconds", "How long the start took"),
            syncs: page.histogram(
                "icecore_log_sync_seconds",
                "How long an fdatasync of a partition's log took; one answers all who wait for it",
            ),
        }
    }
}

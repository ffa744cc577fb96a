//! The broker as a whole: what it is, whether it serves, and its disks.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::gauged;
use super::page::Page;

/// The broker and its disks.
#[derive(Clone, Debug)]
pub struct BrokerMetrics {
    /// 1 while clients are served.
    pub ready: Gauge,
    /// 1 while this broker takes admin requests.
    pub active_controller: Gauge,
    start_milliseconds: Gauge,
    syncs: Histogram,
    free: Family<DirLabels, Gauge>,
    size: Family<DirLabels, Gauge>,
}

/// A folder that has a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dir {
    /// The logs.
    Data,
    /// The read cache.
    Cache,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirLabels {
    dir: &'static str,
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

    /// Notes the size of the file system that a folder is on, and what is free of it for us.
    pub fn disk(&self, dir: Dir, size: u64, free: u64) {
        let dir = match dir {
            Dir::Data => "data",
            Dir::Cache => "cache",
        };
        self.size.get_or_create(&DirLabels { dir }).set(gauged(size));
        self.free.get_or_create(&DirLabels { dir }).set(gauged(free));
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
            free: page.family(
                "icecore_disk_free_bytes",
                &["dir"],
                "Free bytes of the file system that the folder is on",
            ),
            size: page.family(
                "icecore_disk_size_bytes",
                &["dir"],
                "Size of the file system that the folder is on",
            ),
        }
    }
}

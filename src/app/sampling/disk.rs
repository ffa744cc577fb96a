//! The disks of the logs and of the read cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::number;
use crate::app::start::Started;
use crate::config::BrokerConfig;
use crate::metrics::{DiskMetrics, Metrics};
use crate::replica::{Replicas, SpaceReport, SpaceState, disk_space};
use crate::task;

pub(super) struct Sampler {
    replicas: Arc<Replicas>,
    cache: PathBuf,
    metrics: Arc<Metrics>,
    before: SpaceReport,
}

impl Sampler {
    pub(super) fn new(started: &Started, config: &BrokerConfig, metrics: &Arc<Metrics>) -> Self {
        let (replicas, metrics) = (started.replicas.clone(), metrics.clone());
        let before = replicas.space().report();
        Self { replicas, cache: config.cache_dir(), metrics, before }
    }

    pub(super) async fn take(&mut self) {
        let now = self.replicas.space().report();
        show(&self.metrics.disk, &self.before, &now);
        self.before = now;
        let (cache, disk) = (self.cache.clone(), self.metrics.disk.clone());
        task::aside(move || show_cache(&disk, &cache)).await;
    }
}

fn show(disk: &DiskMetrics, before: &SpaceReport, now: &SpaceReport) {
    disk.total_bytes.set(number(now.total_bytes));
    disk.free_bytes.set(number(now.free_bytes));
    disk.full_state.set(match now.state {
        SpaceState::Enough => 0,
        SpaceState::Short => 1,
        SpaceState::Full => 2,
    });
    disk.refused_batches.inc_by(now.refused_batches - before.refused_batches);
    disk.dropped_segments.inc_by(now.dropped_segments - before.dropped_segments);
    disk.dropped_bytes.inc_by(now.dropped_bytes - before.dropped_bytes);
}

/// A store that is read in place has no cache, and no folder for it.
fn show_cache(disk: &DiskMetrics, cache: &Path) {
    if let Ok((total, free)) = disk_space(cache) {
        disk.cache_total_bytes.set(number(total));
        disk.cache_free_bytes.set(number(free));
    }
}

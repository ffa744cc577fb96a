//! Carries the remote tier's own counters over to the metrics, once a second.

use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::CounterValues;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::{Metrics, TieringMetrics};
use crate::replica::Replicas;

const INTERVAL: Duration = Duration::from_secs(1);

/// Samples until `stop`.
pub(super) fn start(
    replicas: &Arc<Replicas>,
    metrics: &Arc<Metrics>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let Some(tiering) = replicas.tiering().cloned() else { return };
    let (replicas, metrics, stop) = (replicas.clone(), metrics.clone(), stop.clone());
    tasks.spawn(async move {
        let mut before = CounterValues::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let now = tiering.counters();
            count(&metrics.tiering, &before, &now);
            let held = i64::try_from(tiering.cache_held_bytes()).unwrap_or(i64::MAX);
            metrics.tiering.cache_bytes.set(held);
            lag(&metrics.tiering, &replicas);
            before = now;
        }
    });
}

fn count(metrics: &TieringMetrics, before: &CounterValues, now: &CounterValues) {
    metrics.copy_requests.inc_by(now.uploads - before.uploads);
    metrics.copy_bytes.inc_by(now.upload_bytes - before.upload_bytes);
    metrics.copy_errors.inc_by(now.upload_errors - before.upload_errors);
    metrics.fetch_requests.inc_by(now.reads - before.reads);
    metrics.fetch_bytes.inc_by(now.read_bytes - before.read_bytes);
    metrics.fetch_errors.inc_by(now.read_errors - before.read_errors);
    metrics.cache_hits.inc_by(now.chunk_hits - before.chunk_hits);
    metrics.cache_misses.inc_by(now.chunk_misses - before.chunk_misses);
    metrics.cache_fills.inc_by(now.chunk_fills - before.chunk_fills);
    metrics.cache_evictions.inc_by(now.chunk_evictions - before.chunk_evictions);
    metrics.cache_wrong_chunks.inc_by(now.wrong_chunks - before.wrong_chunks);
}

/// Sealed segments that wait for their upload.
fn lag(metrics: &TieringMetrics, replicas: &Replicas) {
    let (mut segments, mut bytes) = (0, 0);
    for partition in replicas.all().iter().filter(|partition| partition.log().is_tiered()) {
        let uploaded = partition.log().remote_end().unwrap_or_default();
        for sealed in partition.log().local().sealed().iter().filter(|s| s.end() > uploaded) {
            segments += 1;
            bytes += i64::try_from(sealed.size()).unwrap_or(0);
        }
    }
    metrics.copy_lag_segments.set(segments);
    metrics.copy_lag_bytes.set(bytes);
}

//! Carries the disk's and the remote tier's own counters over to the metrics, once a second.

use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{CounterValues, StoreState, Tiering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::follow::{Follower, View};
use super::replays;
use super::start::Started;
use crate::broker::Broker;
use crate::metrics::{Metrics, StoreFailure, TieringMetrics};
use crate::replica::{Replicas, SpaceReport, SpaceState};

const INTERVAL: Duration = Duration::from_secs(1);

/// Samples until `stop`.
pub(super) fn start(
    started: &Started,
    metrics: &Arc<Metrics>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let sampler = Sampler {
        replicas: started.replicas.clone(),
        broker: started.broker.clone(),
        metrics: metrics.clone(),
        view: started.follower.as_ref().map(Follower::view),
    };
    let stop = stop.clone();
    tasks.spawn(async move {
        let mut before = CounterValues::default();
        let mut space = sampler.replicas.space().report();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            space = sampler.disk(&space);
            if let Some(tiering) = sampler.replicas.tiering() {
                before = sampler.remote(tiering, &before);
            }
        }
    });
}

/// What is looked at, and where it is shown.
struct Sampler {
    replicas: Arc<Replicas>,
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
    /// Of a read-only server.
    view: Option<Arc<View>>,
}

impl Sampler {
    fn disk(&self, before: &SpaceReport) -> SpaceReport {
        let (disk, now) = (&self.metrics.disk, self.replicas.space().report());
        disk.total_bytes.set(signed(now.total_bytes));
        disk.free_bytes.set(signed(now.free_bytes));
        disk.full_state.set(match now.state {
            SpaceState::Enough => 0,
            SpaceState::Short => 1,
            SpaceState::Full => 2,
        });
        disk.refused_batches.inc_by(now.refused_batches - before.refused_batches);
        disk.dropped_segments.inc_by(now.dropped_segments - before.dropped_segments);
        disk.dropped_bytes.inc_by(now.dropped_bytes - before.dropped_bytes);
        now
    }

    fn remote(&self, tiering: &Tiering, before: &CounterValues) -> CounterValues {
        let (metrics, now) = (&self.metrics.tiering, tiering.counters());
        count(metrics, before, &now);
        metrics.cache_bytes.set(signed(tiering.cache_held_bytes()));
        metrics.cache_guests.set(tiering.cache_guests());
        metrics.cache_is_guest.set(tiering.is_cache_guest().into());
        let left_alone = tiering.store_state() != StoreState::Answering;
        metrics.store_is_left_alone.set(left_alone.into());
        let age = self.view.as_ref().and_then(|view| i64::try_from(view.age().as_secs()).ok());
        metrics.view_age_seconds.set(age.unwrap_or(-1));
        lag(metrics, &self.replicas);
        self.metrics.replays.show(self.broker.replays().into_iter().map(replays::line));
        now
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
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
    metrics.cache_shared_hits.inc_by(now.shared_hits - before.shared_hits);
    metrics.cache_shared_flights.inc_by(now.shared_flights - before.shared_flights);
    metrics.cache_fallbacks.inc_by(now.guest_fallbacks - before.guest_fallbacks);
    metrics.cache_refused_guests.inc_by(now.guest_refusals - before.guest_refusals);
    metrics.store_throttled.inc_by(now.throttled - before.throttled);
    metrics.store_left_alone.inc_by(now.left_alone - before.left_alone);
    metrics.store_held_back.inc_by(now.held_back - before.held_back);
    metrics.replay_index_gets.inc_by(now.index_gets - before.index_gets);
    metrics.replay_log_gets.inc_by(now.log_gets - before.log_gets);
    metrics.replay_fetched_bytes.inc_by(now.replay_bytes - before.replay_bytes);
    metrics.store_slow.inc_by(now.slow - before.slow);
    metrics.store_unlisted.inc_by(now.unlisted - before.unlisted);
    for (kind, count) in [
        (StoreFailure::Busy, now.busy - before.busy),
        (StoreFailure::TimedOut, now.timeouts - before.timeouts),
        (StoreFailure::Denied, now.denied - before.denied),
        (StoreFailure::Refused, now.refused - before.refused),
        (StoreFailure::WrongBytes, now.wrong_bytes - before.wrong_bytes),
    ] {
        metrics.store_failures(kind).inc_by(count);
    }
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

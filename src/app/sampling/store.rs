//! The remote tier's own counters, and every call to its store.

use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{
    CacheClass, CallOutcome, CounterValues, StoreCall, StoreState, StoreWatch, Tiering,
};

use super::number;
use crate::app::follow::{Follower, View};
use crate::app::replays;
use crate::app::start::Started;
use crate::broker::Broker;
use crate::metrics::{Metrics, StoreFailure, StoreMetrics};
use crate::replica::Upkeep;

/// Counts calls to the store.
pub(in crate::app) struct Watch(pub(in crate::app) StoreMetrics);

impl StoreWatch for Watch {
    fn ended(&self, call: StoreCall, outcome: CallOutcome, took: Duration) {
        self.0.called(call.name(), outcome.name(), took);
    }
}

pub(super) struct Sampler {
    tiering: Arc<Tiering>,
    broker: Arc<Broker>,
    upkeep: Arc<Upkeep>,
    /// Of a read-only server.
    view: Option<Arc<View>>,
    metrics: Arc<Metrics>,
    before: Box<CounterValues>,
}

impl Sampler {
    pub(super) fn new(started: &Started, tiering: &Arc<Tiering>, metrics: &Arc<Metrics>) -> Self {
        Self {
            tiering: tiering.clone(),
            broker: started.broker.clone(),
            upkeep: started.upkeep.clone(),
            view: started.follower.as_ref().map(Follower::view),
            metrics: metrics.clone(),
            before: Box::default(),
        }
    }

    pub(super) fn take(&mut self) {
        let now = self.tiering.counters();
        count_tier(&self.metrics, &self.before, &now);
        count_cache(&self.metrics, &self.before, &now);
        count_store(&self.metrics.store, &self.before, &now);
        *self.before = now;
        let failing = self.upkeep.failing().map_or(0, |failing| failing.partitions as u64);
        self.metrics.tiering.failing_partitions.set(number(failing));
        self.metrics.tiering.cache_bytes.set(number(self.tiering.cache_held_bytes()));
        self.metrics.tiering.cache_size_bytes.set(number(self.tiering.cache_size_bytes()));
        for class in CacheClass::ALL {
            let bytes = number(self.tiering.cache_class_bytes(class));
            self.metrics.tiering.cache_class_bytes(class.name()).set(bytes);
        }
        self.metrics.tiering.cache_guests.set(self.tiering.cache_guests());
        self.metrics.tiering.cache_is_guest.set(self.tiering.is_cache_guest().into());
        let left_alone = self.tiering.store_state() != StoreState::Answering;
        self.metrics.store.is_left_alone.set(left_alone.into());
        let age = self.view.as_ref().map(|view| number(view.age().as_secs()));
        self.metrics.tiering.view_age_seconds.set(age.unwrap_or(-1));
        self.metrics.replays.show(self.broker.replays().into_iter().map(replays::line));
    }
}

fn count_tier(metrics: &Metrics, before: &CounterValues, now: &CounterValues) {
    let metrics = &metrics.tiering;
    metrics.copy_requests.inc_by(now.uploads - before.uploads);
    metrics.copy_bytes.inc_by(now.upload_bytes - before.upload_bytes);
    metrics.copy_errors.inc_by(now.upload_errors - before.upload_errors);
    metrics.fetch_requests.inc_by(now.reads - before.reads);
    metrics.fetch_bytes.inc_by(now.read_bytes - before.read_bytes);
    metrics.fetch_errors.inc_by(now.read_errors - before.read_errors);
    metrics.delete_requests.inc_by(now.segment_deletes - before.segment_deletes);
    metrics.delete_errors.inc_by(now.segment_delete_errors - before.segment_delete_errors);
    metrics.garbage_found.inc_by(now.garbage_found - before.garbage_found);
    metrics.garbage_removed.inc_by(now.garbage_removed - before.garbage_removed);
    metrics.missing_segments.inc_by(now.missing_found - before.missing_found);
    metrics.replay_index_gets.inc_by(now.index_gets - before.index_gets);
    metrics.replay_log_gets.inc_by(now.log_gets - before.log_gets);
    metrics.replay_fetched_bytes.inc_by(now.replay_bytes - before.replay_bytes);
}

fn count_cache(metrics: &Metrics, before: &CounterValues, now: &CounterValues) {
    let metrics = &metrics.tiering;
    metrics.cache_hits.inc_by(now.chunk_hits - before.chunk_hits);
    metrics.cache_misses.inc_by(now.chunk_misses - before.chunk_misses);
    metrics.cache_fills.inc_by(now.chunk_fills - before.chunk_fills);
    metrics.cache_evictions.inc_by(now.chunk_evictions - before.chunk_evictions);
    metrics.cache_wrong_chunks.inc_by(now.wrong_chunks - before.wrong_chunks);
    metrics.cache_shared_hits.inc_by(now.shared_hits - before.shared_hits);
    metrics.cache_shared_flights.inc_by(now.shared_flights - before.shared_flights);
    metrics.cache_fallbacks.inc_by(now.guest_fallbacks - before.guest_fallbacks);
    metrics.cache_refused_guests.inc_by(now.guest_refusals - before.guest_refusals);
}

fn count_store(metrics: &StoreMetrics, before: &CounterValues, now: &CounterValues) {
    metrics.throttled.inc_by(now.throttled - before.throttled);
    metrics.left_alone.inc_by(now.left_alone - before.left_alone);
    metrics.held_back.inc_by(now.held_back - before.held_back);
    metrics.slow.inc_by(now.slow - before.slow);
    metrics.unlisted.inc_by(now.unlisted - before.unlisted);
    metrics.deleted.inc_by(now.deletes - before.deletes);
    metrics.delete_failures.inc_by(now.delete_errors - before.delete_errors);
    for (kind, count) in [
        (StoreFailure::Busy, now.busy - before.busy),
        (StoreFailure::TimedOut, now.timeouts - before.timeouts),
        (StoreFailure::Denied, now.denied - before.denied),
        (StoreFailure::Refused, now.refused - before.refused),
        (StoreFailure::WrongBytes, now.wrong_bytes - before.wrong_bytes),
    ] {
        metrics.failures(kind).inc_by(count);
    }
}

//! The broker as it is seen from the HTTP port.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::BoxFuture;
use icecore_tiering::{Bounds, ReplayStream, Replays, StoreState};
use parking_lot::Mutex;

use crate::http::{
    ObserveError, Observed, PartitionStatus, ReplayStatus, ReplaysStatus, TierStatus,
};
use crate::log::{FileKind, Sealed};
use crate::replica::{Partition, Replicas};

/// Tells how far the start is, and where bytes lie once it is done.
pub(super) struct Observer {
    state: Mutex<State>,
}

enum State {
    NotReady(String),
    Ready(Arc<Replicas>),
}

impl Observer {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::NotReady("starting".into())) }
    }

    /// Notes what the start is waiting for.
    pub(super) fn starting(&self, what: &str) {
        *self.state.lock() = State::NotReady(format!("starting: {what}"));
    }

    pub(super) fn ready(&self, replicas: Arc<Replicas>) {
        *self.state.lock() = State::Ready(replicas);
    }

    pub(super) fn ending(&self) {
        *self.state.lock() = State::NotReady("ending".into());
    }

    fn replicas(&self) -> Result<Arc<Replicas>, String> {
        match &*self.state.lock() {
            State::Ready(replicas) => Ok(replicas.clone()),
            State::NotReady(why) => Err(why.clone()),
        }
    }
}

impl Observed for Observer {
    fn ready(&self) -> Result<(), String> {
        self.replicas().map(drop)
    }

    fn remarks(&self) -> Vec<String> {
        let replicas = self.replicas().ok();
        let state = replicas.and_then(|replicas| Some(replicas.tiering()?.store_state()));
        match state {
            Some(StoreState::LeftAlone { since, held_back, error, .. }) => vec![format!(
                "the object store has failed for {} s and is left alone, {held_back} calls were not \
                 made: {error}",
                since.as_secs()
            )],
            Some(StoreState::Answering) | None => Vec::new(),
        }
    }

    fn partitions(&self) -> BoxFuture<'_, Result<Vec<PartitionStatus>, ObserveError>> {
        Box::pin(async {
            let mut all = Vec::new();
            for partition in self.replicas()?.all() {
                let bounds = match partition.log().tier() {
                    Some(tier) => Some(tier.tiering.bounds(&tier.key).await?),
                    None => None,
                };
                all.push(tokio::task::spawn_blocking(move || status(&partition, bounds)).await?);
            }
            Ok(all)
        })
    }

    fn replays(&self) -> Result<ReplaysStatus, ObserveError> {
        let replicas = self.replicas()?;
        Ok(replicas.tiering().map_or_else(ReplaysStatus::default, |t| replays(t.replays())))
    }
}

fn replays(replays: Replays) -> ReplaysStatus {
    let reader = |stream: ReplayStream| ReplayStatus {
        topic: stream.partition.topic.to_string(),
        partition: stream.partition.partition,
        segment_base_offset: stream.segment_base.get(),
        segment_position: stream.position,
        bytes_per_second: whole(stream.bytes_per_second),
        waits_for_store: stream.waits,
        window_bytes: stream.window_bytes,
        requests: stream.requests,
    };
    ReplaysStatus {
        first_byte_ms: u64::try_from(replays.first_byte.as_millis()).unwrap_or(u64::MAX),
        request_bytes_per_second: whole(replays.request_bytes_per_second),
        total_bytes_per_second: whole(replays.total_bytes_per_second),
        readers: replays.streams.into_iter().map(reader).collect(),
    }
}

/// A rate in whole bytes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and none comes near 2^64"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}

/// Where one partition's bytes lie. Blocking: the age of what waits is that of its file.
fn status(partition: &Partition, bounds: Option<Bounds>) -> PartitionStatus {
    let log = partition.log();
    let sealed = log.local().sealed();
    let (_, active) = log.local().active_extent();
    let uploaded = log.remote_end().unwrap_or_default();
    let waits = |segment: &&Arc<Sealed>| log.is_tiered() && segment.end() > uploaded;
    let pending: Vec<_> = sealed.iter().filter(waits).collect();
    let remote_oldest = bounds.as_ref().map(|bounds| bounds.first_timestamp_ms);
    let oldest = remote_oldest.filter(|ms| *ms >= 0).or_else(|| local_oldest(partition));
    PartitionStatus {
        topic: partition.name().topic.to_string(),
        partition: partition.name().partition,
        log_start_offset: log.log_start().get(),
        local_log_start_offset: log.local_log_start().get(),
        high_watermark: partition.high_watermark().get(),
        log_end_offset: log.local().log_end().get(),
        local: TierStatus {
            segments: sealed.len() as u64 + 1,
            bytes: sealed.iter().map(|segment| segment.size()).sum::<u64>() + active.size,
        },
        remote: bounds.map_or_else(TierStatus::default, |bounds| TierStatus {
            segments: bounds.segments,
            bytes: bounds.bytes,
        }),
        pending: TierStatus {
            segments: pending.len() as u64,
            bytes: pending.iter().map(|segment| segment.size()).sum(),
        },
        oldest_timestamp_ms: oldest,
        upload_lag_ms: pending.first().map_or(0, |oldest| sealed_for_ms(oldest)),
    }
}

/// The timestamp of the first record on this disk, if it is known.
fn local_oldest(partition: &Partition) -> Option<i64> {
    let first = partition.log().local().first_timestamp_ms();
    let first = first.inspect_err(|error| {
        tracing::warn!(partition = %partition.name(), %error, "the oldest record cannot be read");
    });
    first.ok().filter(|ms| *ms >= 0)
}

/// How long ago the segment was last written; 0 when it is gone meanwhile.
fn sealed_for_ms(segment: &Sealed) -> i64 {
    let age = || -> io::Result<i64> {
        let written = std::fs::metadata(segment.path(FileKind::Log))?.modified()?;
        let age = SystemTime::now().duration_since(written).unwrap_or_default();
        Ok(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    age().unwrap_or(0)
}

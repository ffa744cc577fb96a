//! Rolling by age, and the retention of what lies on the local disk.
//!
//! A partition without a remote tier loses its oldest segments: the log start moves first,
//! durably, then files go. A tiered partition loses local copies only of what the remote tier
//! holds; that it holds them is durable before a file goes.

use std::sync::Arc;

use icecore_tiering::RemoteState;

use super::{Amount, Error};
use crate::config::TopicConfig;
use crate::log::retention::{Candidate, Policy, expired};
use crate::log::{Sealed, Tier};
use crate::model::Offset;
use crate::replica::{Partition, Replicas};

/// Looks after one partition. What fails is tried again at the next turn; one that cannot be rolled can
/// be freed all the same.
pub(super) async fn partition(
    replicas: &Arc<Replicas>,
    partition: Arc<Partition>,
) -> Result<(), Error> {
    let now_ms = replicas.env().clock.now_ms();
    let rolled = roll(&partition, now_ms).await;
    let rolled = rolled.map_err(|error| format!("a segment was not rolled: {error}"));
    let freed = match partition.log().is_tiered() {
        true => free_local(replicas, &partition, now_ms).await,
        false => delete_old(replicas, &partition, now_ms).await,
    };
    match (rolled, freed) {
        (Err(rolled), Err(freed)) => Err(format!("{freed}; {rolled}").into()),
        (rolled, freed) => freed.and(rolled.map_err(Error::from)),
    }
}

/// Rolls what is due by age, by the bound on the upload lag, or because all of it has expired.
async fn roll(partition: &Arc<Partition>, now_ms: i64) -> Result<(), Error> {
    let (config, tiered) = (partition.config(), partition.log().is_tiered());
    let log = partition.log().local().clone();
    tokio::task::spawn_blocking(move || {
        let (_, active) = log.active_extent();
        let age = ActiveAge {
            size: active.size,
            max_timestamp_ms: active.max_timestamp_ms,
            open_ms: log.active_for_ms(now_ms),
        };
        match age.ends_early(&config, tiered, now_ms) {
            true => log.force_roll(),
            false => log.roll_if_due(now_ms),
        }
    })
    .await??;
    Ok(())
}

/// What decides whether the active segment is rolled before it is full or `segment.ms` old.
pub(super) struct ActiveAge {
    pub(super) size: u64,
    pub(super) max_timestamp_ms: i64,
    /// How long it has held records.
    pub(super) open_ms: i64,
}

impl ActiveAge {
    /// Whether all of it has expired, or the bound on the upload lag is reached.
    pub(super) fn ends_early(&self, config: &TopicConfig, tiered: bool, now_ms: i64) -> bool {
        if self.size == 0 {
            return false;
        }
        let age_ms = now_ms.saturating_sub(self.max_timestamp_ms);
        let expired =
            self.max_timestamp_ms >= 0 && config.retention_ms().is_some_and(|ms| age_ms > ms);
        let lag = config.max_upload_lag().filter(|_| tiered);
        expired
            || lag.is_some_and(|lag| {
                u128::from(self.open_ms.max(0).unsigned_abs()) >= lag.as_millis()
            })
    }
}

/// What retention knows of segments.
pub(super) fn candidates(sealed: &[Arc<Sealed>]) -> Vec<Candidate> {
    let candidate = |sealed: &Arc<Sealed>| Candidate {
        end: sealed.end(),
        size: sealed.size(),
        // Without timestamps a segment's age is not known: it counts as new.
        max_timestamp_ms: match sealed.max_timestamp_ms() {
            -1 => i64::MAX,
            known => known,
        },
    };
    sealed.iter().map(candidate).collect()
}

/// Up to where the local segments are to go.
fn due(partition: &Partition, policy: Policy, now_ms: i64) -> Option<Offset> {
    let log = partition.log().local();
    let candidates = candidates(&log.sealed());
    let active = log.active_extent().1.size;
    let until = expired(&candidates, active, log.log_start(), policy, now_ms)?;
    // Records above the high watermark are not the partition's yet.
    Some(until).filter(|until| *until <= partition.high_watermark())
}

/// Deletes what retention ends, where there is no other tier.
async fn delete_old(
    replicas: &Arc<Replicas>,
    partition: &Arc<Partition>,
    now_ms: i64,
) -> Result<(), Error> {
    let config = partition.config();
    let policy = Policy { ms: config.retention_ms(), bytes: config.retention_bytes() };
    if let Some(until) = due(partition, policy, now_ms) {
        replicas.move_log_start(partition, until).await?;
    }
    // Whatever the policy: nobody can read what lies below the log start any more.
    let log = partition.log().local();
    let start = log.log_start();
    if log.sealed().first().is_some_and(|oldest| oldest.end() <= start) {
        let bytes = remove(partition, start).await?;
        tracing::info!(partition = %partition.name(), bytes, log_start = %start, "retention deleted");
    }
    Ok(())
}

/// Frees the disk of what the remote tier holds, and of what is deleted in both. Nothing goes while
/// the remote tier is being cleared.
async fn free_local(
    replicas: &Arc<Replicas>,
    partition: &Arc<Partition>,
    now_ms: i64,
) -> Result<(), Error> {
    let Ok(_held) = partition.local_copies().try_lock() else { return Ok(()) };
    let (config, tier) = (partition.config(), partition.log().tier());
    let leaves = !config.remote_storage_enable() && config.remote_delete_on_disable();
    let Some(tier) = tier.filter(|_| !leaves) else { return Ok(()) };
    if !uploads(&config) && tier.tiering.bounds(&tier.key).await?.segments == 0 {
        // The remote tier is empty and stays so: what is here is all, and expires here.
        let policy = Policy { ms: config.retention_ms(), bytes: config.retention_bytes() };
        if let Some(until) = due(partition, policy, now_ms) {
            replicas.move_log_start(partition, until).await?;
        }
    }
    let policy = Policy { ms: config.local_retention_ms(), bytes: config.local_retention_bytes() };
    let Some(until) = due(partition, policy, now_ms) else { return Ok(()) };
    let log_start = partition.log().log_start();
    let safe = partition.log().remote_end().unwrap_or_default().max(log_start);
    free_until(partition, &tier, until.min(safe)).await.map(drop)
}

/// Whether sealed segments go to the remote tier.
pub(super) fn uploads(config: &TopicConfig) -> bool {
    config.remote_storage_enable() && !config.remote_copy_disable()
}

/// Frees the disk of the segments that end at or before `until`: each only once it is durable that the
/// remote tier answers for it. `local_copies` is held by the caller.
pub(super) async fn free_until(
    partition: &Arc<Partition>,
    tier: &Tier,
    until: Offset,
) -> Result<Amount, Error> {
    let log_start = partition.log().log_start();
    let sealed = partition.log().local().sealed();
    let going: Vec<_> = sealed.iter().take_while(|segment| segment.end() <= until).collect();
    for segment in &going {
        note_gone(tier, segment, log_start).await?;
    }
    if let Some(last) = going.last() {
        let (until, bytes) = (last.end(), remove(partition, last.end()).await?);
        tracing::debug!(partition = %partition.name(), bytes, %until, "local segments removed");
    }
    Ok(Amount::of(going.iter().map(|segment| segment.size())))
}

/// Makes it durable that the local copy may go.
async fn note_gone(tier: &Tier, sealed: &Sealed, log_start: Offset) -> Result<(), Error> {
    let rows = tier.tiering.segments(&tier.key, sealed.base()..sealed.base().next(), 1).await?;
    match rows.first() {
        Some(row) if row.remote == RemoteState::Live => tier.tiering.local_gone(row).await?,
        Some(row) if sealed.end() <= log_start => tier.tiering.forget(row).await?,
        None if sealed.end() <= log_start => {}
        // The manifest does not vouch for it: it stays.
        _ => {
            return Err(format!("the manifest has no live row for offset {}", sealed.base()).into());
        }
    }
    Ok(())
}

/// Removes what lies below an offset; gives the bytes that are free by it.
async fn remove(partition: &Arc<Partition>, until: Offset) -> Result<u64, Error> {
    let log = partition.log().local().clone();
    Ok(tokio::task::spawn_blocking(move || log.remove_until(until)).await??)
}

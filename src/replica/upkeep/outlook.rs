//! What the duties will do with a partition by other settings, once they have come round: told before
//! the settings are changed.
//!
//! It is decided by the same functions that the duties use, in the order in which they follow on each
//! other: roll, upload, expire, free. Nothing is changed, and nothing is asked of the store.

use std::sync::Arc;

use icecore_tiering::{ForeseenExpiry, PartitionKey, Retention, Segment, Tiering};
use serde::{Deserialize, Serialize};

use super::retain::{ActiveAge, candidates, uploads};
use super::{Error, upload};
use crate::config::TopicConfig;
use crate::log::retention::{Candidate, Policy, expired};
use crate::log::{Log, Sealed};
use crate::model::{LeaderEpoch, Offset};
use crate::replica::{Isolation, Partition, Replicas};

/// A number of segments and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Segments.
    pub segments: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn of(sizes: impl Iterator<Item = u64>) -> Self {
        sizes.fold(Self::default(), |sum, bytes| Self {
            segments: sum.segments + 1,
            bytes: sum.bytes + bytes,
        })
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { segments: self.segments + other.segments, bytes: self.bytes + other.bytes }
    }
}

/// What will be done with a partition, or with several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Goes up to the object store.
    pub uploaded: Amount,
    /// Leaves the local disk; the object store has it.
    pub freed_locally: Amount,
    /// Leaves the object store, for good.
    pub deleted_remotely: Amount,
    /// Leaves the local disk for good, where the object store never had it.
    pub deleted_locally: Amount,
}

impl Outlook {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            uploaded: self.uploaded.plus(other.uploaded),
            freed_locally: self.freed_locally.plus(other.freed_locally),
            deleted_remotely: self.deleted_remotely.plus(other.deleted_remotely),
            deleted_locally: self.deleted_locally.plus(other.deleted_locally),
        }
    }
}

impl Replicas {
    /// What will be done with a partition that has these settings. What is due by its settings of now is
    /// in it, as far as it is due by these as well.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn outlook(
        &self,
        partition: &Partition,
        config: &Arc<TopicConfig>,
    ) -> Result<Outlook, Error> {
        let now_ms = self.env().clock.now_ms();
        let (log, of, tiers) =
            (partition.log().local().clone(), config.clone(), config.remote_storage_enable());
        // A write may be under way.
        let local = tokio::task::spawn_blocking(move || Local::of(&log, &of, tiers, now_ms));
        let local = local.await?;
        match self.tiering() {
            Some(tiering) if tiers => tiered(tiering, partition, &local, config, now_ms).await,
            Some(tiering) if partition.log().is_tiered() => {
                leaving(tiering, partition, config).await
            }
            _ => Ok(untiered(partition, &local, config, now_ms)),
        }
    }
}

/// The local segments after a roll, if one is due.
struct Local {
    sealed: Vec<Span>,
    active_bytes: u64,
}

/// A segment that is sealed, or will be.
#[derive(Clone, Copy)]
struct Span {
    base: Offset,
    candidate: Candidate,
}

impl Local {
    /// Blocking.
    fn of(log: &Log, config: &TopicConfig, tiered: bool, now_ms: i64) -> Self {
        let sealed = log.sealed();
        let span = |(sealed, candidate): (&Arc<Sealed>, Candidate)| Span {
            base: sealed.base(),
            candidate,
        };
        let mut spans: Vec<_> = sealed.iter().zip(candidates(&sealed)).map(span).collect();
        let (base, active) = log.active_extent();
        let (size, max_timestamp_ms) = (active.size, active.max_timestamp_ms);
        let age = ActiveAge { size, max_timestamp_ms, open_ms: log.active_for_ms(now_ms) };
        let rolled = age.ends_early(config, tiered, now_ms)
            || size > 0 && age.open_ms >= config.segment_ms();
        if !rolled {
            return Self { sealed: spans, active_bytes: size };
        }
        let max_timestamp_ms = if max_timestamp_ms < 0 { i64::MAX } else { max_timestamp_ms };
        let candidate = Candidate { end: active.end, size, max_timestamp_ms };
        spans.push(Span { base, candidate });
        Self { sealed: spans, active_bytes: 0 }
    }

    /// Up to where `policy` ends segments.
    fn expired(
        &self,
        log_start: Offset,
        policy: Policy,
        high_watermark: Offset,
        now_ms: i64,
    ) -> Offset {
        let all: Vec<_> = self.sealed.iter().map(|span| span.candidate).collect();
        let until = expired(&all, self.active_bytes, log_start, policy, now_ms);
        until.filter(|until| *until <= high_watermark).unwrap_or_default()
    }

    /// The segments that end behind `from`, and at or before `until`.
    fn between(&self, from: Offset, until: Offset) -> Amount {
        let ends = self.sealed.iter().map(|span| span.candidate);
        let ends = ends.filter(|candidate| from < candidate.end && candidate.end <= until);
        Amount::of(ends.map(|candidate| candidate.size))
    }
}

/// What is kept over both tiers.
fn total(config: &TopicConfig) -> Policy {
    Policy { ms: config.retention_ms(), bytes: config.retention_bytes() }
}

fn untiered(partition: &Partition, local: &Local, config: &TopicConfig, now_ms: i64) -> Outlook {
    let (start, end) = (partition.log().log_start(), partition.high_watermark());
    let until = local.expired(start, total(config), end, now_ms);
    let deleted_locally = local.between(Offset::ZERO, until);
    Outlook { deleted_locally, ..Outlook::default() }
}

/// All that the object store has goes, if that is permitted.
async fn leaving(
    tiering: &Tiering,
    partition: &Partition,
    config: &TopicConfig,
) -> Result<Outlook, Error> {
    if !config.remote_delete_on_disable() {
        return Ok(Outlook::default());
    }
    let bounds = tiering.bounds(&partition.tier_key()).await?;
    let deleted_remotely = Amount { segments: bounds.segments, bytes: bounds.bytes };
    Ok(Outlook { deleted_remotely, ..Outlook::default() })
}

async fn tiered(
    tiering: &Tiering,
    partition: &Partition,
    local: &Local,
    config: &TopicConfig,
    now_ms: i64,
) -> Result<Outlook, Error> {
    let (log, key) = (partition.log(), partition.tier_key());
    let (start, remote_end) = (log.log_start(), log.remote_end().unwrap_or_default());
    let high_watermark = partition.high_watermark();
    let waiting = match uploads(config) {
        true => waiting(local, remote_end.max(start), partition),
        false => Vec::new(),
    };
    let uploaded_until = waiting.last().map_or(remote_end, |last| last.candidate.end);
    let retention =
        Retention { ms: config.retention_ms(), bytes: config.retention_bytes(), log_start: start };
    let local_only = upload::local_only_bytes(log.local(), remote_end);
    let rows: Vec<_> = waiting.iter().map(|span| row(&key, span, now_ms)).collect();
    let expiry = tiering.foresee_expiry(&key, retention, &rows, local_only, now_ms).await?;
    let ForeseenExpiry { segments, bytes, new_log_start } = expiry;
    let log_start = new_log_start.unwrap_or(start);
    let policy = Policy { ms: config.local_retention_ms(), bytes: config.local_retention_bytes() };
    let until = local.expired(log_start, policy, high_watermark, now_ms);
    let mut outlook = Outlook {
        uploaded: Amount::of(waiting.iter().map(|span| span.candidate.size)),
        freed_locally: local.between(Offset::ZERO, until.min(uploaded_until.max(log_start))),
        deleted_remotely: Amount { segments, bytes },
        deleted_locally: Amount::default(),
    };
    if !uploads(config) && tiering.bounds(&key).await?.segments == segments {
        let until = local.expired(log_start, total(config), high_watermark, now_ms);
        outlook.deleted_locally = local.between(uploaded_until.max(log_start), until);
    }
    Ok(outlook)
}

/// The segments that will be uploaded.
fn waiting(local: &Local, uploaded: Offset, partition: &Partition) -> Vec<Span> {
    let decided = partition.readable_end(Isolation::ReadCommitted);
    let waits = local.sealed.iter().filter(|span| span.candidate.end > uploaded);
    waits.take_while(|span| span.candidate.end <= decided).copied().collect()
}

/// The row that a segment will have, as far as retention looks at it.
fn row(key: &PartitionKey, span: &Span, now_ms: i64) -> Segment {
    let Candidate { end, size, max_timestamp_ms } = span.candidate;
    let time_ms = if max_timestamp_ms == i64::MAX { -1 } else { max_timestamp_ms };
    let (offsets, times) = ((span.base, end.prev()), (time_ms, time_ms));
    Segment::sealed(key.clone(), offsets, times, size, LeaderEpoch::ZERO, Vec::new(), now_ms)
}

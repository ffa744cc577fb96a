//! What a partition owes the store: rolled segments go up in order, and what retention ends goes;
//! all of it once the topic tiers no more, and only with permission.
//!
//! Only what lies below the high watermark and the last stable offset is uploaded, and only after
//! it was synced: the remote tier never holds what a crash could take back here. A segment whose topic has
//! a rate of its own waits for that before anything of it is in memory.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use icecore_tiering::{Parts, Retention, Segment};
use tracing::Instrument as _;

use super::aside::TopicRate;
use super::{Error, leave, retain};
use crate::log::{FileKind, Log, Sealed, Tier, empty_producer_snapshot, leader_epochs_text};
use crate::model::Offset;
use crate::replica::{Isolation, Partition, Replicas};

/// Uploads what is due and ends what has expired; takes notice when the topic begins to tier, and
/// when it ends.
pub(super) async fn partition(
    replicas: &Arc<Replicas>,
    partition: &Arc<Partition>,
    rate: &TopicRate,
) -> Result<(), Error> {
    let tier = match (partition.log().tier(), partition.config().remote_storage_enable()) {
        (Some(tier), true) => tier,
        (Some(tier), false) if partition.config().remote_delete_on_disable() => {
            return leave::partition(replicas, partition, &tier).await;
        }
        // A default or a policy was changed while the broker was down: what is uploaded stays readable.
        (Some(tier), false) => return expire(replicas, partition, &tier).await,
        (None, true) => return Ok(replicas.give_tier(partition).await?),
        (None, false) => return Ok(()),
    };
    // What is sealed from here on comes with the next round.
    let decided = partition.readable_end(Isolation::ReadCommitted);
    while next_due(partition, decided).is_some() {
        let _turn = rate.turn().await;
        // Others of the topic may have gone first, for however long.
        let still_due = next_due(partition, decided).filter(|_| replicas.hosts(partition));
        let Some(sealed) = still_due else { return Ok(()) };
        let now_ms = replicas.env().clock.now_ms();
        upload(partition, &tier, &sealed, rate, now_ms).await?;
        partition.log().uploaded_until(sealed.end());
    }
    expire(replicas, partition, &tier).await
}

/// The first segment below `decided` that the remote tier lacks, while the topic uploads.
fn next_due(partition: &Partition, decided: Offset) -> Option<Arc<Sealed>> {
    let (log, config) = (partition.log(), partition.config());
    let begin = log.remote_end().unwrap_or_default().max(log.log_start());
    let first = log.local().sealed().into_iter().find(|sealed| sealed.end() > begin)?;
    (retain::uploads(&config) && first.end() <= decided).then_some(first)
}

async fn upload(
    partition: &Arc<Partition>,
    tier: &Tier,
    sealed: &Arc<Sealed>,
    rate: &TopicRate,
    now_ms: i64,
) -> Result<(), Error> {
    let span = tracing::info_span!(
        "upload",
        topic = &*partition.name().topic,
        partition = partition.name().partition,
        offset = sealed.base().get(),
        // Without a sign it would come to the collector as text.
        bytes = i64::try_from(sealed.size()).unwrap_or(i64::MAX),
        otel.status_code = tracing::field::Empty,
    );
    let done = upload_now(partition, tier, sealed, rate, now_ms).instrument(span.clone()).await;
    if done.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    done
}

async fn upload_now(
    partition: &Arc<Partition>,
    tier: &Tier,
    sealed: &Arc<Sealed>,
    rate: &TopicRate,
    now_ms: i64,
) -> Result<(), Error> {
    let log = partition.log().local().clone();
    let segment = Segment::sealed(
        tier.key.clone(),
        (sealed.base(), sealed.last_offset()),
        (sealed.first_timestamp_ms(), sealed.max_timestamp_ms()),
        sealed.size(),
        partition.leader_epoch(),
        log.epochs_within(sealed.base(), sealed.end()),
        now_ms,
    );
    tier.tiering.record_sealed(&segment).await?;
    // The row of an earlier attempt may be there: it is the one that counts.
    let rows = tier.tiering.segments(&tier.key, segment.base..segment.base.next(), 1).await?;
    let row = rows.into_iter().next().ok_or("the manifest lost a row that it just took")?;
    if row.is_live() {
        return Ok(());
    }
    let turn = tier.tiering.upload_turn(rate).await?;
    let sealed = sealed.clone();
    let parts = tokio::task::spawn_blocking(move || {
        log.sync()?;
        Ok::<_, Error>(parts(&log, &sealed)?)
    });
    tier.tiering.offload_in(turn, &row, parts.await??).await?;
    tracing::debug!(partition = %partition.name(), base = %row.base, bytes = row.size, "segment uploaded");
    Ok(())
}

/// The byte parts of a sealed segment.
fn parts(log: &Log, sealed: &Arc<Sealed>) -> io::Result<Parts> {
    let (offset_index, time_index) = sealed.index_bytes()?;
    Ok(Parts {
        log: sealed.path(FileKind::Log),
        offset_index: offset_index.into(),
        time_index: time_index.into(),
        txn_index: read_or(&sealed.path(FileKind::TxnIndex), Vec::new)?,
        producer_snapshot: read_or(&sealed.snapshot_after(), empty_producer_snapshot)?,
        leader_epochs: leader_epochs_text(&log.epochs_until(sealed.end())).into_bytes().into(),
    })
}

fn read_or(path: &Path, absent: impl Fn() -> Vec<u8>) -> io::Result<Bytes> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(absent().into()),
        Err(error) => Err(error),
    }
}

/// Ends what has expired of a partition whose upload is under way.
pub(super) async fn expire_of(
    replicas: &Arc<Replicas>,
    partition: &Arc<Partition>,
) -> Result<(), Error> {
    match partition.log().tier() {
        Some(tier) => expire(replicas, partition, &tier).await,
        None => Ok(()),
    }
}

/// Ends what `retention.*` or a moved log start ends in the remote tier: the log start first.
async fn expire(
    replicas: &Arc<Replicas>,
    partition: &Arc<Partition>,
    tier: &Tier,
) -> Result<(), Error> {
    let (config, log) = (partition.config(), partition.log());
    let remote_end = log.remote_end().unwrap_or_default();
    let retention = Retention {
        ms: config.retention_ms(),
        bytes: config.retention_bytes(),
        log_start: log.log_start(),
    };
    let local_only = local_only_bytes(log.local(), remote_end);
    let now_ms = replicas.env().clock.now_ms();
    let plan = tier.tiering.plan_expiry(&tier.key, retention, local_only, now_ms).await?;
    if let Some(start) = plan.new_log_start {
        replicas.move_log_start(partition, start).await?;
    }
    let gone = tier.tiering.expire(&plan).await?;
    if gone.segments > 0 {
        let (partition, segments, bytes) = (partition.name(), gone.segments, gone.bytes);
        let log_start = log.log_start();
        tracing::info!(%partition, segments, bytes, %log_start, "retention deleted from the store");
    }
    Ok(())
}

/// Bytes that only this disk holds.
pub(super) fn local_only_bytes(log: &Log, remote_end: Offset) -> u64 {
    let sealed = log.sealed();
    let waiting = sealed.iter().filter(|sealed| sealed.end() > remote_end);
    waiting.map(|sealed| sealed.size()).sum::<u64>() + log.active_extent().1.size
}

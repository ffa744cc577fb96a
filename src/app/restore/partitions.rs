//! The folders of partitions whose records are in the bucket: what a log needs to go on after the
//! last of them.
//!
//! The last segment's `.index` object has the leader epochs and the producers' states after it. A
//! damaged one costs what it held, and not the partition.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use icecore_tiering::{IndexBundle, ReadError, Segment, Tiering};

use super::RestoreError;
use super::plan::{PlannedPartition, PlannedTopic};
use crate::env::NoEdges;
use crate::log::{LogSeed, decode_producer_snapshot, parse_leader_epochs};
use crate::model::{LeaderEpoch, Offset, TopicId};

/// Partitions whose last segment is looked at, and whose folder is made, at a time.
const AT_ONCE: usize = 16;

/// What was found beside records.
#[derive(Debug, Default)]
pub(super) struct Restored {
    /// The largest producer id that any state names; -1 for none.
    pub(super) producer_id_max: i64,
    /// In words: what could not be brought back.
    pub(super) damaged: Vec<String>,
}

/// Makes the folders. `done` is called for each.
pub(super) async fn restore(
    tiering: &Arc<Tiering>,
    log_dir: &Path,
    topics: &[PlannedTopic],
    done: &(dyn Fn() + Sync),
) -> Result<Restored, RestoreError> {
    let all = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(move |partition| (topic.stored.id, partition))
    });
    let work = all.filter(|(_, partition)| partition.remote.is_some());
    let work = work.map(|(id, partition)| one(tiering, log_dir, id, partition));
    let work: Vec<_> = work.collect();
    let mut under_way = stream::iter(work).buffer_unordered(AT_ONCE);
    let mut restored = Restored { producer_id_max: -1, damaged: Vec::new() };
    while let Some(one) = under_way.next().await {
        let (producer_id_max, damage) = one?;
        restored.producer_id_max = restored.producer_id_max.max(producer_id_max);
        restored.damaged.extend(damage);
        done();
    }
    Ok(restored)
}

async fn one(
    tiering: &Arc<Tiering>,
    log_dir: &Path,
    topic_id: TopicId,
    partition: &PlannedPartition,
) -> Result<(i64, Option<String>), RestoreError> {
    let Some(remote) = &partition.remote else { return Ok((-1, None)) };
    let Some(last) = tiering.find(&remote.key, remote.end).await? else { return Ok((-1, None)) };
    let (epochs, producers, damage) = match tiering.index(&last).await {
        Ok(bundle) => (epochs_of(&bundle, &last), producers(&bundle), None),
        Err(error @ (ReadError::Damaged { .. } | ReadError::Gone { .. })) => {
            (last.epochs.clone(), None, Some(format!("{}: {error}", partition.name)))
        }
        Err(error) => return Err(error.into()),
    };
    let known = producers.as_deref().and_then(|bytes| decode_producer_snapshot(bytes).ok());
    let ids = known.iter().flatten().map(|entry| entry.producer.0);
    let producer_id_max = ids.max().unwrap_or(-1);
    let epochs = from(epochs, partition.log_start);
    let seed = LogSeed { topic_id, at: partition.log_end, epochs, producers };
    let folder = log_dir.join(partition.name.to_string());
    let shown = folder.display().to_string();
    let written = tokio::task::spawn_blocking(move || seed.write(&folder, &NoEdges)).await;
    let failed = |source| RestoreError::Folder { folder: shown, source };
    written.map_err(io::Error::other).flatten().map_err(failed)?;
    Ok((producer_id_max, damage))
}

/// The leader epochs up to the end of a segment, as its index has them.
pub(in crate::app) fn epochs_of(
    bundle: &IndexBundle,
    last: &Segment,
) -> Vec<(LeaderEpoch, Offset)> {
    let text = std::str::from_utf8(&bundle.leader_epochs).ok();
    text.and_then(parse_leader_epochs).unwrap_or_else(|| last.epochs.clone())
}

/// The snapshot, if it reads as one: a log that is opened with another forgets it anyway.
fn producers(bundle: &IndexBundle) -> Option<Bytes> {
    let bytes = bundle.producer_snapshot.clone();
    decode_producer_snapshot(&bytes).is_ok().then_some(bytes)
}

/// The epochs from `start` on; the one that holds it begins there.
fn from(epochs: Vec<(LeaderEpoch, Offset)>, start: Offset) -> Vec<(LeaderEpoch, Offset)> {
    let first = epochs.partition_point(|entry| entry.1 <= start).saturating_sub(1);
    let later = epochs.into_iter().skip(first);
    later.map(|(epoch, begins)| (epoch, begins.max(start))).collect()
}

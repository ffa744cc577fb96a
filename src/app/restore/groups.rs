//! Groups and their offsets, written into the partitions of `__consumer_offsets` as a coordinator
//! would have written them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::RestoreError;
use super::plan::{PlannedPartition, PlannedTopic};
use crate::coordinator::{OFFSETS_TOPIC, RestoredGroups, restore_groups};
use crate::env::NoEdges;
use crate::log::{AppendError, Log, LogConfig, LogEnv, OpenAt, partition_metadata};
use crate::model::{Offset, TopicId};
use crate::record::Batch;

/// Writes all groups of a snapshot; `None` when the topics have no `__consumer_offsets` for them.
pub(super) async fn restore(
    log_dir: &Path,
    topics: &[PlannedTopic],
    payload: &Bytes,
) -> Result<Option<RestoredGroups>, RestoreError> {
    let Some(kept_in) = topics.iter().find(|topic| &*topic.stored.name == OFFSETS_TOPIC) else {
        return Ok(None);
    };
    let ends = ends(topics);
    let end_of = |topic: &str, id: TopicId, partition: i32| {
        let (found, ends) = ends.get(topic)?;
        let same = id == TopicId::ZERO || id == *found;
        usize::try_from(partition).ok().filter(|_| same).and_then(|at| ends.get(at).copied())
    };
    let env = LogEnv::real();
    let now_ms = env.clock.now_ms();
    let mut restored = restore_groups(payload, kept_in.partitions.len(), now_ms, end_of)?;
    let batches = std::mem::take(&mut restored.partitions);
    let (log_dir, topic) = (log_dir.to_owned(), kept_in.clone());
    let written = tokio::task::spawn_blocking(move || {
        let partitions = topic.partitions.iter().zip(&batches);
        partitions.filter(|(_, batches)| !batches.is_empty()).try_for_each(
            |(partition, batches)| write(&log_dir, topic.stored.id, partition, batches, &env),
        )
    });
    written.await.map_err(|panic| RestoreError::BrokenOff(panic.to_string()))??;
    Ok(Some(restored))
}

type Ends = HashMap<Arc<str>, (TopicId, Vec<Offset>)>;

fn ends(topics: &[PlannedTopic]) -> Ends {
    let of = |topic: &PlannedTopic| {
        let ends = topic.partitions.iter().map(|partition| partition.log_end).collect();
        (topic.stored.name.clone(), (topic.stored.id, ends))
    };
    topics.iter().map(of).collect()
}

/// Begins the partition's log with these batches. Blocking.
fn write(
    log_dir: &Path,
    topic_id: TopicId,
    partition: &PlannedPartition,
    batches: &[Batch],
    env: &LogEnv,
) -> Result<(), RestoreError> {
    let folder = log_dir.join(partition.name.to_string());
    let io = |source| RestoreError::Folder { folder: folder.display().to_string(), source };
    std::fs::create_dir_all(&folder).map_err(io)?;
    partition_metadata::write(&folder, topic_id, &NoEdges).map_err(io)?;
    let begins = partition.log_start;
    let at = OpenAt { log_start: begins, empty_start: begins, ..OpenAt::default() };
    let (log, _) = Log::open(&folder, LogConfig::default(), at, env.clone())?;
    for batch in batches {
        let appended =
            log.append(std::slice::from_ref(batch), partition.leader_epoch, env.clock.now_ms());
        appended.into_iter().collect::<Result<Vec<_>, AppendError>>()?;
    }
    Ok(log.close()?)
}

//! A replay before it begins: which tier each part of a range will be read from, and what that
//! takes.
//!
//! Invariant: the tiers are told apart as a fetch does it ([`TieredLog::read`]): what lies on the
//! local disk is read there, also when the store has it as well. Nothing is asked of the store.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{ReadPlan, Segment};

use super::replay_rates::ReplayRates;
use crate::http::{AskError, PartitionPlan, PlanAsk, ReplayPlan, TierStatus, WarmAsk, Warmed};
use crate::log::{LocalExtent, Tier, TieredLog};
use crate::model::{Offset, PartitionSet, Place};
use crate::replica::{Partition, Replicas};

/// How long one question of a client that warms the cache is worked on.
const WARM_TIME: Duration = Duration::from_secs(2);

/// The answer to a question about a replay of a topic whose readers keep to `rates`.
pub(super) async fn plan(
    replicas: &Replicas,
    rates: &ReplayRates,
    ask: &PlanAsk,
) -> Result<ReplayPlan, AskError> {
    let chosen = chosen(replicas, &ask.topic, ask.partitions.as_ref())?;
    let at_once = ask.parallel.map_or(chosen.len(), |parallel| parallel as usize);
    let at_once = at_once.clamp(1, chosen.len().max(1)) as u64;
    let tiering = replicas.tiering();
    let measured = tiering.map_or(0, |tiering| tiering.replays().total_bytes_per_second);
    let in_all = rates.bound(ask.bytes_per_second.or(Some(measured).filter(|rate| *rate > 0)));
    let each = in_all.map(|rate| rate / at_once);
    let mut partitions = Vec::with_capacity(chosen.len());
    for partition in chosen {
        partitions.push(of_partition(&partition, ask, each).await?);
    }
    let reads_in_place = tiering.is_some_and(|tiering| tiering.is_read_in_place());
    Ok(ReplayPlan {
        topic: ask.topic.clone(),
        rates: rates.told(&partitions, reads_in_place),
        partitions,
        measured_bytes_per_second: measured,
        cache_bytes: tiering.map_or(0, |tiering| tiering.cache_room_bytes()),
        reads_in_place,
    })
}

fn chosen(
    replicas: &Replicas,
    topic: &str,
    wanted: Option<&PartitionSet>,
) -> Result<Vec<Arc<Partition>>, AskError> {
    let mut all = replicas.all();
    all.retain(|partition| &*partition.name().topic == topic);
    if all.is_empty() {
        return Err(AskError::NotFound(format!("topic {topic} does not exist")));
    }
    let Some(wanted) = wanted else { return Ok(all) };
    let count = i32::try_from(all.len()).unwrap_or(i32::MAX);
    if let Err(missing) = wanted.of(count) {
        let why = format!("topic {topic} has no partition {missing}: it has {count}, from 0 on");
        return Err(AskError::NotFound(why));
    }
    all.retain(|partition| wanted.contains(partition.name().partition));
    Ok(all)
}

async fn of_partition(
    partition: &Arc<Partition>,
    ask: &PlanAsk,
    bytes_per_second: Option<u64>,
) -> Result<PartitionPlan, AskError> {
    let log = partition.log();
    // Before the rows are read: what leaves the disk meanwhile is found in neither tier else.
    let local_start = log.local_log_start();
    let (from, to) = (ask.from.unwrap_or(Place::Beginning), ask.to.unwrap_or(Place::End));
    let (from, knows_from) = offset_of(partition, from, Edge::From).await?;
    let (to, knows_to) = offset_of(partition, to, Edge::To).await?;
    let to = to.max(from);
    let remote = from..to.min(local_start).max(from);
    let plan = match log.tier() {
        Some(tier) if !remote.is_empty() => {
            tier.tiering.plan_read(&tier.key, remote, bytes_per_second).await.map_err(failed)?
        }
        _ => ReadPlan::default(),
    };
    let local = local_extent(partition, from.max(local_start)..to).await?;
    Ok(PartitionPlan {
        partition: partition.name().partition,
        from_offset: from.get(),
        to_offset: to.get(),
        log_start_offset: Some(log.log_start().get()),
        high_watermark: Some(partition.high_watermark().get()),
        local: TierStatus { segments: local.segments, bytes: local.bytes },
        remote: TierStatus { segments: plan.segments, bytes: plan.bytes },
        cached_bytes: plan.cached_bytes,
        fetched_bytes: plan.fetched_bytes,
        log_gets: plan.log_gets,
        index_gets: plan.index_gets,
        exact: knows_from && knows_to && !plan.is_estimate,
    })
}

async fn local_extent(
    partition: &Arc<Partition>,
    offsets: Range<Offset>,
) -> Result<LocalExtent, AskError> {
    if offsets.is_empty() {
        return Ok(LocalExtent::default());
    }
    let local = partition.log().local().clone();
    let extent = tokio::task::spawn_blocking(move || local.extent_of(&offsets)).await;
    extent.map_err(failed)?.map_err(failed)
}

/// Which end of a range.
#[derive(Clone, Copy)]
enum Edge {
    From,
    To,
}

/// The offset that is meant, and whether it is known without an index of the store.
async fn offset_of(
    partition: &Arc<Partition>,
    place: Place,
    edge: Edge,
) -> Result<(Offset, bool), AskError> {
    let (log, end) = (partition.log(), partition.high_watermark());
    match place {
        Place::Beginning => Ok((log.log_start(), true)),
        Place::End => Ok((end, true)),
        Place::Offset(offset) if offset < log.log_start() || offset > end => {
            let (name, first) = (partition.name(), log.log_start());
            Err(AskError::Refused(format!(
                "offset {offset} is not in {name}, whose first offset is {first} and whose next is {end}"
            )))
        }
        Place::Offset(offset) => Ok((offset, true)),
        Place::Time(time_ms) => at_time(partition, time_ms, edge).await,
    }
}

async fn at_time(
    partition: &Arc<Partition>,
    time_ms: i64,
    edge: Edge,
) -> Result<(Offset, bool), AskError> {
    let (log, end) = (partition.log(), partition.high_watermark());
    if let Some(tier) = log.tier()
        && let Some(segment) =
            tier.tiering.find_by_time(&tier.key, time_ms).await.map_err(failed)?
        && segment.base < log.local_log_start()
        && segment.end >= log.log_start()
    {
        let knows = time_ms <= segment.first_timestamp_ms;
        let at = match first_time(&tier, &segment).await? {
            Some(first_ms) => share_of_time(&segment, first_ms, time_ms),
            None => whole(&segment, edge),
        };
        return Ok((at.max(log.log_start()), knows));
    }
    let local = log.local().clone();
    let found = tokio::task::spawn_blocking(move || local.offset_for_timestamp(time_ms)).await;
    let found = found.map_err(failed)?.map_err(failed)?;
    Ok((found.map_or(end, |found| found.offset.min(end)), true))
}

/// When a segment's first record may have come. A row that was made from an object's name alone does not
/// tell: then it is the last time of the segment before. `None` when there is none before.
async fn first_time(tier: &Tier, segment: &Segment) -> Result<Option<i64>, AskError> {
    if segment.first_timestamp_ms >= 0 {
        return Ok(Some(segment.first_timestamp_ms));
    }
    let before = Offset::new(segment.base.get() - 1);
    let before = tier.tiering.find(&tier.key, before).await.map_err(failed)?;
    Ok(before.map(|before| before.max_timestamp_ms).filter(|max_ms| *max_ms >= 0))
}

/// A segment that a time lies in somewhere is planned whole: too much rather than too little.
fn whole(segment: &Segment, edge: Edge) -> Offset {
    match edge {
        Edge::From => segment.base,
        Edge::To => segment.end.next(),
    }
}

/// Where a time may lie in a segment whose first record came at `first_ms`, as if its records had come
/// at a steady rate.
fn share_of_time(segment: &Segment, first_ms: i64, time_ms: i64) -> Offset {
    let first = i128::from(first_ms);
    let since = (i128::from(time_ms) - first).max(0);
    let all = (i128::from(segment.max_timestamp_ms) - first).max(1);
    let records = i128::from(segment.end - segment.base);
    let passed = i64::try_from(records * since.min(all) / all).unwrap_or(0);
    Offset::new(segment.base.get() + passed)
}

/// Works for a while on what is to be in the cache.
pub(super) async fn warm(replicas: &Replicas, ask: &WarmAsk) -> Result<Warmed, AskError> {
    let partition = replicas.partition(&ask.topic, ask.partition).ok_or_else(|| {
        AskError::NotFound(format!("{}-{} does not exist", ask.topic, ask.partition))
    })?;
    let log = partition.log();
    let from = Offset::new(ask.from_offset).max(log.log_start());
    let to = Offset::new(ask.to_offset).min(log.local_log_start());
    let done = Warmed { next_offset: None, next_position: 0, bytes: 0 };
    let Some(tier) = log.tier() else { return Ok(done) };
    let Some(segment) = segment_at(&tier, log, from).await? else { return Ok(done) };
    if from >= to || segment.base >= to {
        return Ok(done);
    }
    let position = ask.position.min(segment.size);
    let reached = tier.tiering.warm(&segment, position, WARM_TIME).await.map_err(failed)?;
    let bytes = reached - position;
    if reached < segment.size {
        return Ok(Warmed { next_offset: Some(from.get()), next_position: reached, bytes });
    }
    let next = segment.end.next();
    Ok(Warmed { next_offset: (next < to).then_some(next.get()), bytes, ..done })
}

async fn segment_at(
    tier: &Tier,
    log: &TieredLog,
    offset: Offset,
) -> Result<Option<Segment>, AskError> {
    let found = tier.tiering.find(&tier.key, offset).await.map_err(failed)?;
    match found {
        Some(segment) => Ok(Some(segment)),
        None if offset >= log.local_log_start() => Ok(None),
        None => tier.tiering.next_after(&tier.key, offset).await.map_err(failed),
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> AskError {
    AskError::Failed(Box::new(error))
}

#[cfg(test)]
mod tests {
    use icecore_tiering::{PartitionKey, TopicId};

    use super::*;
    use crate::model::LeaderEpoch;

    fn segment() -> Segment {
        let partition = PartitionKey::new("t", TopicId::from_bytes([1; 16]), 0);
        let offsets = (Offset::new(100), Offset::new(200));
        let epoch = LeaderEpoch::new(0);
        Segment::sealed(partition, offsets, (1000, 3000), 1, epoch, Vec::new(), 0)
    }

    #[test]
    fn a_segment_of_which_no_first_time_is_known_is_planned_whole() {
        let (from, to) = (whole(&segment(), Edge::From), whole(&segment(), Edge::To));
        assert_eq!((from, to), (Offset::new(100), Offset::new(201)));
    }

    #[test]
    fn a_time_within_a_segment_is_met_at_its_share_of_the_offsets() {
        let segment = segment();
        for (time_ms, offset) in [(0, 100), (1000, 100), (2000, 150), (3000, 200), (i64::MAX, 200)]
        {
            assert_eq!(share_of_time(&segment, 1000, time_ms), Offset::new(offset), "{time_ms}");
        }
    }
}

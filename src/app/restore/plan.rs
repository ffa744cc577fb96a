//! What a restore will bring back: the last snapshot of the cluster, held against what the bucket
//! shows. Pure.
//!
//! Where the two differ, what is in the bucket counts: a topic that no snapshot knows was made after
//! the last one, and is brought back with the settings that delete nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use icecore_tiering::{FoundPartition, ObjectName, PartitionKey};

use crate::cluster::{ClusterSnapshot, SnapshotTopic};
use crate::config::{BrokerOverrides, PolicyText};
use crate::metadata::{StoredTopic, check_topic_name};
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};

/// Restarts that may have passed without a word in the bucket: each raised every epoch by one.
const UNSEEN_RESTARTS: i32 = 16;
/// Producer ids that may have been given out since the last snapshot.
const UNSEEN_PRODUCER_IDS: i64 = 1_000_000;

/// Where a topic is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Snapshot,
    /// Its objects alone.
    Bucket,
}

/// A topic to be brought back.
#[derive(Clone, Debug)]
pub(super) struct PlannedTopic {
    pub(super) stored: StoredTopic,
    pub(super) origin: Origin,
    pub(super) partitions: Vec<PlannedPartition>,
}

/// A partition to be brought back.
#[derive(Clone, Debug)]
pub(super) struct PlannedPartition {
    pub(super) name: TopicPartition,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) log_start: Offset,
    /// Where the log goes on.
    pub(super) log_end: Offset,
    /// What the bucket has of it.
    pub(super) remote: Option<FoundPartition>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) topics: Vec<PlannedTopic>,
    /// Topics whose deletion goes on.
    pub(super) deleting: Vec<StoredTopic>,
    /// Policies that were given while the broker ran.
    pub(super) policies: Vec<PolicyText>,
    /// The settings that were given for brokers while they ran.
    pub(super) broker_settings: BrokerOverrides,
    /// Greater than every id that a snapshot or a topic's last segment can tell of.
    pub(super) next_producer_id: i64,
    /// Topics in the bucket that stay there and are not raised, since another has their name.
    pub(super) left: Vec<(String, TopicId)>,
    /// Logs that were the last of their partitions, and which the bucket's lists do not reach. They
    /// are gone, or the lists lie.
    pub(super) unlisted: Vec<(PartitionKey, ObjectName)>,
}

/// Plans a restore.
pub(super) fn plan(snapshot: Option<ClusterSnapshot>, found: Vec<FoundPartition>) -> Plan {
    let snapshot = snapshot.unwrap_or_default();
    let mut by_topic: HashMap<TopicId, BTreeMap<i32, FoundPartition>> = HashMap::new();
    for partition in found {
        let (topic, number) = partition.key.id();
        by_topic.entry(topic).or_default().insert(number, partition);
    }
    let mut plan = Plan::default();
    let next = snapshot.next_producer_id;
    plan.next_producer_id = next.saturating_add(UNSEEN_PRODUCER_IDS);
    plan.policies = snapshot.policies;
    plan.broker_settings = snapshot.broker_settings;
    for topic in snapshot.topics {
        let remote = by_topic.remove(&topic.stored.id).unwrap_or_default();
        if topic.stored.deleting {
            plan.deleting.push(topic.stored);
        } else {
            plan.unlisted.extend(unlisted(&topic, &remote));
            plan.topics.push(planned(topic.stored, Origin::Snapshot, &topic.log_starts, remote));
        }
    }
    add_unknown(&mut plan, by_topic);
    plan.topics.sort_by(|a, b| a.stored.name.cmp(&b.stored.name));
    plan
}

/// The last logs by the snapshot that lie beyond what was found.
fn unlisted<'a>(
    topic: &'a SnapshotTopic,
    remote: &'a BTreeMap<i32, FoundPartition>,
) -> impl Iterator<Item = (PartitionKey, ObjectName)> + 'a {
    let last = (0..).zip(&topic.last_objects).filter_map(|(number, last)| Some((number, (*last)?)));
    let beyond =
        last.filter(|(number, last)| remote.get(number).is_none_or(|found| found.end < last.end));
    beyond.map(|(number, last)| {
        (PartitionKey::new(topic.stored.name.clone(), topic.stored.id, number), last)
    })
}

/// Topics that no snapshot knows. Of several with one name, the one that was written to last.
fn add_unknown(plan: &mut Plan, by_topic: HashMap<TopicId, BTreeMap<i32, FoundPartition>>) {
    let mut unknown: Vec<_> = by_topic.into_iter().collect();
    let written = |partitions: &BTreeMap<i32, FoundPartition>| {
        partitions.values().map(|found| found.modified_ms).max()
    };
    unknown.sort_by_key(|(id, partitions)| std::cmp::Reverse((written(partitions), *id)));
    let mut names: HashSet<_> = plan.topics.iter().map(|topic| topic.stored.name.clone()).collect();
    for (id, remote) in unknown {
        let Some(name) = remote.values().next().map(|found| found.key.topic.clone()) else {
            continue;
        };
        if check_topic_name(&name).is_err() || !names.insert(name.clone()) {
            plan.left.push((name.to_string(), id));
            continue;
        }
        let forever = [("retention.ms", "-1"), ("retention.bytes", "-1")];
        let overrides = forever.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let stored =
            StoredTopic { id, name, leader_epochs: Vec::new(), overrides, deleting: false };
        plan.topics.push(planned(stored, Origin::Bucket, &[], remote));
    }
}

fn planned(
    mut stored: StoredTopic,
    origin: Origin,
    log_starts: &[Offset],
    mut remote: BTreeMap<i32, FoundPartition>,
) -> PlannedTopic {
    let shown = remote.keys().next_back().map_or(0, |last| i64::from(*last) + 1);
    let shown = usize::try_from(shown).unwrap_or(0);
    let known = std::mem::take(&mut stored.leader_epochs);
    let count = known.len().max(shown);
    let partition = |(number, at): (i32, usize)| {
        let remote = remote.remove(&number);
        let known = known.get(at).copied().unwrap_or(LeaderEpoch::ZERO);
        let seen = remote.as_ref().map_or(known, |found| known.max(found.leader_epoch));
        let start = log_starts.get(at).copied().unwrap_or_default();
        let first = remote.as_ref().map_or(start, |found| found.first);
        // Segments below it may wait for their deletion still.
        let log_start = start.max(first);
        let end = remote.as_ref().map_or(log_start, |found| found.end.next());
        PlannedPartition {
            name: TopicPartition::new(stored.name.clone(), number),
            leader_epoch: LeaderEpoch::new(seen.get().saturating_add(UNSEEN_RESTARTS)),
            log_start,
            log_end: end.max(log_start),
            remote,
        }
    };
    let partitions: Vec<_> = (0..).zip(0..count).map(partition).collect();
    stored.leader_epochs = partitions.iter().map(|partition| partition.leader_epoch).collect();
    PlannedTopic { stored, origin, partitions }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, id: TopicId, partition: i32, first: i64, end: i64) -> FoundPartition {
        FoundPartition {
            key: PartitionKey::new(name, id, partition),
            first: Offset::new(first),
            end: Offset::new(end),
            leader_epoch: LeaderEpoch::new(5),
            segments: 1,
            bytes: 10,
            modified_ms: end,
        }
    }

    fn snapshot(name: &str, id: TopicId, starts: &[i64], deleting: bool) -> SnapshotTopic {
        let stored = StoredTopic {
            id,
            name: name.into(),
            leader_epochs: vec![LeaderEpoch::new(2); starts.len()],
            overrides: BTreeMap::new(),
            deleting,
        };
        let log_starts = starts.iter().copied().map(Offset::new).collect();
        SnapshotTopic { stored, log_starts, last_objects: vec![Some(last_object()); starts.len()] }
    }

    fn last_object() -> ObjectName {
        let name = format!("{:020}-{:020}-5-e3-{}.log", 90, 99, "ab".repeat(16));
        name.parse().expect("a name")
    }

    fn bounds(topic: &PlannedTopic) -> Vec<(i64, i64, i32)> {
        let of = |p: &PlannedPartition| (p.log_start.get(), p.log_end.get(), p.leader_epoch.get());
        topic.partitions.iter().map(of).collect()
    }

    #[test]
    fn logs_go_on_after_what_was_uploaded_and_epochs_are_above_all_that_were() {
        let id = TopicId::random();
        let snapshot = ClusterSnapshot {
            topics: vec![snapshot("t", id, &[0, 50, 7, 200], false)],
            next_producer_id: 4000,
            ..ClusterSnapshot::default()
        };
        let remote =
            vec![found("t", id, 0, 10, 99), found("t", id, 1, 0, 99), found("t", id, 3, 0, 99)];
        let plan = plan(Some(snapshot), remote);
        // Expired since the snapshot; deleted by a client; nothing uploaded; all of it deleted.
        let expected = [(10, 100, 21), (50, 100, 21), (7, 7, 18), (200, 200, 21)];
        assert_eq!(bounds(&plan.topics[0]), expected);
        assert_eq!(plan.next_producer_id, 1_004_000);
        let unlisted: Vec<_> = plan.unlisted.iter().map(|(key, _)| key.partition).collect();
        assert_eq!(unlisted, [2], "its last object is asked for by name");
    }

    #[test]
    fn a_topic_that_is_being_deleted_is_not_raised() {
        let id = TopicId::random();
        let topics = vec![snapshot("t", id, &[0], true)];
        let snapshot = ClusterSnapshot { topics, ..ClusterSnapshot::default() };
        let plan = plan(Some(snapshot), vec![found("t", id, 0, 0, 9)]);
        assert!(plan.topics.is_empty() && plan.left.is_empty());
        assert_eq!(plan.deleting[0].id, id);
    }

    #[test]
    fn what_no_snapshot_knows_comes_back_from_its_objects_and_deletes_nothing() {
        let (old, new, known) = (TopicId::random(), TopicId::random(), TopicId::random());
        let topics = vec![snapshot("known", known, &[0], false)];
        let snapshot = ClusterSnapshot { topics, ..ClusterSnapshot::default() };
        let other = TopicId::random();
        let plan = plan(
            Some(snapshot),
            vec![
                found("t", old, 0, 0, 9),
                found("t", new, 2, 0, 19),
                found("known", other, 0, 0, 9),
                found("known", known, 1, 0, 9),
            ],
        );
        let names: Vec<_> = plan.topics.iter().map(|t| (&*t.stored.name, t.stored.id)).collect();
        assert_eq!(names, [("known", known), ("t", new)], "the one that was written to last");
        assert_eq!(plan.topics[0].partitions.len(), 2, "it grew after the snapshot");
        assert_eq!(bounds(&plan.topics[1]), [(0, 0, 16), (0, 0, 16), (0, 20, 21)]);
        assert_eq!(plan.topics[1].stored.overrides["retention.ms"], "-1");
        let left: HashSet<_> = plan.left.iter().map(|(_, id)| *id).collect();
        assert_eq!(left, HashSet::from([old, other]));
    }
}

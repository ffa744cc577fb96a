//! What the cluster's broker has told of its topics, as far as it concerns one who reads the store.
//! Pure.

use icecore_tiering::{ObjectName, PartitionKey};

use crate::cluster::SnapshotTopic;
use crate::config::{BrokerConfig, Policies, TopicConfig};
use crate::metadata::{StoredTopic, is_internal_topic};
use crate::model::{LeaderEpoch, Offset, TopicPartition};

/// A topic whose history is in the store.
#[derive(Clone, Debug)]
pub(super) struct ToldTopic {
    pub(super) stored: StoredTopic,
    pub(super) partitions: Vec<ToldPartition>,
}

/// A partition as its broker told of it last.
#[derive(Clone, Debug)]
pub(super) struct ToldPartition {
    pub(super) name: TopicPartition,
    pub(super) key: PartitionKey,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) log_start: Offset,
    /// The last log that the broker had uploaded.
    pub(super) last: Option<ObjectName>,
}

/// The topics that tier. Others have no history in the store: shown, they would look empty. Those
/// that a broker keeps for itself are this one's own.
pub(super) fn told(
    config: &BrokerConfig,
    policies: &Policies,
    topics: Vec<SnapshotTopic>,
) -> Vec<ToldTopic> {
    let tiers = |stored: &StoredTopic| {
        let settings = TopicConfig::new(config, policies, &stored.name, &stored.overrides);
        // What another version took, this one may not: it is served all the same.
        settings.map_or(true, |settings| settings.remote_storage_enable())
    };
    let is_read = |topic: &SnapshotTopic| {
        let stored = &topic.stored;
        !stored.deleting && !is_internal_topic(&stored.name) && tiers(stored)
    };
    topics.into_iter().filter(is_read).map(of_topic).collect()
}

fn of_topic(topic: SnapshotTopic) -> ToldTopic {
    let SnapshotTopic { stored, log_starts, last_objects } = topic;
    let lasts = last_objects.into_iter().chain(std::iter::repeat(None));
    let known = stored.leader_epochs.iter().copied().zip(log_starts).zip(lasts);
    let known = (0..).zip(known).map(|(number, ((leader_epoch, log_start), last))| {
        let name = TopicPartition::new(stored.name.clone(), number);
        let key = PartitionKey::new(stored.name.clone(), stored.id, number);
        ToldPartition { name, key, leader_epoch, log_start, last }
    });
    let partitions = known.collect();
    ToldTopic { partitions, stored }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::TopicId;

    fn topic(name: &str, deleting: bool, settings: &[(&str, &str)]) -> SnapshotTopic {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let stored = StoredTopic {
            id: TopicId::random(),
            name: name.into(),
            leader_epochs: vec![LeaderEpoch::new(2), LeaderEpoch::new(3)],
            overrides: settings.iter().map(owned).collect(),
            deleting,
        };
        let log_starts = vec![Offset::ZERO, Offset::new(7)];
        // As a version wrote it that did not tell the last objects yet.
        SnapshotTopic { stored, log_starts, last_objects: Vec::new() }
    }

    #[test]
    fn topics_without_a_history_in_the_store_and_those_on_their_way_out_are_not_read() {
        let topics = vec![
            topic("read", false, &[]),
            topic("deleting", true, &[]),
            topic("local", false, &[("remote.storage.enable", "false")]),
            topic("compacted", false, &[("cleanup.policy", "compact")]),
            topic("__consumer_offsets", false, &[]),
            topic("of-a-later-version", false, &[("no.such.setting", "1")]),
        ];
        let config = BrokerConfig::in_dir(Path::new("/d"), &[]).expect("config");
        let told = told(&config, &Policies::none(), topics);
        let names: Vec<_> = told.iter().map(|topic| &*topic.stored.name).collect();
        assert_eq!(names, ["read", "of-a-later-version"]);
        let second = &told[0].partitions[1];
        assert_eq!((second.name.partition, second.log_start.get()), (1, 7));
        assert_eq!((second.leader_epoch.get(), second.last), (3, None));
    }
}

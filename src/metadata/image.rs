//! The image itself: plain data with the look-ups that requests need.
//!
//! Invariant: `topics` and `names` hold the same topics, and a topic's partitions are numbered
//! from 0 without a gap (the index in the vector is the partition's number).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::{BrokerOverrides, Policies, TopicConfig};
use crate::model::{BrokerId, LeaderEpoch, TopicId, TopicPartition};

/// A broker as clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerNode {
    /// `node.id`.
    pub id: BrokerId,
    /// What is advertised, one for each of its listeners.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
}

/// Where a broker is reached by those who come in by one of its listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The advertised host.
    pub host: Arc<str>,
    /// The advertised port.
    pub port: u16,
}

impl BrokerNode {
    /// Where it is reached by clients of that listener; `None` when it has no listener of the name,
    /// so that those clients cannot reach it.
    #[must_use]
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.listener == listener)
    }
}

/// Who leads a partition and who follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// The leading broker.
    pub leader: BrokerId,
    /// Counts the leaders this partition has had; a restart of the leader counts.
    pub leader_epoch: LeaderEpoch,
    /// All replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// The in-sync replicas.
    pub isr: Vec<BrokerId>,
}

/// A partition has too few in-sync replicas for `acks=all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acks=all needs {wanted} in-sync replicas (min.insync.replicas), there are {in_sync}")]
pub struct TooFewInSync {
    /// `min.insync.replicas`.
    pub wanted: usize,
    /// How many there are.
    pub in_sync: usize,
}

/// A topic with its effective settings.
#[derive(Clone, Debug)]
pub struct TopicImage {
    /// The topic's identity.
    pub id: TopicId,
    /// The topic's name.
    pub name: Arc<str>,
    /// By partition number.
    pub partitions: Vec<PartitionImage>,
    /// The settings that were given for this topic, by name.
    pub overrides: BTreeMap<String, String>,
    /// The effective settings: overrides over the policy's, those over the broker's.
    pub config: Arc<TopicConfig>,
}

impl TopicImage {
    /// Whether the topic belongs to the broker (`__consumer_offsets`): clients may not write it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        is_internal_topic(&self.name)
    }

    /// The partition with number `partition`, if there is one.
    #[must_use]
    pub fn partition(&self, partition: i32) -> Option<&PartitionImage> {
        usize::try_from(partition).ok().and_then(|index| self.partitions.get(index))
    }

    /// Whether as many replicas of a partition are in sync as `acks=all` promises: with fewer,
    /// nothing is taken that is to be acked so.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn check_in_sync(&self, partition: i32) -> Result<(), TooFewInSync> {
        let in_sync = self.partition(partition).map_or(0, |partition| partition.isr.len());
        let wanted = self.config.min_insync_replicas();
        if in_sync >= wanted { Ok(()) } else { Err(TooFewInSync { wanted, in_sync }) }
    }

    /// Every partition by name and number.
    pub fn topic_partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        (0..)
            .zip(&self.partitions)
            .map(|(number, _)| TopicPartition::new(self.name.clone(), number))
    }
}

/// Whether `name` is one of the topics that brokers keep for themselves.
#[must_use]
pub fn is_internal_topic(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state")
}

/// One consistent view of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterImage {
    /// The cluster's id, as ApiVersions and Metadata show it.
    pub cluster_id: Arc<str>,
    /// The live brokers.
    pub brokers: Vec<BrokerNode>,
    /// The broker that takes admin requests.
    pub controller: BrokerId,
    /// What was given for this broker, and for all, while they ran.
    pub broker_overrides: Arc<BrokerOverrides>,
    /// The policies in force. Every topic's effective settings are by these.
    pub policies: Policies,
    topics: HashMap<TopicId, Arc<TopicImage>>,
    names: BTreeMap<Arc<str>, TopicId>,
}

impl ClusterImage {
    /// A cluster without topics.
    #[must_use]
    pub fn new(cluster_id: Arc<str>, brokers: Vec<BrokerNode>, controller: BrokerId) -> Self {
        Self {
            cluster_id,
            brokers,
            controller,
            broker_overrides: Arc::default(),
            policies: Policies::none(),
            topics: HashMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.names.get(name)?)
    }

    /// The topic with that id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.names.values().filter_map(|id| self.topics.get(id))
    }

    /// The same cluster with `topic` added, or put in the place of the one with its id.
    #[must_use]
    pub fn with_topic(&self, topic: TopicImage) -> Self {
        let mut next = self.clone();
        next.insert(topic);
        next
    }

    /// The same cluster without the topic.
    #[must_use]
    pub fn without_topic(&self, id: TopicId) -> Self {
        let mut next = self.clone();
        if let Some(topic) = next.topics.remove(&id) {
            next.names.remove(&topic.name);
        }
        next
    }

    /// The same cluster with other settings given for brokers.
    #[must_use]
    pub fn with_broker_overrides(&self, overrides: BrokerOverrides) -> Self {
        Self { broker_overrides: Arc::new(overrides), ..self.clone() }
    }

    /// The same cluster with other policies, and with the topics whose settings they change.
    #[must_use]
    pub fn with_policies(
        &self,
        policies: Policies,
        topics: impl IntoIterator<Item = TopicImage>,
    ) -> Self {
        let mut next = Self { policies, ..self.clone() };
        topics.into_iter().for_each(|topic| next.insert(topic));
        next
    }

    /// Adds or replaces a topic in place; for building an image from a store.
    pub fn insert(&mut self, topic: TopicImage) {
        self.names.insert(topic.name.clone(), topic.id);
        self.topics.insert(topic.id, Arc::new(topic));
    }
}

//! Where the image survives a restart.
//!
//! The trait is owned here and implemented above: one machine keeps it in SQLite. Every method
//! returns only when the change is on stable storage.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{BrokerOverrides, PolicyText};
use crate::model::{LeaderEpoch, TopicId};

/// A topic as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTopic {
    /// The topic's identity.
    pub id: TopicId,
    /// The topic's name.
    pub name: Arc<str>,
    /// The leader epoch of each partition, by number.
    pub leader_epochs: Vec<LeaderEpoch>,
    /// The settings that were given for this topic.
    pub overrides: BTreeMap<String, String>,
    /// Deletion was asked for and acknowledged; what the topic left is being removed.
    pub deleting: bool,
}

/// The store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum MetaStoreError {
    /// A live topic of this name is there already.
    #[error("topic {name} is there already")]
    TopicExists {
        /// The name asked for.
        name: Arc<str>,
    },
    /// No such topic.
    #[error("no topic with id {id}")]
    UnknownTopic {
        /// The id asked for.
        id: TopicId,
    },
    /// The storage engine failed: disk full, file damaged, ...
    #[error("the metadata store failed: {0}")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Topics, settings, policies and producer ids that outlive the process.
#[async_trait]
pub trait MetaStore: Send + Sync + 'static {
    /// The cluster's id, made on first use.
    async fn cluster_id(&self, wanted: Option<&str>) -> Result<String, MetaStoreError>;

    /// Every topic, also those that are being deleted.
    async fn topics(&self) -> Result<Vec<StoredTopic>, MetaStoreError>;

    /// Adds one to every partition's leader epoch: this broker starts to lead anew, and what an
    /// earlier run wrote but did not keep must not be taken for what this run writes.
    async fn begin_leading(&self) -> Result<(), MetaStoreError>;

    /// Adds a topic.
    async fn create_topic(&self, topic: &StoredTopic) -> Result<(), MetaStoreError>;

    /// Adds partitions, each with epoch 0, until there are `count`.
    async fn grow_topic(&self, id: TopicId, count: usize) -> Result<(), MetaStoreError>;

    /// Puts `overrides` in the place of the topic's settings.
    async fn set_overrides(
        &self,
        id: TopicId,
        overrides: &BTreeMap<String, String>,
    ) -> Result<(), MetaStoreError>;

    /// What was given for brokers while they ran.
    async fn broker_overrides(&self) -> Result<BrokerOverrides, MetaStoreError>;

    /// Puts `overrides` in the place of what was given for brokers.
    async fn set_broker_overrides(&self, overrides: &BrokerOverrides)
    -> Result<(), MetaStoreError>;

    /// The policies that were given while brokers ran, by name.
    async fn policies(&self) -> Result<Vec<PolicyText>, MetaStoreError>;

    /// Puts a policy in the place of the one of its name, in one transaction.
    async fn set_policy(&self, policy: &PolicyText) -> Result<(), MetaStoreError>;

    /// Removes a policy.
    async fn delete_policy(&self, name: &str) -> Result<(), MetaStoreError>;

    /// Marks the topic as being deleted; its name is free from now on.
    async fn mark_deleting(&self, id: TopicId) -> Result<(), MetaStoreError>;

    /// Forgets a deleted topic once nothing of it is left.
    async fn forget_topic(&self, id: TopicId) -> Result<(), MetaStoreError>;

    /// Takes `count` producer ids that no producer ever had.
    async fn take_producer_ids(&self, count: i64) -> Result<Range<i64>, MetaStoreError>;

    /// The first producer id that was not taken.
    async fn next_producer_id(&self) -> Result<i64, MetaStoreError>;
}

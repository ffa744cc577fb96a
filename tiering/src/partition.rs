//! Which partition a segment belongs to.
//!
//! The topic id is the identity; the name rides along for people, for object names and for logs.

use std::fmt;
use std::sync::Arc;

use crate::ids::TopicId;

/// One partition of one incarnation of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The topic's name. Letters, digits, `.`, `_` and `-`; at most 249 bytes.
    pub topic: Arc<str>,
    /// The topic's identity: a topic made again under the same name has another.
    pub topic_id: TopicId,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl PartitionKey {
    /// Names a partition.
    #[must_use]
    pub fn new(topic: impl Into<Arc<str>>, topic_id: TopicId, partition: i32) -> Self {
        Self { topic: topic.into(), topic_id, partition }
    }

    /// What identifies the partition, without the name.
    #[must_use]
    pub fn id(&self) -> (TopicId, i32) {
        (self.topic_id, self.partition)
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

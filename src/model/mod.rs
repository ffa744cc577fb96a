//! The nouns of the domain that have no behaviour of their own: who, what, which partition.

mod partition;
mod producer;

pub use icecore_tiering::{LeaderEpoch, Offset, ParseIdError, SegmentId, TopicId};
pub use partition::{BrokerId, TopicPartition};
pub use producer::{ProducerEpoch, ProducerId, Sequence};

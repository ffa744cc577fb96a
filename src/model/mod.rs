//! The nouns of the domain that have no behaviour of their own: who, what, which partition.

mod file_slice;
mod partition;
mod partition_set;
mod place;
mod producer;
mod time;

pub use file_slice::FileSlice;
pub use icecore_tiering::{LeaderEpoch, Offset, ParseIdError, SegmentId, TopicId};
pub use partition::{BrokerId, TopicPartition};
pub use partition_set::{ParsePartitionSetError, PartitionSet};
pub use place::{ParsePlaceError, Place};
pub use producer::{ProducerEpoch, ProducerId, Sequence};
pub use time::time_text;

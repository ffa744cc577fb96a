//! Sealed segments in object storage.
//!
//! This crate takes a sealed segment as named byte parts with offsets, epochs and timestamps,
//! keeps it in a store, and gives ranges of it back. It knows nothing of Kafka's protocol, of
//! records or of brokers.

mod ids;

pub use ids::{LeaderEpoch, Offset, ParseIdError, SegmentId, TopicId};

//! A Kafka client for our own tools: small, and bounded as the broker is.
//!
//! One file for each thing that a tool asks of a broker; [`Connection`] is what they stand on. It
//! answers in order, so several requests may be on their way at once. Nothing is retried behind
//! the caller's back: an error says what to do, and the tool ends.

mod admin;
mod batches;
mod connection;
mod error;
mod fetch;
mod group;
mod metadata;
mod offsets;
mod partitioner;
mod produce;
mod versions;

pub(super) use admin::{Setting, alter_settings, create_topic, delete_topic, grow_topic, settings};
pub(super) use batches::Batches;
pub(super) use connection::Connection;
pub(super) use error::ClientError;
pub(super) use fetch::{Fetched, Fetcher};
pub(super) use group::Group;
pub(super) use metadata::{Partition, Topic, every_topic, topic};
pub(super) use offsets::{EARLIEST, LATEST, offsets};
pub(super) use partitioner::Partitioner;
pub(super) use produce::{Producer, ProducerName};

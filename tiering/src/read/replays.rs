//! Who reads where, for people who look.

use std::time::Duration;

use super::link::{Estimate, whole};
use super::stream::Stream;
use crate::ids::Offset;
use crate::partition::PartitionKey;

/// The sequential readers of the store at one moment, and what the store gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replays {
    /// From a request to the first byte of its answer, at best.
    pub first_byte: Duration,
    /// Bytes a second of one request, at best.
    pub request_bytes_per_second: u64,
    /// Bytes a second of all requests together, at best; 0 when nothing was measured lately.
    pub total_bytes_per_second: u64,
    /// Readers that were there within the last seconds.
    pub streams: Vec<ReplayStream>,
}

/// One sequential reader, or several at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayStream {
    /// What is read.
    pub partition: PartitionKey,
    /// The first offset of the segment that it is in.
    pub segment_base: Offset,
    /// Where in the segment's log it is, in bytes.
    pub position: u64,
    /// What it took, in bytes a second; 0 in its first moments.
    pub bytes_per_second: u64,
    /// Whether it has to wait for the store.
    pub waits: bool,
    /// How far the store is read ahead of it, in bytes.
    pub window_bytes: u64,
    /// Requests for it that are under way.
    pub requests: usize,
}

impl Replays {
    pub(super) fn of<'s>(link: &Estimate, streams: impl Iterator<Item = &'s Stream>) -> Self {
        let mut streams: Vec<_> = streams.filter_map(Stream::status).collect();
        let place =
            |one: &ReplayStream| (one.partition.to_string(), one.segment_base, one.position);
        streams.sort_by_cached_key(place);
        Self {
            first_byte: link.first_byte,
            request_bytes_per_second: whole(link.stream_rate),
            total_bytes_per_second: whole(link.total_rate),
            streams,
        }
    }
}

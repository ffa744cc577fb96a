//! What the HTTP port tells of replays.

use serde::{Deserialize, Serialize};

/// Who reads the remote tier at one moment, and what was measured of the store lately, at best.
/// Scripts rely on the names of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaysStatus {
    /// From a request to the first byte of its answer.
    pub first_byte_ms: u64,
    /// Of one request.
    pub request_bytes_per_second: u64,
    /// Of all requests together; 0 when nothing was fetched lately.
    pub total_bytes_per_second: u64,
    /// GET requests for index objects that readers caused since the start.
    pub index_gets: u64,
    /// GET requests for ranges of log objects that readers caused since the start.
    pub log_gets: u64,
    /// Bytes that came in answer to both.
    pub fetched_bytes: u64,
    /// Consumers whose fetches were answered from the remote tier within the last half minute, by
    /// partition and client.
    pub consumers: Vec<ConsumerStatus>,
    /// The read-ahead of the last seconds, by topic and partition; none for a folder store, which is
    /// read in place.
    pub readers: Vec<ReplayStatus>,
}

/// One consumer that reads the history of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerStatus {
    /// Its group, once it has committed an offset of the partition.
    pub group: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset that it asked for last.
    pub offset: i64,
    /// The offset after the last that consumers see.
    pub end_offset: i64,
    /// The time of the records that it has reached, in milliseconds since 1970.
    pub time_ms: Option<i64>,
    /// Bytes that it was given out of the remote tier.
    pub bytes: u64,
    /// What it took lately.
    pub bytes_per_second: u64,
    /// When it came, in milliseconds since 1970.
    pub since_ms: i64,
}

/// One sequential reader, or several at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayStatus {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The first offset of the segment that it reads.
    pub segment_base_offset: i64,
    /// Where it is in the segment, in bytes.
    pub segment_position: u64,
    /// What it took lately; 0 in its first moments.
    pub bytes_per_second: u64,
    /// Whether it had to wait for the store lately.
    pub waits_for_store: bool,
    /// How far the store is read ahead of it, in bytes.
    pub window_bytes: u64,
    /// Requests to the store for it that are under way.
    pub requests: usize,
}

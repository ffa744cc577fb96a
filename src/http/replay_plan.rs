//! What can be asked about a replay before it begins, and the answers.

use serde::{Deserialize, Serialize};

use super::observed::{ObserveError, TierStatus};
use super::policies::SettingFrom;
use crate::model::{PartitionSet, Place};

/// Which part of a topic, and how it will be read: the query of `/v1/replay-plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAsk {
    /// The topic's name.
    pub topic: String,
    /// Where to begin. Default: the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Place>,
    /// Where to stop. Default: the end as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Place>,
    /// Which partitions. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PartitionSet>,
    /// What all readers together take; the size of requests depends on it. Default: what was
    /// measured of the store lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Partitions that are read at a time. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
}

/// What a replay will read, and what it will ask of the store. Scripts rely on the names of the
/// fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayPlan {
    /// The topic's name.
    pub topic: String,
    /// By number.
    pub partitions: Vec<PartitionPlan>,
    /// What the store gave lately, in bytes a second; 0 when nothing was fetched lately.
    pub measured_bytes_per_second: u64,
    /// What the read cache can hold; 0 without one.
    pub cache_bytes: u64,
    /// The store is a folder, whose log objects are read where they lie: no request, no cache.
    pub reads_in_place: bool,
    /// The rates that people set and the replay keeps to, whatever it asks for; none of a broker of an
    /// earlier version, which does not tell.
    #[serde(default)]
    pub rates: Vec<RateBound>,
}

/// A rate that people set. All readers that it counts for have it among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateBound {
    /// The setting's name.
    pub setting: String,
    /// The rate, in bytes a second.
    pub bytes_per_second: u64,
    /// Which kind of place it comes from.
    pub from: SettingFrom,
    /// The policy's name, if it is a policy's.
    pub by: Option<String>,
    /// The bytes of the plan that it counts for.
    pub bytes: u64,
}

/// One partition of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPlan {
    /// The partition's number.
    pub partition: i32,
    /// The first offset.
    pub from_offset: i64,
    /// The offset after the last.
    pub to_offset: i64,
    /// The first offset that the partition has; none of a broker of an earlier version.
    #[serde(default)]
    pub log_start_offset: Option<i64>,
    /// The offset after the last that it has; none of a broker of an earlier version.
    #[serde(default)]
    pub high_watermark: Option<i64>,
    /// What is read from the local disk.
    pub local: TierStatus,
    /// What is read from the remote tier, also what the cache holds.
    pub remote: TierStatus,
    /// Of the remote bytes, those that the cache holds.
    pub cached_bytes: u64,
    /// Bytes to be fetched, in whole chunks.
    pub fetched_bytes: u64,
    /// GET requests for ranges of log objects.
    pub log_gets: u64,
    /// GET requests for index objects.
    pub index_gets: u64,
    /// Whether the bytes are exact. They are not where the range begins or ends within a remote
    /// segment: only the segment's index knows where an offset lies, and a plan reads none.
    pub exact: bool,
}

/// Which part of a partition is to be brought into the cache: the query of `/v1/replay-warm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmAsk {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Where to go on: an offset.
    pub from_offset: i64,
    /// Where in its segment to go on, in bytes.
    pub position: u64,
    /// The offset to stop before.
    pub to_offset: i64,
}

/// How far it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warmed {
    /// Where to go on: the `from_offset` of the next question; none when all is there.
    pub next_offset: Option<i64>,
    /// Its `position`.
    pub next_position: u64,
    /// Bytes that this question brought, or found there.
    pub bytes: u64,
}

/// Why a question about a replay has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such topic or partition.
    #[error("{0}")]
    NotFound(String),
    /// The question makes no sense here.
    #[error("{0}")]
    Refused(String),
    /// The broker could not look.
    #[error(transparent)]
    Failed(#[from] ObserveError),
}

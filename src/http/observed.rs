//! What the HTTP port shows of the broker.

use std::error::Error;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::disk::DiskStatus;
use super::replay_plan::{AskError, PlanAsk, ReplayPlan, WarmAsk, Warmed};
use super::replays::ReplaysStatus;

/// Whatever can be looked at.
pub trait Observed: Send + Sync + 'static {
    /// Whether clients can be served now; otherwise what is missing, in words.
    ///
    /// # Errors
    /// The reason why not.
    fn ready(&self) -> Result<(), String>;

    /// What is amiss although clients are served: a line for each.
    fn remarks(&self) -> Vec<String>;

    /// What this server is, and how old what it shows.
    ///
    /// # Errors
    /// The reason why it cannot be told.
    fn server(&self) -> Result<ServerStatus, ObserveError>;

    /// All partitions of this broker, by topic and number. Must not block the thread.
    fn partitions(&self) -> BoxFuture<'_, Result<Vec<PartitionStatus>, ObserveError>>;

    /// Who reads the remote tier, and what the store gives. Must not block the thread.
    ///
    /// # Errors
    /// The reason why it cannot be told.
    fn replays(&self) -> Result<ReplaysStatus, ObserveError>;

    /// How much room the disk has, and whose producers are let in.
    ///
    /// # Errors
    /// The reason why it cannot be told.
    fn disk(&self) -> Result<DiskStatus, ObserveError>;

    /// What a replay would read and ask of the store. Must not block the thread, and asks nothing of
    /// the store.
    fn replay_plan(&self, ask: PlanAsk) -> BoxFuture<'_, Result<ReplayPlan, AskError>>;

    /// Brings a part of a range into the read cache; the client asks for the next part.
    fn warm(&self, ask: WarmAsk) -> BoxFuture<'_, Result<Warmed, AskError>>;
}

/// The broker could not be looked at. Told to the client and in the log.
pub type ObserveError = Box<dyn Error + Send + Sync>;

/// What a server is. Scripts rely on the names of the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The cluster's id.
    pub cluster_id: String,
    /// Whether the cluster is another broker's, and only its history in the store is served.
    pub read_only: bool,
    /// Of a read-only server: for how long its view of the store has not been brought up to date.
    pub view_age_ms: Option<u64>,
    /// Of a read-only server: how often it looks at the store.
    pub view_every_ms: Option<u64>,
    /// Of a read-only server: when the cluster's broker last told the store of something new, by the broker's
    /// clock, in milliseconds since 1970. What it uploaded since is not in the view.
    pub view_told_ms: Option<i64>,
    /// What keeps it from that, in words.
    pub view_amiss: Option<String>,
}

/// Where the bytes of one partition lie. Scripts rely on the names of the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The first offset that can be read, from whichever tier.
    pub log_start_offset: i64,
    /// The first offset on the local disk.
    pub local_log_start_offset: i64,
    /// The offset after the last that consumers see.
    pub high_watermark: i64,
    /// The offset after the last.
    pub log_end_offset: i64,
    /// On the local disk, the active segment included.
    pub local: TierStatus,
    /// In the object store, also what is on the local disk as well.
    pub remote: TierStatus,
    /// Sealed and not yet in the object store.
    pub pending: TierStatus,
    /// The smallest timestamp of the first segment, in milliseconds since 1970; none while empty.
    pub oldest_timestamp_ms: Option<i64>,
    /// For how long the oldest pending segment has been sealed; 0 with none pending.
    pub upload_lag_ms: i64,
}

/// How much of a partition is somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierStatus {
    /// Number of segments.
    pub segments: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

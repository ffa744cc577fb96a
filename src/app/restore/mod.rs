//! A broker whose disk is lost comes back from the bucket: `icecore tier restore`.
//!
//! ```text
//! 1  the directory is claimed, found empty, and marked as being filled     step Begun
//! 2  the manifest is rebuilt from the names of all objects                 step ManifestRebuilt
//! 3  folders of partitions: epochs, producers' states                       step PartitionsWritten
//! 4  metadata.db: the last snapshot's topics, held against the bucket       step MetadataWritten
//! 5  __consumer_offsets: the last snapshot's groups                         step GroupsWritten
//! 6  log starts                                                             step LogStartsWritten
//! 7  the mark goes: from here on the directory is a broker's
//! ```
//! Between 1 and 2 the restore becomes the owner of the cluster's objects: whoever was it before is
//! gone, or ends when it notices. A death before 7 leaves a directory that no broker starts on; made
//! again, the restore removes what is there and begins anew. Of the bucket nothing is changed but
//! for the owner's records.

mod folder;
mod groups;
mod partitions;
mod plan;
mod report;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use icecore_tiering::{
    FindClustersError, FoundCluster, FoundPartition, Headers, ManifestError, MetaError, MetaFound,
    ObjectName, OpenError, OwnerError, PartitionKey, ReadError, ReconcileError, ReconcileProgress,
    Scope, StoreError, SystemClock, TakeOver, Tiering, TieringConfig, find_cluster, find_clusters,
};

pub(in crate::app) use folder::is_unfinished;
pub(in crate::app) use partitions::epochs_of;
pub use report::{CutTold, LeftTopic, RestoreReport, RestoredTopic};

use super::claim::claim;
use super::meta::{CLUSTER, GROUPS};
use super::owner::identity;
use super::start::{store_settings, tiering_config};
use crate::cluster::{ClusterSnapshot, OpenMetaStoreError, SnapshotError, SqliteMetaStore};
use crate::config::BrokerConfig;
use crate::coordinator::{GroupsSnapshotError, RestoredGroups};
use crate::log::checkpoint::{CheckpointError, OffsetsByPartition};
use crate::log::{AppendError, OpenLogError};
use crate::metadata::MetaStoreError;
use crate::replica::write_log_starts;
use plan::{Plan, PlannedTopic, plan};

/// Objects that are asked for by name at a time.
const ASKED_AT_ONCE: usize = 16;

/// Between two of them a restore can be broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreStep {
    /// The directory is marked; nothing else is there.
    Begun,
    /// The manifest has a row for every segment.
    ManifestRebuilt,
    /// The folders of partitions that have records in the bucket are made.
    PartitionsWritten,
    /// Topics, settings and producer ids are stored.
    MetadataWritten,
    /// Groups and their offsets are written.
    GroupsWritten,
    /// Log starts are written; the directory is still marked.
    LogStartsWritten,
}

impl RestoreStep {
    /// Every step, in order.
    pub const ALL: [Self; 6] = [
        Self::Begun,
        Self::ManifestRebuilt,
        Self::PartitionsWritten,
        Self::MetadataWritten,
        Self::GroupsWritten,
        Self::LogStartsWritten,
    ];
}

/// How far a restore is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreProgress {
    /// The last owner of the cluster is watched: it may live.
    Waiting {
        /// Who, in words.
        holder: String,
        /// For so long at most.
        left: Duration,
    },
    /// Partitions are listed: how many of how many, and segments so far.
    Listing(ReconcileProgress),
    /// Folders of partitions are made.
    Partitions {
        /// So many.
        done: u64,
        /// Of so many.
        of: u64,
    },
}

impl fmt::Display for RestoreProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { holder, left } => {
                write!(f, "waiting {} s for a sign of life from {holder}", left.as_secs())
            }
            Self::Listing(listed) => write!(
                f,
                "{} of {} partitions listed, {} segments",
                listed.partitions, listed.of_partitions, listed.segments
            ),
            Self::Partitions { done, of } => write!(f, "{done} of {of} partitions restored"),
        }
    }
}

/// What a restore is told.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Which cluster, where the store holds several.
    pub cluster_id: Option<String>,
    /// When the broker that owned it may be passed over.
    pub take_over: TakeOver,
}

/// Told of each step and of the progress between them.
pub trait RestoreWatch: Send + Sync {
    /// Returns whether to go on: `false` ends the restore here, as a death would.
    fn reached(&self, step: RestoreStep) -> bool;
    /// For those who wait.
    fn progress(&self, progress: RestoreProgress);
}

/// Goes on and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl RestoreWatch for Unwatched {
    fn reached(&self, _step: RestoreStep) -> bool {
        true
    }

    fn progress(&self, _progress: RestoreProgress) {}
}

/// Why nothing was restored, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Another process uses the data directory.
    #[error("the data directory {0} is in use by another icecore: stop it, or give --data-dir")]
    InUse(String),
    /// There is something in it.
    #[error(
        "the data directory {folder} is not empty ({found}): a restore fills an empty one; give \
         another --data-dir, or move away what is there"
    )]
    NotEmpty {
        /// Which one.
        folder: String,
        /// What is there.
        found: String,
    },
    /// The disk failed.
    #[error("{folder}: {source}")]
    Folder {
        /// Where.
        folder: String,
        /// What the system says.
        source: io::Error,
    },
    /// The broker has no remote tier by its settings.
    #[error("remote.log.storage.system.enable is false: there is no store to restore from")]
    NoRemoteTier,
    /// The store could not be asked for its clusters.
    #[error(transparent)]
    Find(#[from] FindClustersError),
    /// No cluster in the store.
    #[error("the store {url} holds no cluster below its prefix: check the URL and tiering.prefix")]
    NoCluster {
        /// The store.
        url: String,
    },
    /// Not the one that was asked for.
    #[error("the store holds no cluster {wanted}; it holds {found}")]
    OtherClusters {
        /// Which one was asked for.
        wanted: String,
        /// Those that are there.
        found: String,
    },
    /// More than one.
    #[error("the store holds several clusters, give one of them with --cluster-id: {0}")]
    SeveralClusters(String),
    /// The store or the manifest cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another broker owns the cluster.
    #[error(
        "{0}: stop it first; if it is gone for good, `icecore tier restore --take-over` does not wait \
         for it"
    )]
    Owner(#[from] OwnerError),
    /// The manifest was not rebuilt.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The manifest failed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A snapshot cannot be read now.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A list of the store is not the whole.
    #[error(
        "the store's lists lack objects that are there, such as {object}: nothing was restored; \
         try again when they show everything"
    )]
    ShortList {
        /// One that they lack.
        object: String,
    },
    /// An index object cannot be read now.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The metadata cannot be opened.
    #[error(transparent)]
    OpenMetadata(#[from] OpenMetaStoreError),
    /// The metadata cannot be written.
    #[error(transparent)]
    Metadata(#[from] MetaStoreError),
    /// The last snapshot of the topics does not read, although its bytes are whole.
    #[error("{0}: restore with the version of icecore that wrote it")]
    Cluster(#[from] SnapshotError),
    /// The last snapshot of the groups does not read, although its bytes are whole.
    #[error("{0}: restore with the version of icecore that wrote it")]
    Groups(#[from] GroupsSnapshotError),
    /// A log cannot be begun.
    #[error(transparent)]
    OpenLog(#[from] OpenLogError),
    /// A log cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A checkpoint cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It was broken off. Made again, it begins anew.
    #[error("the restore was broken off: {0}")]
    BrokenOff(String),
}

/// Fills the data directory of `config` from its store, and owns the cluster from then on.
///
/// # Errors
/// [`RestoreError`]; the directory is no broker's then, and a restore can be made again.
pub async fn restore(
    config: &BrokerConfig,
    options: &RestoreOptions,
    watch: &dyn RestoreWatch,
) -> Result<RestoreReport, RestoreError> {
    if !config.remote_storage_system_enable() {
        return Err(RestoreError::NoRemoteTier);
    }
    let data_dir = config.data_dir().to_owned();
    let shown = data_dir.display().to_string();
    let claim = claim(&data_dir)
        .map_err(|source| RestoreError::Folder { folder: shown.clone(), source })?;
    let _claim = claim.ok_or(RestoreError::InUse(shown))?;
    fill(config, options, watch).await
}

/// As [`restore`], in a directory that the caller holds already.
pub(in crate::app) async fn fill(
    config: &BrokerConfig,
    options: &RestoreOptions,
    watch: &dyn RestoreWatch,
) -> Result<RestoreReport, RestoreError> {
    let data_dir = config.data_dir().to_owned();
    let cluster =
        choose(config, options.cluster_id.clone().or_else(|| config.cluster_id())).await?;
    let (dir, url) = (data_dir.clone(), config.store().url.clone());
    let instance = off_thread(move || folder::begin(&dir, &url)).await?;
    step(watch, RestoreStep::Begun)?;
    // A start that restores opens the cache again.
    let wanted =
        TieringConfig { cache_is_told: false, ..tiering_config(config, &cluster.cluster_id) };
    let tiering = Tiering::open(wanted, Arc::new(SystemClock)).await?;
    let waiting = |left, holder: &str| {
        watch.progress(RestoreProgress::Waiting { holder: holder.to_owned(), left });
    };
    let identity = identity(instance.clone(), None);
    let mut ownership = match tiering.own(identity, options.take_over, &waiting).await {
        Ok(ownership) => ownership,
        Err(error) => {
            tiering.close().await;
            off_thread(move || folder::give_up(&data_dir)).await?;
            return Err(error.into());
        }
    };
    let filled = fill_from(config, (&cluster, instance), &tiering, watch).await;
    // It took its time: had another broker waited for longer than that, it would be the owner now.
    let owned = ownership.renew_now().await;
    tiering.close().await;
    let report = filled?;
    owned?;
    off_thread(move || folder::end(&data_dir)).await?;
    Ok(report)
}

/// Exactly one cluster, or the one that is asked for.
async fn choose(
    config: &BrokerConfig,
    wanted: Option<String>,
) -> Result<FoundCluster, RestoreError> {
    let (store, prefix) = (store_settings(config), config.tiering_prefix());
    if let Some(wanted) = &wanted
        && let Some(found) = find_cluster(store.clone(), &prefix, wanted).await?
    {
        return Ok(found);
    }
    let mut found = find_clusters(store, &prefix).await?;
    let ids = |found: &[FoundCluster]| {
        found.iter().map(|cluster| cluster.cluster_id.clone()).collect::<Vec<_>>().join(", ")
    };
    match wanted {
        _ if found.is_empty() => Err(RestoreError::NoCluster { url: config.store().url.clone() }),
        Some(wanted) => Err(RestoreError::OtherClusters { wanted, found: ids(&found) }),
        None if found.len() > 1 => Err(RestoreError::SeveralClusters(ids(&found))),
        None => found.pop().ok_or(RestoreError::NoCluster { url: config.store().url.clone() }),
    }
}

async fn fill_from(
    config: &BrokerConfig,
    (cluster, instance): (&FoundCluster, String),
    tiering: &Arc<Tiering>,
    watch: &dyn RestoreWatch,
) -> Result<RestoreReport, RestoreError> {
    let told = |progress| watch.progress(RestoreProgress::Listing(progress));
    let rebuilt = tiering.rebuild(&Scope::All, &[], Headers::Ends, &told).await?;
    step(watch, RestoreStep::ManifestRebuilt)?;

    let mut report = RestoreReport::new(cluster.cluster_id.clone());
    report.note_objects(&rebuilt);
    let plan = read_plan(tiering, rebuilt.partitions, &mut report).await?;
    refuse_short_lists(tiering, &plan).await?;
    let log_dir = config.log_dir();
    let producers = write_partitions(tiering, &log_dir, &plan, watch, &mut report).await?;
    step(watch, RestoreStep::PartitionsWritten)?;

    let next_producer_id = plan.next_producer_id.max(producers.saturating_add(1));
    write_metadata(config, (cluster, instance), &plan, next_producer_id).await?;
    step(watch, RestoreStep::MetadataWritten)?;

    if let Some(groups) = write_groups(tiering, &log_dir, &plan.topics, &mut report).await? {
        report.note_groups(&groups);
    }
    step(watch, RestoreStep::GroupsWritten)?;

    let starts: OffsetsByPartition = plan
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|partition| (partition.name.clone(), partition.log_start))
        .collect();
    off_thread(move || Ok(write_log_starts(&log_dir, &starts)?)).await?;
    step(watch, RestoreStep::LogStartsWritten)?;
    report.note_plan(config, &plan);
    Ok(report)
}

/// What the last snapshot says, held against the bucket.
async fn read_plan(
    tiering: &Tiering,
    found: Vec<FoundPartition>,
    report: &mut RestoreReport,
) -> Result<Plan, RestoreError> {
    let MetaFound { newest, damaged } = tiering.newest_meta(CLUSTER).await?;
    report.damaged.extend(damaged);
    let mut known = None;
    match &newest {
        Some(snapshot) => {
            report.snapshot_written_ms = Some(snapshot.written_ms);
            known = Some(ClusterSnapshot::decode(&snapshot.payload)?);
        }
        None => report.lost.push(
            "the bucket has no snapshot of topics: their settings, policies, log starts and groups \
             are lost"
                .to_owned(),
        ),
    }
    Ok(plan(known, found))
}

/// What the lists do not show and the store has all the same: they are not the whole, and a log that
/// went on where they end would give its offsets away twice.
async fn refuse_short_lists(tiering: &Tiering, plan: &Plan) -> Result<(), RestoreError> {
    let asked: Vec<_> = plan.unlisted.iter().map(|object| ask_for(tiering, object)).collect();
    let mut asked = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
    while let Some(there) = asked.next().await {
        if let Some(object) = there? {
            return Err(RestoreError::ShortList { object });
        }
    }
    Ok(())
}

/// The object's name in words, if it is there.
async fn ask_for(
    tiering: &Tiering,
    (key, name): &(PartitionKey, ObjectName),
) -> Result<Option<String>, StoreError> {
    let there = tiering.has_object(key, name).await?;
    Ok(there.then(|| format!("{key}/{name}")))
}

async fn write_partitions(
    tiering: &Arc<Tiering>,
    log_dir: &Path,
    plan: &Plan,
    watch: &dyn RestoreWatch,
    report: &mut RestoreReport,
) -> Result<i64, RestoreError> {
    let of = plan.topics.iter().flat_map(|topic| &topic.partitions);
    let of = of.filter(|partition| partition.remote.is_some()).count() as u64;
    let so_far = AtomicU64::new(0);
    let done = || {
        let done = so_far.fetch_add(1, Ordering::Relaxed) + 1;
        watch.progress(RestoreProgress::Partitions { done, of });
    };
    let restored = partitions::restore(tiering, log_dir, &plan.topics, &done).await?;
    report.damaged.extend(restored.damaged);
    Ok(restored.producer_id_max)
}

async fn write_metadata(
    config: &BrokerConfig,
    (cluster, instance): (&FoundCluster, String),
    plan: &Plan,
    next_producer_id: i64,
) -> Result<(), RestoreError> {
    let path: PathBuf = config.data_dir().join("metadata.db");
    let store = off_thread(move || Ok(SqliteMetaStore::open(&path)?)).await?;
    let raised = plan.topics.iter().map(|topic| topic.stored.clone());
    let topics = raised.chain(plan.deleting.iter().cloned()).collect();
    let given = (plan.policies.clone(), plan.broker_settings.clone());
    let ids = (cluster.cluster_id.as_str(), instance.as_str());
    Ok(store.restore(ids, topics, given, next_producer_id).await?)
}

async fn write_groups(
    tiering: &Tiering,
    log_dir: &Path,
    topics: &[PlannedTopic],
    report: &mut RestoreReport,
) -> Result<Option<RestoredGroups>, RestoreError> {
    let MetaFound { newest, damaged } = tiering.newest_meta(GROUPS).await?;
    report.damaged.extend(damaged);
    let Some(snapshot) = newest else { return Ok(None) };
    report.groups_written_ms = Some(snapshot.written_ms);
    let restored = groups::restore(log_dir, topics, &snapshot.payload).await?;
    if restored.is_none() {
        report.lost.push(
            "groups and their offsets: no snapshot of topics has their topic __consumer_offsets"
                .to_owned(),
        );
    }
    Ok(restored)
}

fn step(watch: &dyn RestoreWatch, step: RestoreStep) -> Result<(), RestoreError> {
    match watch.reached(step) {
        true => Ok(()),
        false => Err(RestoreError::BrokenOff(format!("{step:?}"))),
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RestoreError> + Send + 'static,
) -> Result<T, RestoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| RestoreError::BrokenOff(panic.to_string()))?
}

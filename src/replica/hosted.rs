//! All partitions that this broker hosts, and the threads that write them.
//!
//! Invariant: a partition is in the map from the time its log is open until its topic is dropped;
//! the map changes only under the controller's lock.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use icecore_tiering::{CacheClass, PartitionKey, Tiering};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::append_lane::{AppendLane, AppendReply, AppendRequest, Durability};
use super::checkpoints::{Checkpoints, Remembered};
use super::error::{EraseError, HostError};
use super::flusher::Flusher;
use super::partition::{Partition, log_config, topic_bounds};
use super::space::{Space, WantedWatermarks};
use super::suspects::Suspects;
use crate::config::TopicConfig;
use crate::log::checkpoint::CheckpointError;
use crate::log::{AppendError, Log, LogEnv, Tier, TieredLog, partition_metadata};
use crate::metadata::{TopicImage, is_internal_topic};
use crate::metrics::BrokerMetrics;
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::pace::TopicPaces;

/// Logs that are opened at a time.
const OPENINGS_MAX: usize = 8;
/// Logs that are closed at a time.
const CLOSINGS_MAX: usize = 16;
/// Kafka's suffix for folders of deleted topics.
const DELETED_FOLDER_SUFFIX: &str = "-delete";

/// What hosting needs.
pub struct ReplicasOptions {
    /// The folder of the partitions' folders.
    pub log_dir: PathBuf,
    /// The remote tier, if there is one.
    pub tiering: Option<Arc<Tiering>>,
    /// Told of objects that are gone, where another broker's partitions are followed.
    pub suspects: Option<Arc<Suspects>>,
    /// Clock and edges.
    pub env: LogEnv,
    /// Append lanes, each with a flusher: threads that write.
    pub lanes: usize,
    /// Told how long syncs take.
    pub metrics: BrokerMetrics,
    /// With how little room on the disk producers are refused.
    pub watermarks: WantedWatermarks,
}

/// The hosted partitions.
pub struct Replicas {
    log_dir: PathBuf,
    tiering: Option<Arc<Tiering>>,
    suspects: Option<Arc<Suspects>>,
    env: LogEnv,
    checkpoints: Checkpoints,
    remembered: Mutex<Remembered>,
    partitions: RwLock<BTreeMap<TopicPartition, Arc<Partition>>>,
    lanes: Vec<AppendLane>,
    /// Partitions that were not closed in order by the last run.
    recovered: AtomicUsize,
    space: Arc<Space>,
}

impl Replicas {
    /// Reads the checkpoints and starts the threads; no partition is hosted yet. Blocking.
    ///
    /// # Errors
    /// When the folder or a checkpoint cannot be read, or the watermarks do not fit the disk.
    pub fn start(options: ReplicasOptions) -> Result<Self, HostError> {
        let ReplicasOptions { log_dir, tiering, suspects, env, lanes, metrics, watermarks } =
            options;
        let folder = |source| HostError::Folder { folder: log_dir.display().to_string(), source };
        std::fs::create_dir_all(&log_dir).map_err(folder)?;
        let (total, free) = disk_space(&log_dir).map_err(folder)?;
        let space = Arc::new(Space::new(watermarks, total, free)?);
        let checkpoints = Checkpoints::new(&log_dir, env.edges.clone());
        let remembered = Mutex::new(checkpoints.read()?);
        let lanes = (0..lanes.max(1))
            .map(|number| {
                let (flusher, _) = Flusher::start(number, metrics.clone())?;
                Ok(AppendLane::start(number, flusher, space.clone())?.0)
            })
            .collect::<io::Result<_>>()
            .map_err(folder)?;
        let partitions = RwLock::new(BTreeMap::new());
        Ok(Self {
            log_dir,
            tiering,
            suspects,
            env,
            checkpoints,
            remembered,
            partitions,
            lanes,
            recovered: AtomicUsize::new(0),
            space,
        })
    }

    /// How many partitions the last run did not close in order.
    #[must_use]
    pub fn recovered(&self) -> usize {
        self.recovered.load(Ordering::Relaxed)
    }

    /// Where the partitions' folders lie.
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// The remote tier, if there is one.
    pub fn tiering(&self) -> Option<&Arc<Tiering>> {
        self.tiering.as_ref()
    }

    /// The room on the disk.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Told of objects that are gone; `None` where no other broker's partitions are followed.
    pub fn suspects(&self) -> Option<&Arc<Suspects>> {
        self.suspects.as_ref()
    }

    /// Clock and edges.
    pub(super) fn env(&self) -> &LogEnv {
        &self.env
    }

    /// Opens the logs of a topic's partitions that are not open yet, and hosts them.
    ///
    /// # Errors
    /// The first log that does not open; those that did stay hosted.
    pub async fn host_topic(&self, topic: &TopicImage) -> Result<(), HostError> {
        self.class_topic(topic.id, topic.config.cache_class());
        let paces = &self.paces_of(topic);
        stream::iter(topic.topic_partitions().zip(&topic.partitions))
            .map(Ok)
            .try_for_each_concurrent(OPENINGS_MAX, |(name, image)| async move {
                if self.partitions.read().contains_key(&name) {
                    return Ok(());
                }
                let (epoch, paces) = (image.leader_epoch, paces.clone());
                let partition = self.open(topic, name.clone(), epoch, paces).await?;
                self.partitions.write().insert(name, Arc::new(partition));
                Ok(())
            })
            .await
    }

    /// The rates of a topic: those of its partitions that are hosted already, if there are any.
    fn paces_of(&self, topic: &TopicImage) -> Arc<TopicPaces> {
        let partitions = self.partitions.read();
        let hosted = topic.topic_partitions().find_map(|name| partitions.get(&name));
        match hosted {
            Some(partition) => partition.paces().clone(),
            None => TopicPaces::new(topic_bounds(&topic.config)),
        }
    }

    async fn open(
        &self,
        topic: &TopicImage,
        name: TopicPartition,
        leader_epoch: LeaderEpoch,
        paces: Arc<TopicPaces>,
    ) -> Result<Partition, HostError> {
        let opening = tracing::info_span!("open partition", partition = %name);
        self.open_now(topic, name, leader_epoch, paces).instrument(opening).await
    }

    async fn open_now(
        &self,
        topic: &TopicImage,
        name: TopicPartition,
        leader_epoch: LeaderEpoch,
        paces: Arc<TopicPaces>,
    ) -> Result<Partition, HostError> {
        let key = PartitionKey::new(name.topic.clone(), topic.id, name.partition);
        let (tier, remote_end) = self.tier(&topic.config, key).await?;
        let at = self.remembered.lock().open_at(&name, remote_end.unwrap_or_default());
        let (folder, id) = (self.log_dir.join(name.to_string()), topic.id);
        let (config, env) = (log_config(&topic.config), self.env.clone());
        let open = move || {
            claim_folder(&folder, id, &env)?;
            Ok::<_, HostError>(Log::open(&folder, config, at, env)?)
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let folder = |source| HostError::Folder { folder: name.to_string(), source };
        let (log, report) = opened.map_err(|panic| folder(io::Error::other(panic)))??;
        if report != crate::log::RecoveryReport::default() {
            self.recovered.fetch_add(1, Ordering::Relaxed);
            tracing::info!(partition = %name, ?report, "recovered");
        }
        let log = TieredLog::new(Arc::new(log), tier, remote_end);
        let (config, clock) = (topic.config.clone(), self.env.clock.clone());
        Ok(Partition::new(name, topic.id, leader_epoch, log, config, paces, clock))
    }

    /// The partition's remote tier and where it ends, if the topic tiers, or did and the remote tier
    /// is not cleared yet.
    async fn tier(
        &self,
        config: &TopicConfig,
        key: PartitionKey,
    ) -> Result<(Option<Tier>, Option<Offset>), HostError> {
        let Some(tiering) = self.tiering.clone() else { return Ok((None, None)) };
        let all = Offset::ZERO..Offset::new(i64::MAX);
        if !config.remote_storage_enable() && tiering.segments(&key, all, 1).await?.is_empty() {
            return Ok((None, None));
        }
        let end = tiering.last(&key).await?.map(|last| last.end.next());
        Ok((Some(Tier { tiering, key }), end))
    }

    /// Gives a hosted partition the remote tier that its topic asks for.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub(super) async fn give_tier(&self, partition: &Partition) -> Result<(), HostError> {
        let (tier, end) = self.tier(&partition.config(), partition.tier_key()).await?;
        partition.log().set_tier(tier, end);
        Ok(())
    }

    /// Takes over a topic's changed settings. Whether it tiers is noticed at the upkeep's next turn,
    /// its class of the read cache with the next use of a chunk.
    pub fn configure_topic(&self, topic: &TopicImage) {
        let hosted = |name: TopicPartition| self.partition(&name.topic, name.partition);
        for partition in topic.topic_partitions().filter_map(hosted) {
            partition.configure(topic.config.clone());
        }
        self.class_topic(topic.id, topic.config.cache_class());
    }

    /// Tells the read cache what it is to do for a topic.
    fn class_topic(&self, topic: TopicId, class: CacheClass) {
        if let Some(tiering) = &self.tiering {
            tiering.set_cache_class(topic, class);
        }
    }

    /// Ends the start: all topics of the last run are hosted. What it remembered counts for them
    /// alone, and what it remembered of others leaves the checkpoint files, since a new topic may
    /// have their names.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub async fn end_start(self: &Arc<Self>) -> Result<(), HostError> {
        let remembered = std::mem::take(&mut *self.remembered.lock());
        if remembered.is_only_of(|name| self.partitions.read().contains_key(name)) {
            return Ok(());
        }
        let replicas = self.clone();
        let written = tokio::task::spawn_blocking(move || replicas.checkpoint()).await;
        let folder = self.log_dir.display().to_string();
        let lost = |panic| HostError::Folder { folder, source: io::Error::other(panic) };
        Ok(written.map_err(lost)??)
    }

    /// Stops hosting a topic, and frees its name: its partitions leave the checkpoint files, and its
    /// folders are set aside, so that a new topic finds nothing of it. What is in flight ends by
    /// itself; the folders go with [`Replicas::erase_topic`].
    pub async fn drop_topic(self: &Arc<Self>, topic: &TopicImage) {
        let dropped: Vec<_> = {
            let mut partitions = self.partitions.write();
            topic.topic_partitions().filter_map(|name| partitions.remove(&name)).collect()
        };
        dropped.iter().for_each(|partition| partition.waiters().wake_all());
        self.class_topic(topic.id, CacheClass::default());
        let replicas = self.clone();
        let forget = move || {
            dropped.iter().for_each(|partition| partition.log().local().retire());
            replicas.checkpoint().map_err(io::Error::other)
        };
        let forgotten = tokio::task::spawn_blocking(forget).await.map_err(io::Error::other);
        let aside = match forgotten.flatten() {
            Ok(()) => self.set_aside_topic(topic).await,
            Err(error) => Err(error),
        };
        if let Err(error) = aside {
            tracing::warn!(topic = %topic.name, %error, "a deleted topic keeps its name for now");
        }
    }

    /// Renames the folders of a deleted topic, which no log may use any more. May be called again.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn set_aside_topic(&self, topic: &TopicImage) -> io::Result<()> {
        self.each_folder(topic, |log_dir, name, id| set_aside_folder(log_dir, name, id).map(drop))
            .await
    }

    async fn each_folder(
        &self,
        topic: &TopicImage,
        work: impl Fn(&Path, &str, TopicId) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (log_dir, id) = (self.log_dir.clone(), topic.id);
        let names: Vec<_> = topic.topic_partitions().map(|name| name.to_string()).collect();
        let each = move || names.iter().try_for_each(|name| work(&log_dir, name, id));
        tokio::task::spawn_blocking(each).await.map_err(io::Error::other)?
    }

    /// Removes the folders of a dropped topic. May be called again.
    pub(super) async fn remove_folders(&self, topic: &TopicImage) -> io::Result<()> {
        self.each_folder(topic, erase_folder).await
    }

    /// Removes what a dropped topic left, on disk and in the store. May be called again.
    ///
    /// # Errors
    /// What the disk or the store says; call again later.
    pub async fn erase_topic(&self, topic: &TopicImage) -> Result<(), EraseError> {
        self.remove_folders(topic).await?;
        if let Some(tiering) = &self.tiering {
            tiering.delete_topic(&topic.name, topic.id).await?;
        }
        Ok(())
    }

    /// The hosted partition of that name.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        let name = TopicPartition::new(topic, partition);
        self.partitions.read().get(&name).cloned()
    }

    /// Whether it is this very partition that is hosted under its name: its topic is not deleted.
    pub(super) fn hosts(&self, partition: &Arc<Partition>) -> bool {
        let name = partition.name();
        let hosted = self.partition(&name.topic, name.partition);
        hosted.is_some_and(|hosted| Arc::ptr_eq(&hosted, partition))
    }

    /// All hosted partitions by name.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().cloned().collect()
    }

    /// Queues a batch on its partition's lane, in the order of the calls; waits while the queue is
    /// full. The reply comes when the batch is as durable as asked; at once, when the disk has no room
    /// for it. What brokers keep for themselves is never refused for want of room.
    pub async fn append(
        &self,
        partition: &Arc<Partition>,
        batch: crate::record::Batch,
        durability: Durability,
    ) -> AppendReply {
        let (done, reply) = oneshot::channel();
        if let Err(full) = self.admit(partition, batch.len()) {
            drop(done.send(Err(full)));
            return reply;
        }
        let mut hasher = DefaultHasher::new();
        partition.name().hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % self.lanes.len() as u64).unwrap_or(0);
        let request = AppendRequest { partition: partition.clone(), batch, durability, done };
        // A lane that has ended drops the request, and with it the sender: the reply says so.
        self.lanes[lane].queue(request).await;
        reply
    }

    fn admit(&self, partition: &Partition, bytes: usize) -> Result<(), AppendError> {
        if is_internal_topic(&partition.name().topic) {
            self.space.admit_always(i64::try_from(bytes).unwrap_or(i64::MAX));
            return Ok(());
        }
        self.space.admit(bytes, partition.config().disk_full_policy())
    }

    /// Moves a partition's log start, durably, and returns where it is.
    ///
    /// # Errors
    /// When the records cannot be synced: nothing has moved. When the checkpoint cannot be written:
    /// the start has moved until the next restart.
    pub async fn move_log_start(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        start: Offset,
    ) -> Result<Offset, CheckpointError> {
        let (replicas, partition) = (self.clone(), partition.clone());
        let path = self.log_dir.display().to_string();
        let failed = move |source| CheckpointError::Io { path: path.clone(), source };
        let not_synced = failed.clone();
        let moved = tokio::task::spawn_blocking(move || {
            let start = partition.log().local().move_log_start(start);
            let start = start.map_err(|error| not_synced(io::Error::other(error)))?;
            replicas.checkpoints.write_log_starts(|| replicas.all())?;
            Ok(start)
        });
        moved.await.map_err(|panic| failed(io::Error::other(panic)))?
    }

    /// Writes the checkpoint files. Blocking.
    pub(super) fn checkpoint(&self) -> Result<(), CheckpointError> {
        self.checkpoints.write(|| self.all())
    }

    /// Bytes of the log folder's file system: all, and those that are free for us.
    ///
    /// # Errors
    /// What the system says.
    pub async fn disk_space(&self) -> io::Result<(u64, u64)> {
        let dir = self.log_dir.clone();
        tokio::task::spawn_blocking(move || disk_space(&dir)).await.map_err(io::Error::other)?
    }

    /// Ends in order: every log is closed and the end is marked, so that the next start has
    /// nothing to recover. Blocking.
    pub fn close(&self) {
        let clean = self.close_logs();
        let written = self.checkpoint().map_err(io::Error::other);
        let marked =
            written.and_then(|()| if clean { self.checkpoints.mark_clean() } else { Ok(()) });
        if let Err(error) = marked {
            tracing::error!(%error, "the end was not marked: the next start recovers");
        }
    }

    /// Closes all logs, some at a time: each waits for the disk several times. Whether all were.
    fn close_logs(&self) -> bool {
        let (left, clean) = (Mutex::new(self.all().into_iter()), AtomicBool::new(true));
        let close = || loop {
            let next = left.lock().next();
            let Some(partition) = next else { return };
            if let Err(error) = partition.log().local().close() {
                clean.store(false, Ordering::Relaxed);
                tracing::error!(partition = %partition.name(), %error, "a log was not closed in order");
            }
        };
        std::thread::scope(|scope| (0..CLOSINGS_MAX).for_each(|_| drop(scope.spawn(close))));
        clean.into_inner()
    }
}

/// Bytes of a folder's file system: all, and those that are free for us.
///
/// # Errors
/// What the system says.
pub fn disk_space(folder: &Path) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok((bytes(stat.f_blocks), bytes(stat.f_bavail)))
}

/// Makes a folder the topic's, or finds that it is another's.
fn claim_folder(folder: &Path, id: TopicId, env: &LogEnv) -> Result<(), HostError> {
    let shown = || folder.display().to_string();
    let io = |source| HostError::Folder { folder: shown(), source };
    std::fs::create_dir_all(folder).map_err(io)?;
    match partition_metadata::read(folder).map_err(io)? {
        Some(found) if found == id => Ok(()),
        Some(found) => Err(HostError::ForeignFolder { folder: shown(), found, expected: id }),
        None => partition_metadata::write(folder, id, &*env.edges).map_err(io),
    }
}

/// Renames a partition's folder if it is that topic's: what is half removed, or is to be, is never
/// taken for a log. Returns its new path.
fn set_aside_folder(log_dir: &Path, name: &str, id: TopicId) -> io::Result<PathBuf> {
    let folder = log_dir.join(name);
    let doomed = log_dir.join(format!("{name}.{}{DELETED_FOLDER_SUFFIX}", id.to_hex()));
    if folder.exists() && partition_metadata::read(&folder)? == Some(id) {
        std::fs::rename(&folder, &doomed)?;
    }
    Ok(doomed)
}

fn erase_folder(log_dir: &Path, name: &str, id: TopicId) -> io::Result<()> {
    let doomed = set_aside_folder(log_dir, name, id)?;
    if doomed.exists() { std::fs::remove_dir_all(doomed) } else { Ok(()) }
}

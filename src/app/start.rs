//! The start, from the bottom up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{
    Headers, OpenError, PartitionKey, ReconcileProgress, Scope, StoreSettings, SystemClock,
    Tiering, TieringConfig,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::aside_threads::AsideThreads;
use super::claim::{Claim, claim, raise_open_files};
use super::follow::{Eye, EyeParts, Follower};
use super::jobs::{JobPlace, Jobs};
use super::meta::{MetaUpload, MetaUploadParts};
use super::observe::Observer;
use super::owner::OwnerTask;
use super::policies::PolicyDesk;
use super::start_error::StartError;
use super::store_wait::until_reachable;
use super::{empty_disk, follow, owner, reserve, restore, sampling};
use crate::broker::{Broker, Parts};
use crate::cluster::{Controller, SqliteMetaStore, load_image, put_in_force};
use crate::config::{Address, BrokerConfig, EmptyDisk, Listener};
use crate::coordinator::{Groups, GroupsParts, Rules};
use crate::log::LogEnv;
use crate::metadata::{BrokerNode, ClusterImage, Endpoint, LiveImage, MetaStore, TopicImage};
use crate::metrics::Metrics;
use crate::model::BrokerId;
use crate::pace::Paces;
use crate::replica::{
    HostError, Replicas, ReplicasOptions, Suspects, Upkeep, UpkeepIntervals, WantedWatermarks,
};

/// How long to wait before the rest of a deleted topic is removed again.
const ERASE_RETRY: Duration = Duration::from_secs(5);
/// Threads that write, at most.
const LANES_MAX: usize = 4;
/// What a data directory may be of, in words.
pub(super) const READ_ONLY_SERVER: &str = "a read-only server";

/// A broker whose parts are all there.
pub(super) struct Started {
    pub(super) cluster_id: String,
    pub(super) broker: Arc<Broker>,
    pub(super) replicas: Arc<Replicas>,
    pub(super) groups: Arc<Groups>,
    pub(super) upkeep: Arc<Upkeep>,
    /// Of one who leads its cluster; none without a remote tier.
    pub(super) owner: Option<OwnerTask>,
    /// Of one who only reads it.
    pub(super) follower: Option<Follower>,
    pub(super) paces: Arc<Paces>,
    pub(super) store_threads: AsideThreads,
    pub(super) replay_threads: AsideThreads,
    controller: Arc<Controller>,
    pub(super) image: Arc<LiveImage>,
    store: Arc<dyn MetaStore>,
    deleting: Vec<TopicImage>,
    _claim: Claim,
}

/// Opens everything. `listeners` are Kafka's, with the addresses that they are bound to; `stop` is
/// cancelled when another broker takes over.
pub(super) async fn start(
    config: &Arc<BrokerConfig>,
    listeners: &[(Arc<str>, SocketAddr)],
    metrics: &Arc<Metrics>,
    observer: &Observer,
    stop: &CancellationToken,
) -> Result<Started, StartError> {
    raise_open_files();
    let data_dir = config.data_dir().to_owned();
    let claim = claim(&data_dir).map_err(StartError::Io)?;
    let claim = claim.ok_or_else(|| StartError::InUse(data_dir.display().to_string()))?;
    reserve::give_up_if_full(&data_dir);
    let leads = config.remote_storage_system_enable() && !config.read_only();
    let resumes = leads && config.on_empty_disk() == EmptyDisk::Restore;
    if restore::is_unfinished(&data_dir) && !resumes {
        return Err(StartError::RestoreUnfinished(data_dir.display().to_string()));
    }
    if leads {
        // Boxed: it is large, and rarely more than a look into a folder.
        Box::pin(empty_disk::decide(config, observer)).await?;
    }
    observer.starting("opening the metadata");
    let store = Arc::new(SqliteMetaStore::open(&data_dir.join("metadata.db"))?);
    let known = role(config, &store).await?;
    let instance = store.instance().await?;
    let store: Arc<dyn MetaStore> = store;
    let wanted = match known {
        None if config.read_only() => Some(follow::choose(config, observer).await?),
        _ => config.cluster_id(),
    };
    let cluster_id = cluster_id(wanted, &*store).await?;
    store.begin_leading().await?;
    let paces = Arc::new(Paces::default());
    let store_threads = AsideThreads::start("store").map_err(StartError::Io)?;
    let replay_threads = AsideThreads::start("replay").map_err(StartError::Io)?;
    let wanted = TieringConfig {
        pace: paces.copies.clone(),
        fetch_pace: paces.fetches.clone(),
        downloads_on: Some(store_threads.handle()),
        watch: Arc::new(sampling::Watch(metrics.store.clone())),
        ..tiering_config(config, &cluster_id)
    };
    let tiering = tiering(config, wanted, observer).await?;
    let owner = match &tiering {
        Some(tiering) if leads => {
            let first = listeners.first().map(|(_, address)| *address);
            let identity = owner::identity(instance, first);
            let ownership = owner::own(tiering, identity, observer).await?;
            Some(OwnerTask::start(ownership, stop.clone()))
        }
        _ => None,
    };
    if tiering.as_ref().is_some_and(|tiering| tiering.reads_in_place()) {
        paces.read_in_place();
    }
    observer.starting("recovering the logs");
    let env = LogEnv::real();
    let suspects = config.read_only().then(|| Arc::new(Suspects::default()));
    let replicas = Arc::new(Replicas::start(ReplicasOptions {
        log_dir: config.log_dir(),
        tiering,
        suspects,
        env: env.clone(),
        lanes: std::thread::available_parallelism().map_or(1, usize::from).min(LANES_MAX),
        metrics: metrics.broker.clone(),
        watermarks: WantedWatermarks { low: config.disk_free_low(), high: config.disk_free_high() },
    })?);
    let node = node(config, listeners);
    let loaded = load_image(config, &*store, &cluster_id, node).await?;
    let (image, deleting) = loaded;
    put_in_force(&paces, config, &image.broker_overrides);
    // First of all: a new topic may have the name of one whose folders are still in its place.
    for topic in &deleting {
        if let Err(error) = replicas.set_aside_topic(topic).await {
            tracing::warn!(topic = %topic.name, %error, "a deleted topic keeps its folders for now");
        }
    }
    host_all(&replicas, &image, observer).instrument(tracing::info_span!("open logs")).await?;
    let image = Arc::new(LiveImage::new(image));
    let controller = Arc::new(Controller::new(
        config.clone(),
        image.clone(),
        store.clone(),
        replicas.clone(),
        paces.clone(),
    ));
    // Before the groups: they forget offsets of topics that are not there.
    let follower = match config.read_only() {
        true => Some(Box::pin(follower(config, &replicas, &controller, observer)).await?),
        false => None,
    };
    let groups = Groups::start(GroupsParts {
        rules: group_rules(config),
        image: image.clone(),
        replicas: replicas.clone(),
        clock: env.clock.clone(),
        expire_every: config.offsets_retention_check_interval(),
        growth_bytes: config.offsets_topic_segment_bytes().unsigned_abs(),
    });
    let broker = Broker::new(Parts {
        config: config.clone(),
        image: image.clone(),
        controller: controller.clone(),
        replicas: replicas.clone(),
        groups: groups.clone(),
        store: store.clone(),
        clock: env.clock,
        metrics: metrics.clone(),
        paces: paces.clone(),
    });
    let upkeep = Upkeep::new(replicas.clone(), intervals(config));
    Ok(Started {
        cluster_id,
        broker,
        replicas,
        groups,
        upkeep,
        owner,
        follower,
        paces,
        store_threads,
        replay_threads,
        controller,
        image,
        store,
        deleting,
        _claim: claim,
    })
}

/// Opens all logs, and tells how far that is.
async fn host_all(
    replicas: &Arc<Replicas>,
    image: &ClusterImage,
    observer: &Observer,
) -> Result<(), HostError> {
    let all: usize = image.topics().map(|topic| topic.partitions.len()).sum();
    let mut open = 0;
    for topic in image.topics() {
        observer.starting(&format!("recovering the logs, {open} of {all} partitions are open"));
        replicas.host_topic(topic).await?;
        open += topic.partitions.len();
    }
    replicas.end_start().await
}

/// Refuses a data directory that was made for something else. Gives the cluster's id, if it is known.
async fn role(
    config: &BrokerConfig,
    store: &SqliteMetaStore,
) -> Result<Option<String>, StartError> {
    let (read_only, cluster_id) = store.begin_as(config.read_only()).await?;
    if read_only == config.read_only() {
        return Ok(cluster_id);
    }
    let data_dir = config.data_dir().display().to_string();
    let found = if read_only { READ_ONLY_SERVER } else { "a broker that leads its cluster" };
    Err(StartError::OtherRole { data_dir, found })
}

/// Reads what the store has of the cluster.
async fn follower(
    config: &Arc<BrokerConfig>,
    replicas: &Arc<Replicas>,
    controller: &Arc<Controller>,
    observer: &Observer,
) -> Result<Follower, StartError> {
    replicas.remove_unhosted().await.map_err(StartError::Io)?;
    let (Some(tiering), Some(suspects)) = (replicas.tiering(), replicas.suspects()) else {
        return Err(StartError::NoRemoteTier);
    };
    let eye = Eye::new(EyeParts {
        config: config.clone(),
        tiering: tiering.clone(),
        replicas: replicas.clone(),
        controller: controller.clone(),
        suspects: suspects.clone(),
    });
    let begun = Follower::begin(eye, config.follow_interval(), observer).await;
    Ok(begun.map_err(Box::new)?)
}

async fn cluster_id(wanted: Option<String>, store: &dyn MetaStore) -> Result<String, StartError> {
    let found = store.cluster_id(wanted.as_deref()).await?;
    match wanted {
        Some(wanted) if wanted != found => Err(StartError::OtherCluster { wanted, found }),
        _ => Ok(found),
    }
}

fn node(config: &BrokerConfig, listeners: &[(Arc<str>, SocketAddr)]) -> BrokerNode {
    let endpoint = |(given, (name, bound)): (&Listener, &(Arc<str>, SocketAddr))| {
        let (host, port) = match given.advertised() {
            Some(Address { host, port }) => (host.clone(), *port),
            None => (bound.ip().to_string(), bound.port()),
        };
        Endpoint { listener: Arc::clone(name), host: host.into(), port }
    };
    let endpoints = config.listeners().iter().zip(listeners).map(endpoint).collect();
    let rack = config.rack().map(Into::into);
    BrokerNode { id: BrokerId(config.node_id()), endpoints, rack }
}

/// Opens the remote tier; a store that is out of reach is waited for, anything else is an error.
async fn tiering(
    config: &BrokerConfig,
    wanted: TieringConfig,
    observer: &Observer,
) -> Result<Option<Arc<Tiering>>, StartError> {
    if !config.remote_storage_system_enable() {
        return Ok(None);
    }
    observer.starting("opening the object store");
    let is_away = |error: &OpenError| matches!(error, OpenError::Unreachable { .. });
    let open = || Tiering::open(wanted.clone(), Arc::new(SystemClock));
    let tiering = until_reachable(observer, is_away, open).await?;
    // A reader's manifest is never complete: it follows.
    if tiering.needs_reconcile() && !tiering.is_read_only() {
        observer.starting("rebuilding the manifest from the object store");
        // The logs are not open yet: what lies on the disk as well is found again by its offsets.
        let told = |done: ReconcileProgress| {
            observer.starting(&format!(
                "rebuilding the manifest from the object store, {} of {} partitions, {} segments",
                done.partitions, done.of_partitions, done.segments
            ));
        };
        let report = tiering.rebuild(&Scope::All, &[], Headers::All, &told).await?;
        tracing::info!(?report, "the manifest was rebuilt from the object store");
    }
    Ok(Some(tiering))
}

/// How the store of the settings is reached.
pub(super) fn store_settings(config: &BrokerConfig) -> StoreSettings {
    let table = config.store();
    let options = table.options.iter();
    let store = options.fold(StoreSettings::new(table.url.clone()), |store, (name, value)| {
        store.with_option(name.clone(), value.clone())
    });
    if config.read_only() { store.only_to_read() } else { store }
}

/// What the remote tier is opened with.
pub(super) fn tiering_config(config: &BrokerConfig, cluster_id: &str) -> TieringConfig {
    let (store, manifest) = (store_settings(config), config.data_dir().join("manifest.db"));
    let mut tiering = TieringConfig::new(store, cluster_id, manifest, config.cache_dir());
    tiering.prefix = config.tiering_prefix();
    tiering.cache_bytes = config.cache_bytes().unsigned_abs();
    tiering.index_cache_bytes = config.remote_index_cache_bytes();
    tiering.downloads_max = config.reader_threads();
    tiering.read_ahead_bytes_max = config.read_ahead_max_bytes().unsigned_abs();
    tiering.uploads_max = config.copier_threads();
    tiering
}

fn group_rules(config: &BrokerConfig) -> Rules {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Rules {
        initial_delay_ms: millis(config.group_initial_rebalance_delay()),
        session_timeout_min_ms: millis(config.group_min_session_timeout()),
        session_timeout_max_ms: millis(config.group_max_session_timeout()),
        groups_max: config.group_max_count(),
        members_max: config.group_max_size(),
        offset_metadata_bytes_max: config.offset_metadata_max_bytes(),
        offsets_retention_ms: config.offsets_retention_minutes().saturating_mul(60_000),
    }
}

fn intervals(config: &BrokerConfig) -> UpkeepIntervals {
    UpkeepIntervals {
        retention: config.retention_check_interval(),
        tiering: config.tiering_task_interval(),
        checkpoint: config.checkpoint_interval(),
        producers: config.producer_expiration_check_interval(),
        producer_expiration_ms: config.producer_expiration_ms(),
        garbage: config.tiering_gc_interval(),
        garbage_min_age: config.tiering_gc_min_age(),
        partitions_at_once: config.copier_threads(),
    }
}

/// Keeps the bucket's snapshots of topics and groups up to date until `stop`.
pub(super) fn upload_metadata(
    started: &Started,
    config: &BrokerConfig,
    metrics: &Metrics,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let Some(tiering) = started.replicas.tiering().cloned() else { return };
    let parts = MetaUploadParts {
        tiering,
        store: started.store.clone(),
        image: started.image.clone(),
        replicas: started.replicas.clone(),
        groups: started.groups.clone(),
        metrics: metrics.tiering.clone(),
        every: config.tiering_meta_upload_interval(),
    };
    MetaUpload::start(parts, tasks, stop);
}

/// Policies as people ask for them and change them.
pub(super) fn policies(started: &Started, config: &Arc<BrokerConfig>) -> Arc<PolicyDesk> {
    let (controller, replicas) = (started.controller.clone(), started.replicas.clone());
    Arc::new(PolicyDesk::new(config.clone(), controller, replicas))
}

/// Checks and collections of the store that people ask for; `None` without a remote tier.
pub(super) fn jobs(
    started: &Started,
    config: &BrokerConfig,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Option<Jobs> {
    let image = started.image.clone();
    let partitions_of = move |name: &str| {
        let topic = image.load().topic(name)?.clone();
        let key = |number| PartitionKey::new(topic.name.clone(), topic.id, number);
        Some((0..).take(topic.partitions.len()).map(key).collect())
    };
    let place = JobPlace {
        tiering: started.replicas.tiering()?.clone(),
        cluster_id: started.cluster_id.clone(),
        data_dir: config.data_dir().to_owned(),
        partitions_of: Box::new(partitions_of),
        min_age: config.tiering_gc_min_age(),
    };
    Some(Jobs::new(place, tasks, &started.store_threads.handle(), stop))
}

/// Removes what topics left that were deleted before this start.
pub(super) fn finish_deletions(started: &Started, tasks: &TaskTracker, stop: &CancellationToken) {
    for topic in started.deleting.clone() {
        let (replicas, store, stop) =
            (started.replicas.clone(), started.store.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = crate::cluster::erase(&replicas, &*store, &topic, ERASE_RETRY) => {}
            }
        });
    }
}

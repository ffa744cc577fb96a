//! The composition root: the only place that knows every type.
//!
//! A start goes from the bottom up: the data directory is claimed, metadata and manifest are
//! opened, logs recover, then the sockets answer. An end goes the other way round.

mod aside_threads;
mod claim;
mod disk;
mod empty_disk;
mod follow;
mod jobs;
mod meta;
mod observe;
mod offline;
mod owner;
mod policies;
mod remarks;
mod replay_plan;
mod replay_rates;
mod replay_share;
mod replays;
mod reserve;
mod restore;
mod sampling;
mod start;
mod start_error;
mod store_wait;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::broker::KafkaService;
use crate::config::BrokerConfig;
use crate::http;
use crate::metrics::Metrics;
use crate::server::{Aside, Limits, Listening, Server};

pub use follow::{ChooseError, LookError};
pub use offline::{Offline, OfflineUse};
pub use restore::{
    CutTold, LeftTopic, RestoreError, RestoreOptions, RestoreProgress, RestoreReport, RestoreStep,
    RestoreWatch, RestoredTopic, Unwatched, restore,
};
pub use start_error::StartError;

use follow::Follower;
use observe::{Observer, Parts};

/// How long the upkeep may take to break off at the end.
const UPKEEP_END: Duration = Duration::from_secs(10);
/// Frame buffers that are kept for the next frames.
const SPARE_BUFFER_BYTES: usize = 16 << 20;

/// A broker that is starting or running.
pub struct Bound {
    kafka: Vec<Listening>,
    http: TcpListener,
    config: BrokerConfig,
}

impl Bound {
    /// Binds all ports, so that an address that is taken shows before anything is opened.
    ///
    /// # Errors
    /// When an address is taken or not ours.
    pub async fn bind(config: BrokerConfig) -> Result<Self, StartError> {
        let bind = async |address: &str| {
            let bound = TcpListener::bind(address).await;
            bound.map_err(|source| StartError::Bind { address: address.to_owned(), source })
        };
        let mut kafka = Vec::with_capacity(config.listeners().len());
        for listener in config.listeners() {
            let socket = bind(&listener.address().to_string()).await?;
            kafka.push(Listening { name: listener.name().into(), socket });
        }
        let http = bind(config.http()).await?;
        Ok(Self { kafka, http, config })
    }

    /// The addresses that are bound: that of the first Kafka listener, then HTTP's.
    ///
    /// # Errors
    /// What the system says.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        let first = self.listeners()?.first().map(|(_, address)| *address);
        let first = first.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        Ok((first, self.http.local_addr()?))
    }

    /// The Kafka listeners by name, with the addresses that are bound.
    ///
    /// # Errors
    /// What the system says.
    pub fn listeners(&self) -> std::io::Result<Vec<(Arc<str>, SocketAddr)>> {
        let of = |one: &Listening| Ok((Arc::clone(&one.name), one.socket.local_addr()?));
        self.kafka.iter().map(of).collect()
    }

    /// Runs the broker until `stop`, then ends it in order.
    ///
    /// # Errors
    /// When it cannot start. Nothing is lost by an error here.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let http_address = self.http.local_addr().map_err(StartError::Io)?;
        let listeners = self.listeners().map_err(StartError::Io)?;
        let Self { kafka, http, config } = self;
        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::new());
        let observer = Arc::new(Observer::new());
        let began = Instant::now();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            data_dir = %config.data_dir().display(),
            store = %config.store().url,
            "starting"
        );
        let http_stop = CancellationToken::new();
        let http = tokio::spawn(http::run(
            http,
            observer.clone(),
            metrics.clone(),
            http::Limits::default(),
            http_stop.clone(),
        ));
        // Ended by the caller, or because another broker took over.
        let (told, stop) = (stop.clone(), stop.child_token());
        // Boxed: it is large, and over when the broker runs.
        let starting = start::start(&config, &listeners, &metrics, &observer, &stop);
        let starting = Box::pin(starting.instrument(tracing::info_span!("start")));
        let mut started = tokio::select! {
            started = starting => started?,
            // One who is replaced while it starts ends below, and says by whom.
            () = told.cancelled() => return Ok(()),
        };
        let owner = started.owner.take();
        let tasks = TaskTracker::new();
        let upkeep_stop = CancellationToken::new();
        started.upkeep.start(&tasks, &upkeep_stop, &started.store_threads.handle());
        sampling::start(&started, &config, &metrics, &tasks, &upkeep_stop);
        replay_share::start(&started.paces, &metrics, &tasks, &upkeep_stop);
        start::finish_deletions(&started, &tasks, &upkeep_stop);
        reserve::start(config.data_dir(), &tasks, &upkeep_stop);
        let view = started.follower.as_ref().map(Follower::view);
        let policies = start::policies(&started, &config);
        let jobs = match started.follower.take() {
            None => {
                start::upload_metadata(&started, &config, &metrics, &tasks, &upkeep_stop);
                start::jobs(&started, &config, &tasks, &upkeep_stop)
            }
            Some(follower) => {
                let (groups, store) = (started.groups.clone(), started.store_threads.handle());
                follower.start(groups, metrics.tiering.clone(), &tasks, &upkeep_stop, &store);
                None
            }
        };
        let parts = Parts {
            broker: started.broker.clone(),
            groups: started.groups.clone(),
            upkeep: started.upkeep.clone(),
            policies,
            jobs: jobs.map(Arc::new),
            view,
        };
        observer.ready(started.replicas.clone(), parts);
        metrics.broker.started_in(began.elapsed());
        metrics.broker.ready.set(1);
        metrics.broker.active_controller.set((!config.read_only()).into());
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            kafka = %bound_to(&listeners),
            http = %http_address,
            data_dir = %config.data_dir().display(),
            store = %config.store().url,
            cluster = %started.cluster_id,
            node = config.node_id(),
            partitions = started.replicas.all().len(),
            recovered = started.replicas.recovered(),
            took_ms = began.elapsed().as_millis(),
            read_only = config.read_only(),
            "ready"
        );
        let at_end = at_the_end(&started, &observer, &metrics, &stop);
        let service = Arc::new(KafkaService(started.broker.clone()));
        let (threads, replays) = (started.replay_threads.handle(), started.paces.replays.clone());
        let (aside, metrics) = (Aside { threads, replays }, metrics.sockets.clone());
        let server = Server::new(service, limits(&config), aside, metrics);
        server.run(kafka, stop).await;
        // It returns when it was told to stop, and so does this.
        drop(at_end.await);
        observer.ending("no client is served any more, what goes on beside them is broken off");
        upkeep_stop.cancel();
        tasks.close();
        if tokio::time::timeout(UPKEEP_END, tasks.wait()).await.is_err() {
            tracing::warn!("upkeep did not end within {UPKEEP_END:?}");
        }
        observer.ending("groups and logs are synced and closed");
        end(&started).await;
        // Last of all: from here on another broker need not wait.
        let owned = match owner {
            Some(owner) => owner.end().await,
            None => Ok(()),
        };
        close_manifest(&started).await;
        http_stop.cancel();
        drop(http.await);
        if owned.is_ok() {
            tracing::info!("ended in order");
        }
        owned
    }
}

/// Addresses with commas between them.
fn bound_to(listeners: &[(Arc<str>, SocketAddr)]) -> String {
    listeners.iter().map(|(_, address)| address.to_string()).collect::<Vec<_>>().join(",")
}

/// At the end the broker says at once that it is not ready any more, and members that wait for others
/// are sent away, so that their replies still leave.
fn at_the_end(
    started: &start::Started,
    observer: &Arc<Observer>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (groups, stop) = (started.groups.clone(), stop.clone());
    let (observer, metrics) = (observer.clone(), metrics.clone());
    tokio::spawn(async move {
        stop.cancelled().await;
        observer.ending("the last answers are sent");
        metrics.broker.ready.set(0);
        metrics.broker.active_controller.set(0);
        groups.release();
    })
}

/// Closes groups and logs.
async fn end(started: &start::Started) {
    started.groups.end().await;
    let replicas = started.replicas.clone();
    if let Err(panic) = tokio::task::spawn_blocking(move || replicas.close()).await {
        tracing::error!(%panic, "the logs were not closed in order");
    }
}

async fn close_manifest(started: &start::Started) {
    if let Some(tiering) = started.replicas.tiering() {
        tiering.close().await;
    }
}

fn limits(config: &BrokerConfig) -> Limits {
    Limits {
        frame_bytes_max: config.socket_request_max_bytes(),
        connections_max: config.max_connections(),
        in_flight_requests_max: config.max_inflight_requests(),
        in_flight_bytes_max: config.max_inflight_bytes(),
        request_memory_bytes: config.queued_max_request_bytes(),
        spare_buffer_bytes_max: SPARE_BUFFER_BYTES,
        idle_timeout: config.connections_max_idle(),
        receive_buffer_bytes: config.socket_receive_buffer_bytes(),
        send_buffer_bytes: config.socket_send_buffer_bytes(),
        ..Limits::default()
    }
}

//! Kafka sockets and frames.
//!
//! The server knows lengths, order and limits; what a frame says is known to the [`Service`] alone.
//! A network thread never waits for a disk: file ranges that are not in the page cache are read by
//! threads of their own first.

mod aside;
mod buffers;
mod cold;
mod connection;
mod delivery;
mod limits;
mod residency;
mod transport;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::buffers::FrameMemory;
use self::delivery::Delivery;
use crate::metrics::SocketMetrics;
use crate::wire::exchange::{ConnectionId, ConnectionInfo, Service};

pub use self::aside::Aside;
pub use self::limits::Limits;

/// How often spare frame buffers that nobody needed are freed.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);
/// After a failed accept (no descriptors left, as a rule) the next try waits.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Beyond the time for draining: what connections need to say goodbye.
const ABORT_SLACK: Duration = Duration::from_secs(2);

/// Serves one listener until `shutdown`, then answers what is in flight.
pub async fn run<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let listeners = vec![Listening { name: "PLAINTEXT".into(), socket: listener }];
    Server::new(service, limits, Aside::here(), SocketMetrics::unregistered())
        .run(listeners, shutdown)
        .await;
}

/// A bound listener.
#[derive(Debug)]
pub struct Listening {
    /// As the service sees it in [`ConnectionInfo::listener`].
    pub name: Arc<str>,
    /// Where clients come in.
    pub socket: TcpListener,
}

/// What all listeners of a broker share: the service, the limits, the threads for cold reads.
#[derive(Debug)]
pub struct Server<S> {
    shared: Arc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    service: Arc<S>,
    limits: Limits,
    metrics: SocketMetrics,
    memory: Arc<FrameMemory>,
    delivery: Arc<Delivery>,
    places: Arc<Semaphore>,
    next_id: AtomicU64,
}

/// How the connections of one listener are told to end.
#[derive(Clone, Debug)]
struct Stop {
    /// Read no more requests and answer those in flight.
    gently: CancellationToken,
    /// End at once: those that were told gently are not done in time.
    at_once: CancellationToken,
}

impl<S: Service> Server<S> {
    /// A server without listeners. Limits that could not work are raised to the least that can. File
    /// ranges that give way are sent as `aside` tells.
    #[must_use]
    pub fn new(service: Arc<S>, limits: Limits, aside: Aside, metrics: SocketMetrics) -> Self {
        let limits = limits.workable();
        let shared = Shared {
            memory: Arc::new(FrameMemory::new(&limits, metrics.clone())),
            delivery: Arc::new(Delivery::new(&limits, aside, metrics.clone())),
            places: Arc::new(Semaphore::new(limits.connections_max)),
            next_id: AtomicU64::new(1),
            service,
            limits,
            metrics,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves bound listeners until `shutdown`; then accepts no more, reads no more requests,
    /// answers what is in flight within `Limits::drain_timeout` and closes.
    pub async fn run(&self, listeners: Vec<Listening>, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        let stop = Stop { gently: shutdown, at_once: CancellationToken::new() };
        let accept = |listener| self.accept(listener, &connections, &stop);
        let accepting = futures::future::join_all(listeners.iter().map(accept));
        tokio::select! {
            () = stop.gently.cancelled() => {}
            _ = accepting => {}
            () = self.trim() => {}
        }
        drop(listeners);
        connections.close();
        let drain = self.shared.limits.drain_timeout + ABORT_SLACK;
        if tokio::time::timeout(drain, connections.wait()).await.is_err() {
            let open = connections.len();
            tracing::warn!(open, "connections are aborted: not done within {drain:?}");
            stop.at_once.cancel();
            connections.wait().await;
        }
    }

    async fn accept(&self, listener: &Listening, connections: &TaskTracker, stop: &Stop) {
        let Listening { name, socket } = listener;
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    self.shared.metrics.accepted.inc();
                    let Some(place) = self.place(peer) else { continue };
                    let id = ConnectionId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
                    let info = Arc::new(ConnectionInfo::new(id, peer, Arc::clone(name)));
                    tracing::debug!(connection = id.0, %peer, listener = &**name, "accepted");
                    connections.spawn(self.serve(stream, info, place, stop.clone()));
                }
                // The client was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn place(&self, peer: std::net::SocketAddr) -> Option<Place> {
        let Ok(permit) = Arc::clone(&self.shared.places).try_acquire_owned() else {
            self.shared.metrics.refused.inc();
            let max = self.shared.limits.connections_max;
            tracing::warn!(%peer, "connection refused: {max} connections are open, the maximum");
            return None;
        };
        self.shared.metrics.connections.inc();
        Some(Place { metrics: self.shared.metrics.clone(), _permit: permit })
    }

    fn serve(
        &self,
        stream: TcpStream,
        info: Arc<ConnectionInfo>,
        place: Place,
        stop: Stop,
    ) -> impl Future<Output = ()> + use<S> {
        let shared = Arc::clone(&self.shared);
        async move {
            let _place = place;
            connection::serve(stream, info, shared, stop).await;
        }
    }

    async fn trim(&self) {
        loop {
            tokio::time::sleep(TRIM_INTERVAL).await;
            self.shared.memory.trim();
        }
    }
}

/// A connection's place among those that may be open.
struct Place {
    metrics: SocketMetrics,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

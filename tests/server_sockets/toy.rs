//! A service whose replies the tests decide, a server for it on a free port, and a client.
//!
//! A request is an API key, a version, a correlation id and a body; a reply is the correlation id
//! and whatever the test wants.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use icecore::metrics::SocketMetrics;
use icecore::server::{Aside, Limits, Listening, Server};
use icecore::wire::exchange::{CloseReason, Reply, ReplyFrame, RequestFrame, Service, Started};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Answered at once with the body.
pub(crate) const ECHO: i16 = 0;
/// Answered when the test says so, see [`Toy::gate`].
pub(crate) const WAIT: i16 = 1;
/// Not answered.
pub(crate) const SILENT: i16 = 2;
/// Answered with what [`Toy::prepare`] was given.
pub(crate) const PREPARED: i16 = 3;
/// Yields a few times before it is taken up.
pub(crate) const SLOW_START: i16 = 4;
/// Taken up never.
pub(crate) const HANG: i16 = 5;

/// No test waits longer for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Toy {
    gates: Mutex<HashMap<i32, oneshot::Receiver<Reply>>>,
    prepared: Mutex<HashMap<i32, ReplyFrame>>,
    started: watch::Sender<Vec<i32>>,
}

impl Default for Toy {
    fn default() -> Self {
        let (started, _) = watch::channel(Vec::new());
        Self { gates: Mutex::default(), prepared: Mutex::default(), started }
    }
}

impl Toy {
    /// Before WAIT is sent: what to answer it through. The frame stays in memory until then.
    pub(crate) fn gate(&self, correlation: i32) -> oneshot::Sender<Reply> {
        let (open, gate) = oneshot::channel();
        self.gates.lock().insert(correlation, gate);
        open
    }

    /// Before PREPARED is sent: its answer.
    pub(crate) fn prepare(&self, correlation: i32, frame: ReplyFrame) {
        self.prepared.lock().insert(correlation, frame);
    }

    /// The correlation ids of the requests taken up so far, in order, once there are `count`.
    pub(crate) async fn started(&self, count: usize) -> Vec<i32> {
        let mut started = self.started.subscribe();
        let wait = started.wait_for(|ids| ids.len() >= count);
        tokio::time::timeout(SOON, wait).await.expect("requests are taken up").unwrap().clone()
    }

    pub(crate) fn started_now(&self) -> usize {
        self.started.borrow().len()
    }
}

impl Service for Toy {
    async fn start(&self, frame: RequestFrame) -> Started {
        let api = i16::from_be_bytes(frame.bytes[..2].try_into().unwrap());
        let correlation = i32::from_be_bytes(frame.bytes[4..8].try_into().unwrap());
        if api == SLOW_START {
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
        }
        self.started.send_modify(|ids| ids.push(correlation));
        match api {
            ECHO | SLOW_START => Started::Ready(reply(correlation, &frame.bytes[8..])),
            WAIT => {
                let gate = self.gates.lock().remove(&correlation).expect("a gate");
                let answer = async move {
                    let reply = gate.await.expect("the gate is opened");
                    drop(frame);
                    reply
                };
                Started::Pending(answer.boxed())
            }
            SILENT => Started::Ready(Reply::None),
            PREPARED => {
                let frame = self.prepared.lock().remove(&correlation).expect("an answer");
                Started::Ready(Reply::Frame(frame))
            }
            HANG => std::future::pending().await,
            key => Started::Ready(Reply::Close(CloseReason::UnknownApi { key })),
        }
    }
}

/// A reply with this body.
pub(crate) fn reply(correlation: i32, body: &[u8]) -> Reply {
    let mut head = Vec::with_capacity(8 + body.len());
    head.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    head.extend_from_slice(&correlation.to_be_bytes());
    head.extend_from_slice(body);
    Reply::Frame(ReplyFrame { head: head.into(), pieces: Vec::new() })
}

pub(crate) struct Running {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) toy: Arc<Toy>,
    pub(crate) metrics: SocketMetrics,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

/// A server on a free port.
pub(crate) async fn start(limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (toy, metrics) = (Arc::new(Toy::default()), SocketMetrics::unregistered());
    let shutdown = CancellationToken::new();
    let server = Server::new(Arc::clone(&toy), limits, Aside::here(), metrics.clone());
    let stop = shutdown.clone();
    let listeners = vec![Listening { name: "PLAINTEXT".into(), socket: listener }];
    let task = tokio::spawn(async move { server.run(listeners, stop).await });
    Running { address, toy, metrics, shutdown, task }
}

impl Running {
    pub(crate) async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Waits until a connection was closed for this reason.
    pub(crate) async fn closed(&self, reason: &'static str) {
        let wait = async {
            while self.metrics.closed(reason) == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let done = tokio::time::timeout(SOON, wait).await;
        done.unwrap_or_else(|_| panic!("no connection was closed as {reason}"));
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

/// A frame with its length.
pub(crate) fn request(api: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = (8 + body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&api.to_be_bytes());
    frame.extend_from_slice(&0_i16.to_be_bytes());
    frame.extend_from_slice(&correlation.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

impl Client {
    pub(crate) async fn send(&mut self, api: i16, correlation: i32, body: &[u8]) {
        self.send_raw(&request(api, correlation, body)).await;
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> (i32, Bytes) {
        let read = async {
            let len = self.0.read_u32().await.expect("a reply") as usize;
            let mut frame = vec![0; len];
            self.0.read_exact(&mut frame).await.expect("a whole reply");
            let frame = Bytes::from(frame);
            (i32::from_be_bytes(frame[..4].try_into().unwrap()), frame.slice(4..))
        };
        tokio::time::timeout(SOON, read).await.expect("a reply in time")
    }

    pub(crate) async fn echo(&mut self, correlation: i32) {
        self.send(ECHO, correlation, b"echo").await;
        assert_eq!(self.receive().await, (correlation, Bytes::from_static(b"echo")));
    }

    /// Waits for the end of the stream, orderly or not, with nothing before it.
    pub(crate) async fn closed(&mut self) {
        let mut byte = [0];
        let read = tokio::time::timeout(SOON, self.0.read(&mut byte)).await;
        assert!(matches!(read.expect("an end in time"), Ok(0) | Err(_)), "an end, not a byte");
    }
}

//! A whole broker on ports of its own, with everything in one folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use icecore::app::{Bound, StartError};
use icecore::config::{BrokerConfig, Places, Sources};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::log_lines;

/// No test waits longer for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) data_dir: PathBuf,
    stop: CancellationToken,
    task: JoinHandle<Result<(), StartError>>,
}

/// Binds a broker that keeps everything in `data_dir` and does its upkeep every few milliseconds;
/// an `icecore.toml` in there counts.
pub(crate) async fn bound(
    data_dir: &Path,
    store: Option<&str>,
    settings: &[(&str, &str)],
) -> Running {
    launched(data_dir, store, settings, None).await
}

/// Binds a read-only server that looks at the store every few milliseconds.
pub(crate) async fn bound_to_read(
    data_dir: &Path,
    store: &str,
    settings: &[(&str, &str)],
) -> Running {
    let settings = [&[("tiering.follow.interval.ms", "100")], settings].concat();
    launched(data_dir, Some(store), &settings, Some(true)).await
}

async fn launched(
    data_dir: &Path,
    store: Option<&str>,
    settings: &[(&str, &str)],
    read_only: Option<bool>,
) -> Running {
    log_lines::catch();
    let quick = [
        ("log.retention.check.interval.ms", "100"),
        ("remote.log.manager.task.interval.ms", "100"),
        ("tiering.gc.interval.ms", "3600000"),
    ];
    let settings = quick.iter().chain(settings);
    let file = Some(data_dir.join("icecore.toml")).filter(|file| file.exists());
    let config = BrokerConfig::load(&Sources {
        file,
        places: Places {
            data_dir: Some(data_dir.to_owned()),
            listen: Some("127.0.0.1:0".into()),
            advertise: None,
            http: Some("127.0.0.1:0".into()),
            store: store.map(str::to_owned),
            read_only,
        },
        settings: settings.map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    });
    let bound = Bound::bind(config.expect("a configuration")).await.expect("free ports");
    let (address, http) = bound.addresses().expect("addresses");
    let stop = CancellationToken::new();
    let task = tokio::spawn(told(bound.run(stop.clone())));
    Running { address, http, data_dir: data_dir.to_owned(), stop, task }
}

/// Prints why a broker ended, for the one who reads why a test failed.
async fn told(run: impl Future<Output = Result<(), StartError>>) -> Result<(), StartError> {
    let ended = run.await;
    if let Err(error) = &ended {
        println!("the broker ended: {error}");
    }
    ended
}

/// A broker that is ready, with its store in its folder.
pub(crate) async fn start(data_dir: &Path) -> Running {
    let running = bound(data_dir, None, &[]).await;
    running.ready().await;
    running
}

impl Running {
    /// Asks a path of the HTTP port for status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        crate::client::http_get(self.http, path).await
    }

    pub(crate) async fn ready(&self) {
        self.until("ready", async || self.get("/readyz").await.0 == 200).await;
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let until = Instant::now() + SOON;
        while !holds().await {
            assert!(!self.task.is_finished(), "the broker ended before it was {what}");
            assert!(Instant::now() < until, "not {what} in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What `/v1/partitions` says of partition 0 of a topic.
    pub(crate) async fn status(&self, topic: &str) -> serde_json::Value {
        let (code, body) = self.get("/v1/partitions").await;
        assert_eq!(code, 200, "{body}");
        let all: Vec<serde_json::Value> = serde_json::from_str(&body).expect("JSON");
        all.into_iter().find(|one| one["topic"] == topic).expect("the topic")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// The store's folder, when the store is in the broker's folder.
    pub(crate) fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Ends the broker in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(SOON, self.task).await.expect("an end in time");
        ended.expect("no panic").expect("an orderly end");
    }

    /// Why the broker did not start.
    pub(crate) async fn start_error(self) -> StartError {
        let ended = tokio::time::timeout(SOON * 3, self.task).await.expect("an end in time");
        ended.expect("no panic").expect_err("the start is refused")
    }
}

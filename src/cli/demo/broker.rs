//! A broker in this process, on ports that are free.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{Bound, StartError};
use crate::cli::{status, telling};
use crate::config::{BrokerConfig, Places, Sources};
use crate::telemetry::{LinesTo, Telemetry};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// A running broker; it ends with the value, at the latest.
pub(super) struct DemoBroker {
    kafka: String,
    http: String,
    told: Telemetry,
    stop: DropGuard,
    running: JoinHandle<Result<(), StartError>>,
}

impl DemoBroker {
    /// Starts it, and waits until it can be looked at.
    pub(super) async fn start(folder: &Path, segment_bytes: u64) -> anyhow::Result<Self> {
        let log = folder.join("broker.log");
        let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let config = BrokerConfig::load(&sources(folder, segment_bytes)?)?;
        let told = telling::start(&config, LinesTo::File(log), &Handle::current())?;
        let bound = Bound::bind(config).await?;
        let (kafka, http) = bound.addresses()?;
        let (kafka, http) = (kafka.to_string(), http.to_string());
        let stop = CancellationToken::new();
        let running = tokio::spawn(bound.run(stop.clone()));
        let broker = Self { kafka, http, told, stop: stop.drop_guard(), running };
        broker.started().await
    }

    async fn started(self) -> anyhow::Result<Self> {
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(error) = status::partitions(&self.http).await {
            if self.running.is_finished() {
                self.running.await?.context("the broker did not start")?;
                bail!("the broker ended");
            }
            if Instant::now() > deadline {
                return Err(error.context("the broker did not start in time"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(self)
    }

    pub(super) fn kafka(&self) -> &str {
        &self.kafka
    }

    pub(super) fn http(&self) -> &str {
        &self.http
    }

    /// Ends it in order.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        let ended = self.running.await?;
        tokio::task::spawn_blocking(|| self.told.end()).await?;
        Ok(ended?)
    }
}

/// The settings lie in a file of the demo's own: one of the user's in this folder stays unread.
fn sources(folder: &Path, segment_bytes: u64) -> anyhow::Result<Sources> {
    let file = folder.join("icecore.toml");
    let settings = format!(
        "# Settings of `icecore demo`: everything small and often, so that a minute shows it all.\n\
         [settings]\n\
         \"log.segment.bytes\" = {segment_bytes}\n\
         \"log.local.retention.bytes\" = {}\n\
         \"log.retention.check.interval.ms\" = 250\n\
         \"remote.log.manager.task.interval.ms\" = 250\n",
        2 * segment_bytes
    );
    std::fs::write(&file, settings).with_context(|| format!("cannot write {}", file.display()))?;
    let data_dir = folder.join("data");
    let free_port = Some("127.0.0.1:0".to_owned());
    let store = Some(format!("file://{}", data_dir.join("store").display()));
    let places = Places {
        data_dir: Some(data_dir),
        listen: free_port.clone(),
        http: free_port,
        advertise: None,
        store,
        read_only: None,
    };
    Ok(Sources { file: Some(file), places, settings: Vec::new() })
}

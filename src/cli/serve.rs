//! `icecore serve`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::app::Bound;
use crate::config::{BrokerConfig, Places, Sources};

/// Flags win over the environment, the environment over the file.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The configuration file. Default: ./icecore.toml, if it is there.
    #[arg(long, value_name = "FILE", env = "ICECORE_CONFIG")]
    config: Option<PathBuf>,
    /// Where everything local lies. Default: ./icecore-data
    #[arg(long, value_name = "DIR", env = "ICECORE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// The address of the Kafka listener. Default: 127.0.0.1:9092
    #[arg(long, value_name = "HOST:PORT", env = "ICECORE_LISTEN")]
    listen: Option<String>,
    /// The address that clients are told. Default: the listener's
    #[arg(long, value_name = "HOST:PORT", env = "ICECORE_ADVERTISE")]
    advertise: Option<String>,
    /// The address of metrics, health and status. Default: 127.0.0.1:9600
    #[arg(long, value_name = "HOST:PORT", env = "ICECORE_HTTP")]
    http: Option<String>,
    /// Where sealed segments go: file:///path, s3://bucket/prefix, hdfs://host:port/path, ..., or
    /// the name of a store in the configuration file. Default: file://<data-dir>/store
    #[arg(long, value_name = "URL", env = "ICECORE_STORE")]
    store: Option<String>,
    /// Any setting by its name, such as num.partitions=4; may be given many times.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = super::name_and_value)]
    settings: Vec<(String, String)>,
}

impl Args {
    fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            places: Places {
                data_dir: self.data_dir.clone(),
                listen: self.listen.clone(),
                advertise: self.advertise.clone(),
                http: self.http.clone(),
                store: self.store.clone(),
            },
            settings: self.settings.clone(),
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    start_log();
    let config = BrokerConfig::load(&args.sources())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let bound = Bound::bind(config).await?;
        let (kafka, http) = bound.addresses()?;
        tracing::info!(%kafka, %http, "listening");
        bound.run(stop).await.context("the broker did not start")
    });
    // A read from a store that hangs must not hold up the end: everything is closed already.
    runtime.shutdown_background();
    done
}

fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: ending"),
            _ = interrupt.recv() => tracing::info!("SIGINT: ending"),
        }
        stop.cancel();
    });
    Ok(())
}

/// Logs to standard error; `ICECORE_LOG` filters as `RUST_LOG` does elsewhere.
fn start_log() {
    let filter = EnvFilter::try_from_env("ICECORE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,icecore_tiering=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

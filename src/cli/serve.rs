//! `icecore serve`.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::sources::SourceArgs;
use crate::app::{Bound, StartError};
use crate::config::BrokerConfig;

/// Migrations that go well are no news.
const FILTER: &str = "info,refinery_core=warn";

/// Flags win over the environment, the environment over the file.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The configuration file. Default: ./icecore.toml, if it is there.
    #[arg(long, value_name = "FILE", env = "ICECORE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    sources: SourceArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    start_log();
    let config = BrokerConfig::load(&args.sources.with_file(args.config.clone()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let bound = Bound::bind(config).await?;
        match bound.run(stop).await {
            Err(deposed @ StartError::Deposed { .. }) => Err(deposed.into()),
            ended => ended.context("the broker did not start"),
        }
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

/// Logs to standard error; `ICECORE_LOG` filters as `RUST_LOG` does elsewhere. Colours are for
/// people who look, not for files.
fn start_log() {
    let filter = EnvFilter::try_from_env("ICECORE_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
        .init();
}

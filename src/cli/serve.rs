//! `icecore serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::sources::SourceArgs;
use super::telling;
use crate::app::{Bound, StartError};
use crate::config::BrokerConfig;
use crate::env::shorten_time_slice;
use crate::telemetry::LinesTo;

/// Flags win over the environment, the environment over the file.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The configuration file. Default: ./icecore.toml, if it is there.
    #[arg(long, value_name = "FILE", env = "ICECORE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    sources: SourceArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = BrokerConfig::load(&args.sources.with_file(args.config.clone()))?;
    let runtime =
        Builder::new_multi_thread().on_thread_start(shorten_time_slice).enable_all().build()?;
    let told = telling::start(&config, LinesTo::StandardError, runtime.handle())?;
    let json = config.logs_json();
    if json {
        telling::log_panics();
    }
    let done = serve(&runtime, config);
    told.end();
    // A read from a store that hangs must not hold up the end: everything is closed already.
    runtime.shutdown_background();
    match done {
        // Whoever reads lines of JSON reads them to the last one.
        Err(error) if json => {
            tracing::error!(error = super::told(&error), "the broker ended with an error");
            Ok(ExitCode::FAILURE)
        }
        done => done.map(|()| ExitCode::SUCCESS),
    }
}

fn serve(runtime: &Runtime, config: BrokerConfig) -> anyhow::Result<()> {
    runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let bound = Bound::bind(config).await?;
        match bound.run(stop).await {
            Err(deposed @ StartError::Deposed { .. }) => Err(deposed.into()),
            ended => ended.context("the broker did not start"),
        }
    })
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

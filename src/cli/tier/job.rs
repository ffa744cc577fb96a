//! Work on the object store: done here while the broker is stopped, or by a broker that runs.

use std::process::ExitCode;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};

use super::remote;
use crate::app::{Offline, OfflineUse, StartError};
use crate::cli::output;
use crate::cli::sources::OfflineArgs;
use crate::cli::status::callable;
use crate::config::BrokerConfig;
use crate::http::{JobEnd, JobProgress, JobRequest, JobResult};

/// Something is not as it ought to be.
pub(super) const FOUND: u8 = 1;
/// Not all could be looked at.
pub(super) const COULD_NOT_LOOK: u8 = 2;

/// Where the work is done.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PlaceArgs {
    /// Ask the broker that runs with this HTTP address (serve --http), and not the data directory.
    #[arg(long, value_name = "HOST:PORT", value_parser = callable)]
    http: Option<String>,
    #[command(flatten)]
    sources: OfflineArgs,
}

impl PlaceArgs {
    /// Whether a broker that runs does the work.
    pub(super) fn asks_a_broker(&self) -> bool {
        self.http.is_some()
    }
}

/// Has a job done, with a line on standard error while it goes on, if that is a terminal.
pub(super) async fn run(place: &PlaceArgs, request: &JobRequest) -> anyhow::Result<JobEnd> {
    let bar = bar();
    let told = |progress: JobProgress| show(&bar, progress);
    let end = match &place.http {
        Some(address) => remote::run(address, request, &told).await,
        None => run_here(place, request, &told).await,
    };
    bar.finish_and_clear();
    end
}

async fn run_here(
    place: &PlaceArgs,
    request: &JobRequest,
    told: &(dyn Fn(JobProgress) + Send + Sync),
) -> anyhow::Result<JobEnd> {
    let config = BrokerConfig::load(&place.sources.sources())?;
    let changes = matches!(request, JobRequest::Gc { dry_run: false, .. });
    let to = if changes { OfflineUse::Change } else { OfflineUse::Look };
    let offline = Offline::open(&config, to).await.map_err(|error| match error {
        StartError::InUse(_) => anyhow!("{error}, or have it do the work: --http HOST:PORT"),
        other => other.into(),
    })?;
    let end = offline.run(request, told).await;
    offline.close().await?;
    Ok(end)
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} partitions {wide_bar} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: JobProgress) {
    let JobProgress { partitions, of_partitions, segments, bytes, .. } = progress;
    bar.set_length(of_partitions);
    bar.set_position(partitions);
    let read = if bytes > 0 { format!(", {}", output::bytes(bytes)) } else { String::new() };
    bar.set_message(format!("{segments} segments{read}"));
}

/// Shows what came of a job. An error is told after what was found nevertheless.
pub(super) fn finish(
    end: JobEnd,
    show: impl FnOnce(JobResult) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let code = end.result.map(show).transpose()?;
    match (end.error, code) {
        (Some(error), _) => Err(anyhow!(error)),
        (None, Some(code)) => Ok(code),
        (None, None) => Err(anyhow!("the job ended without a result")),
    }
}

/// What the process ends with after all was looked at.
pub(super) fn code(findings: u64) -> ExitCode {
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
}

//! `icecore tier fsck`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use icecore_tiering::{CheckOptions, Scope};

use super::checkpoint::Checkpoint;
use super::watch::{Outcome, Watch};
use crate::app::{Offline, OfflineUse};
use crate::cli::output::OutputArgs;
use crate::cli::sources::OfflineArgs;
use crate::config::BrokerConfig;

/// Something is not as it ought to be.
const FOUND: u8 = 1;
/// Not all could be looked at.
pub(super) const COULD_NOT_LOOK: u8 = 2;

#[derive(Debug, clap::Args)]
#[command(after_help = "Without --deep each partition is listed, and the head of every .index \
    object is read: one request for each segment. With --deep every byte of the store is read and \
    held against its checksums, and every batch against its CRC. Nothing is changed; `icecore tier \
    gc` removes what no row names. The broker has to be stopped.\n\nThe exit code is 0 when nothing \
    is wrong, 1 when something is, 2 when not all could be looked at.")]
pub(super) struct Args {
    /// Read every byte. A run that is broken off goes on where it was.
    #[arg(long)]
    deep: bool,
    /// Where a deep run keeps what it found right. Default: fsck.checkpoint in the data directory
    #[arg(long, value_name = "FILE", requires = "deep")]
    checkpoint: Option<PathBuf>,
    /// Read again what an earlier run found right.
    #[arg(long, requires = "deep")]
    anew: bool,
    #[command(flatten)]
    sources: OfflineArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = BrokerConfig::load(&args.sources.sources())?;
    let offline = Offline::open(&config, OfflineUse::Look).await?;
    let checkpoint = match args.deep {
        true => {
            let default = || config.data_dir().join("fsck.checkpoint");
            let path = args.checkpoint.clone().unwrap_or_else(default);
            let opened = Checkpoint::open(&path, offline.cluster_id(), args.anew);
            let opened = opened.with_context(|| format!("cannot use {}", path.display()))?;
            if opened.known() > 0 {
                eprintln!("{} segments were found right by an earlier run", opened.known());
            }
            Some(opened)
        }
        false => None,
    };
    let watch = Watch::new(checkpoint, args.deep, false);
    let options =
        CheckOptions { scope: Scope::All, deep: args.deep, gaps: false, min_age: Duration::ZERO };
    let checked = offline.tiering().check(&options, &watch).await;
    let outcome = watch.end(checked.is_ok())?;
    offline.close().await?;
    args.output.show(&outcome, || outcome.table(args.deep))?;
    checked.context("not all could be looked at")?;
    Ok(code(&outcome))
}

/// What the process ends with after all was looked at.
pub(super) fn code(outcome: &Outcome) -> ExitCode {
    if outcome.findings == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
}

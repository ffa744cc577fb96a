//! `icecore tier`: what is in the object store, held against what ought to be.

mod fsck;
mod gc;
mod job;
mod remote;
mod restore;
mod status;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(super) use status::table;

/// `icecore tier ...`.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how much of each partition is on the local disk, in the object store, and waiting.
    Status(status::Args),
    /// Fill an empty data directory from the object store, after a disk was lost.
    Restore(restore::Args),
    /// Check the object store against the manifest, and every object against itself.
    Fsck(fsck::Args),
    /// Remove from the object store what no row names.
    Gc(gc::Args),
    /// Check every byte and every offset of a topic in the object store.
    Verify(verify::Args),
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let done = |done: anyhow::Result<()>| done.map(|()| ExitCode::SUCCESS);
    match &args.action {
        Action::Status(args) => done(status::run(args).await),
        Action::Restore(args) => done(restore::run(args).await),
        Action::Fsck(args) => Ok(told(fsck::run(args).await)),
        Action::Gc(args) => Ok(told(gc::run(args).await)),
        Action::Verify(args) => Ok(told(verify::run(args).await)),
    }
}

/// For these an error means that not all could be looked at, which is not a finding.
fn told(checked: anyhow::Result<ExitCode>) -> ExitCode {
    checked.unwrap_or_else(|error| {
        eprintln!("icecore: {}", super::told(&error));
        ExitCode::from(job::COULD_NOT_LOOK)
    })
}

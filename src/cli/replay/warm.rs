//! `icecore replay warm`.
//!
//! The broker works for a moment on each question and tells where it stopped; the command asks on.
//! So it can be stopped at any time, and a broker has nothing to remember.

use std::sync::Arc;

use anyhow::bail;
use clap::Parser;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinSet;

use super::RangeArgs;
use super::progress::Progress;
use crate::cli::output::{self, OutputArgs};
use crate::cli::position::TIME_HELP;
use crate::cli::status::HttpArgs;
use crate::http::{ReplayPlan, WarmAsk};

/// `icecore replay warm ...`.
#[derive(Debug, Parser)]
#[command(after_help = TIME_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let plan = args.http.replay_plan(&args.range.ask(None)).await?;
    let remote: u64 = plan.partitions.iter().map(|one| one.remote.bytes).sum();
    let cached: u64 = plan.partitions.iter().map(|one| one.cached_bytes).sum();
    check(&plan, remote)?;
    let mut progress = Progress::new("warmed", remote);
    progress.update(0, String::new);
    let turns = Arc::new(Semaphore::new(args.range.parallel as usize));
    let (told, mut heard) = mpsc::channel(args.range.parallel as usize);
    let mut lanes = JoinSet::new();
    for one in plan.partitions.iter().filter(|one| one.remote.bytes > 0) {
        let ask = WarmAsk {
            topic: plan.topic.clone(),
            partition: one.partition,
            from_offset: one.from_offset,
            position: 0,
            to_offset: one.to_offset,
        };
        let (http, told, turns) = (args.http.clone(), told.clone(), turns.clone());
        lanes.spawn(async move {
            let _turn = turns.acquire_owned().await?;
            warm(&http, ask, &told).await
        });
    }
    drop(told);
    let mut done = 0;
    while let Some(bytes) = heard.recv().await {
        done += bytes;
        progress.update(done.min(remote), || output::bytes(done));
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    progress.finish();
    let (in_all, before) = (output::bytes(done), output::bytes(cached));
    args.output.show(&json!({ "bytes": done, "cached_before_bytes": cached }), || {
        format!("{in_all} are in the read cache now, {before} of the range were before\n")
    })
}

/// What cannot be kept need not be fetched.
fn check(plan: &ReplayPlan, remote: u64) -> anyhow::Result<()> {
    if plan.reads_in_place {
        bail!(
            "the store of this broker is a folder, which is read in place: nothing is to be warmed"
        );
    }
    if remote > plan.cache_bytes {
        bail!(
            "the range has {} in the store, and the read cache holds {}: narrow the range, or give \
             the broker a larger cache.bytes",
            output::bytes(remote),
            output::bytes(plan.cache_bytes)
        );
    }
    Ok(())
}

async fn warm(http: &HttpArgs, mut ask: WarmAsk, told: &Sender<u64>) -> anyhow::Result<()> {
    loop {
        let warmed = http.warm(&ask).await?;
        told.send(warmed.bytes).await?;
        let Some(next) = warmed.next_offset else { return Ok(()) };
        (ask.from_offset, ask.position) = (next, warmed.next_position);
    }
}

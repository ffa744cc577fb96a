//! `icecore demo`: the main job in a minute, with nothing to prepare.
//!
//! A broker in this process with tiny segments and a folder as its store; records are produced,
//! sink into the store, leave the local disk, and are read back and compared one by one. The exit
//! code is 0 only if all of it held.

mod broker;
mod folder;
mod records;
mod replay;
mod show;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;

use broker::DemoBroker;
use folder::Folder;
use records::Plan;
use show::{Progress, Show};

use super::client::{self, Connection, alter_settings, create_topic};
use super::{output, status, tier};
use crate::http::PartitionStatus;

const TOPIC: &str = "demo";
const PARTITIONS: i32 = 4;
const BYTES: u64 = 200_000_000;
const SEGMENTS_ABOUT: u64 = 50;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// How often the tiers are looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long the broker's threads may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last segments may take to sink.
const SINK_TIMEOUT: Duration = Duration::from_secs(120);

/// `icecore demo ...`.
#[derive(Debug, Parser)]
#[command(after_help = "Needs about half a gigabyte of disk for a minute and nothing else. Exit \
    code 0 means that every record came back from the object store as it was produced.")]
pub(super) struct Args {
    /// Where to keep everything; it must not hold anything yet, and stays there. Default: a folder
    /// of its own among the temporary files, removed at the end
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How much to produce.
    #[arg(long, value_name = "N", default_value_t = BYTES, hide = true,
        value_parser = clap::value_parser!(u64).range(1..))]
    bytes: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut folder = Folder::open(args.dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (done, interrupted) = runtime.block_on(async {
        tokio::select! {
            done = demo(&folder, args.bytes) => (done, false),
            _ = tokio::signal::ctrl_c() => (Err(anyhow::anyhow!("interrupted")), true),
        }
    });
    // The broker's own threads may be in the middle of a write to the folder.
    runtime.shutdown_timeout(END_TIMEOUT);
    if done.is_err() && !interrupted {
        folder.keep();
    }
    let kept = folder.end();
    match (done, kept) {
        (Ok(()), Some(path)) => output::print(&format!(
            "\nIt is all in {path}. A broker over it: icecore serve --data-dir {path}/data\n"
        )),
        (Ok(()), None) => Ok(()),
        (Err(error), Some(path)) => {
            Err(error
                .context(format!("the demo did not hold; {path} and its broker.log tell more")))
        }
        (Err(error), None) => Err(error),
    }
}

async fn demo(folder: &Folder, bytes: u64) -> anyhow::Result<()> {
    let segment_bytes = (bytes / SEGMENTS_ABOUT).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
    let broker = DemoBroker::start(folder.path(), segment_bytes).await?;
    output::print(&format!(
        "A broker at {}, its data in {}: segments of {}, of which each partition keeps two on the \
         local disk.\n",
        broker.kafka(),
        folder.path().display(),
        output::bytes(segment_bytes),
    ))?;
    let plan = Plan::new(bytes, PARTITIONS);
    let mut connection = Connection::open(broker.kafka()).await?;
    create_topic(&mut connection, TOPIC, Some(PARTITIONS), &[]).await?;
    let topic = client::topic(&mut connection, TOPIC).await?;
    let mut show = Show::new(plan.bytes);

    let began = Instant::now();
    let produced = produce(&mut connection, &topic, plan, &broker, &mut show).await?;
    // From here on nothing is kept locally that the store holds, and everything goes there.
    let settings = [("local.retention.ms", "1"), ("tiering.max.upload.lag.ms", "1")]
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
    alter_settings(&mut connection, TOPIC, &settings).await?;
    let (stored, partitions) = sink(&broker, &mut show, plan.bytes, began).await?;

    let replay_began = Instant::now();
    let tally = replay::replay(&topic, plan, |bytes| show.replayed(bytes)).await?;
    let replayed = replay_began.elapsed();
    show.finish();
    broker.stop().await?;
    report(plan, &partitions, produced, stored, replayed, tally)
}

/// Produces, and looks at the tiers meanwhile.
async fn produce(
    connection: &mut Connection,
    topic: &client::Topic,
    plan: Plan,
    broker: &DemoBroker,
    show: &mut Show,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let written = Arc::new(AtomicU64::new(0));
    let writing = write::write(connection, topic, plan, written.clone());
    tokio::pin!(writing);
    loop {
        tokio::select! {
            done = &mut writing => {
                done?;
                return Ok(began.elapsed());
            }
            () = tokio::time::sleep(TICK) => {
                let partitions = broker.partitions().await?;
                let produced = written.load(Ordering::Relaxed);
                show.update(Progress::of(produced, &partitions));
            }
        }
    }
}

/// Waits until the store holds everything and the local disk nothing; how long the upload took
/// from `began` on, and where the partitions stand then.
async fn sink(
    broker: &DemoBroker,
    show: &mut Show,
    produced: u64,
    began: Instant,
) -> anyhow::Result<(Duration, Vec<PartitionStatus>)> {
    let deadline = Instant::now() + SINK_TIMEOUT;
    let (mut stored, mut in_store) = (began.elapsed(), 0);
    loop {
        let partitions = broker.partitions().await?;
        show.update(Progress::of(produced, &partitions));
        let remote = partitions.iter().map(|partition| partition.remote.bytes).sum();
        if in_store != remote {
            (stored, in_store) = (began.elapsed(), remote);
        }
        let freed = |p: &PartitionStatus| p.local_log_start_offset == p.log_end_offset;
        if partitions.iter().all(freed) {
            return Ok((stored, partitions));
        }
        if Instant::now() > deadline {
            bail!("not everything was in the store and off the disk within {SINK_TIMEOUT:?}");
        }
        tokio::time::sleep(TICK).await;
    }
}

fn report(
    plan: Plan,
    partitions: &[PartitionStatus],
    produced: Duration,
    stored: Duration,
    replayed: Duration,
    tally: replay::Tally,
) -> anyhow::Result<()> {
    let line = |what: &str, took: Duration| {
        let rate = (plan.bytes as f64 / took.as_secs_f64().max(1e-6)) as u64;
        let took = took.as_secs_f64();
        format!("{what:<32}{took:>7.1} s{:>16}/s\n", output::bytes(rate))
    };
    let (bytes, records) = (output::bytes(plan.bytes), plan.records());
    output::print(&format!(
        "\n{bytes} in {records} records\n{}{}{}\nBefore the replay, nothing was left on the local disk:\n{}\n",
        line("  produced, each acknowledged", produced),
        line("  in the object store after", stored),
        line("  replayed from there", replayed),
        tier::table(partitions).text(),
    ))?;
    if tally.records != records {
        bail!("{} of {records} records came back", tally.records);
    }
    output::print(&format!(
        "It held: all {records} records came back once and in order, equal in value, key and time.\n"
    ))
}

impl DemoBroker {
    async fn partitions(&self) -> anyhow::Result<Vec<PartitionStatus>> {
        let mut partitions =
            status::partitions(self.http()).await.context("the broker went away")?;
        partitions.retain(|partition| partition.topic == TOPIC);
        Ok(partitions)
    }
}

//! `icecore tier verify`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use icecore_tiering::{CheckOptions, PartitionKey, Scope};
use serde::Serialize;

use super::fsck::code;
use super::watch::{Outcome, Watch};
use crate::app::{Offline, OfflineUse};
use crate::cli::output::{self, OutputArgs};
use crate::cli::sources::OfflineArgs;
use crate::cli::table::{Align, Table};
use crate::config::BrokerConfig;

#[derive(Debug, clap::Args)]
#[command(after_help = "Every byte that the store has of the topic is read and held against its \
    checksums, every batch against its CRC, and every offset from the first to the last has to be \
    there. The broker has to be stopped.\n\nThe exit code is 0 when all of it is right, 1 when \
    something is not, 2 when not all could be looked at.")]
pub(super) struct Args {
    /// The topic.
    topic: String,
    #[command(flatten)]
    sources: OfflineArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What the store has of a partition.
#[derive(Debug, Serialize)]
struct Kept {
    partition: i32,
    first_offset: Option<i64>,
    last_offset: Option<i64>,
    segments: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Verified {
    topic: String,
    partitions: Vec<Kept>,
    #[serde(flatten)]
    outcome: Outcome,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = BrokerConfig::load(&args.sources.sources())?;
    let offline = Offline::open(&config, OfflineUse::Look).await?;
    let keys = partitions(&offline, &args.topic)?;
    let mut partitions = Vec::with_capacity(keys.len());
    for key in &keys {
        let bounds = offline.tiering().bounds(key).await?;
        partitions.push(Kept {
            partition: key.partition,
            first_offset: bounds.first_offset.map(|offset| offset.get()),
            last_offset: bounds.end_offset.map(|offset| offset.get()),
            segments: bounds.segments,
            bytes: bounds.bytes,
        });
    }
    let watch = Watch::new(None, true, true);
    let options = CheckOptions {
        scope: Scope::Partitions(keys),
        deep: true,
        gaps: true,
        min_age: Duration::ZERO,
    };
    let checked = offline.tiering().check(&options, &watch).await;
    let outcome = watch.end(false)?;
    offline.close().await?;
    let verified = Verified { topic: args.topic.clone(), partitions, outcome };
    args.output.show(&verified, || table(&verified))?;
    checked.context("not all could be looked at")?;
    Ok(code(&verified.outcome))
}

fn partitions(offline: &Offline, topic: &str) -> anyhow::Result<Vec<PartitionKey>> {
    let live = offline.topics().iter().filter(|stored| !stored.deleting);
    let Some(found) = live.into_iter().find(|stored| &*stored.name == topic) else {
        bail!("the cluster has no topic {topic}");
    };
    let key = |number| PartitionKey::new(found.name.clone(), found.id, number);
    Ok((0..).take(found.leader_epochs.len()).map(key).collect())
}

fn table(verified: &Verified) -> String {
    let headings = ["PARTITION", "FIRST", "LAST", "SEGMENTS", "BYTES"];
    let mut table = Table::new(&headings.map(|heading| (heading, Align::Right)));
    let offset = |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |o| o.to_string());
    for kept in &verified.partitions {
        table.row([
            kept.partition.to_string(),
            offset(kept.first_offset),
            offset(kept.last_offset),
            kept.segments.to_string(),
            output::bytes(kept.bytes),
        ]);
    }
    format!("{}\n{}", table.text(), verified.outcome.table(true))
}

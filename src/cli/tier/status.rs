//! `icecore tier status`.

use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use crate::cli::output::{self, OutputArgs};
use crate::cli::status::HttpArgs;
use crate::cli::table::{Align, Table};
use crate::cli::view;
use crate::http::{ConsumerStatus, PartitionStatus, TierStatus};
use crate::metadata::is_internal_topic;

#[derive(Debug, clap::Args)]
#[command(after_help = "LOCAL is on the broker's disk, the active segment included; REMOTE is in \
    the object store, also what is on the disk as well; WAITING is sealed and not yet in the \
    store, for as long as LAG says. Each as bytes in so many segments. Consumers that read what is \
    not on the disk are shown below: READER is their group, or their client's name before they have \
    committed an offset. On standard error: that a server is read-only, and how old its view of the \
    store is; that a disk is short of room.")]
pub(super) struct Args {
    /// One topic. Default: all of them
    topic: Option<String>,
    /// Also those that brokers keep for themselves
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let Args { topic, internal, http, output } = args;
    let server = http.server().await?;
    if let Some(line) = view::words(&server) {
        eprintln!("{line}");
    }
    let mut partitions = http.partitions().await?;
    let mut consumers = http.replays().await?.consumers;
    if let Some(topic) = topic {
        partitions.retain(|partition| partition.topic == *topic);
        consumers.retain(|consumer| consumer.topic == *topic);
        if partitions.is_empty() {
            bail!("the broker at {} has no partition of topic {topic}", http.http);
        }
    } else if !internal {
        // They never leave the local disk, and are many.
        partitions.retain(|partition| !is_internal_topic(&partition.topic));
    }
    // Beside the output, which scripts read.
    if let Some(short) = http.disk().await?.remark() {
        eprintln!("{short}");
    }
    let text = || {
        let mut text = table(&partitions).text();
        if !consumers.is_empty() {
            text.push_str(&format!("\n{}", readers(&consumers).text()));
        }
        text
    };
    let read = |partition| Read::of(partition, &consumers);
    output.show(&partitions.iter().map(read).collect::<Vec<_>>(), text)
}

/// A partition with those who read its history.
#[derive(Serialize)]
struct Read<'a> {
    #[serde(flatten)]
    partition: &'a PartitionStatus,
    consumers: Vec<&'a ConsumerStatus>,
}

impl<'a> Read<'a> {
    fn of(partition: &'a PartitionStatus, consumers: &'a [ConsumerStatus]) -> Self {
        let here = |consumer: &&ConsumerStatus| {
            consumer.topic == partition.topic && consumer.partition == partition.partition
        };
        Self { partition, consumers: consumers.iter().filter(here).collect() }
    }
}

/// Who reads the remote tier, a row each.
fn readers(consumers: &[ConsumerStatus]) -> Table {
    let mut table = Table::new(&[
        ("READER", Align::Left),
        ("HOST", Align::Left),
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("OFFSET", Align::Right),
        ("BEHIND", Align::Right),
        ("READ", Align::Right),
        ("RATE", Align::Right),
        ("REACHED", Align::Left),
    ]);
    for consumer in consumers {
        table.row([
            consumer.group.clone().unwrap_or_else(|| consumer.client_id.clone()),
            consumer.client_host.clone(),
            consumer.topic.clone(),
            consumer.partition.to_string(),
            consumer.offset.to_string(),
            (consumer.end_offset - consumer.offset).to_string(),
            output::bytes(consumer.bytes),
            format!("{}/s", output::bytes(consumer.bytes_per_second)),
            output::time(consumer.time_ms),
        ]);
    }
    table
}

/// Where the partitions' bytes lie, a row each.
pub(in crate::cli) fn table(partitions: &[PartitionStatus]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("FIRST", Align::Right),
        ("FIRST LOCAL", Align::Right),
        ("NEXT", Align::Right),
        ("LOCAL", Align::Right),
        ("REMOTE", Align::Right),
        ("WAITING", Align::Right),
        ("LAG", Align::Right),
        ("OLDEST RECORD", Align::Left),
    ]);
    for partition in partitions {
        table.row([
            partition.topic.clone(),
            partition.partition.to_string(),
            partition.log_start_offset.to_string(),
            partition.local_log_start_offset.to_string(),
            partition.log_end_offset.to_string(),
            tier(partition.local),
            tier(partition.remote),
            tier(partition.pending),
            lag(partition.upload_lag_ms),
            output::time(partition.oldest_timestamp_ms),
        ]);
    }
    table
}

fn tier(tier: TierStatus) -> String {
    match tier {
        TierStatus { segments: 0, .. } => "-".to_owned(),
        TierStatus { segments, bytes } => format!("{} in {segments}", output::bytes(bytes)),
    }
}

fn lag(lag_ms: i64) -> String {
    match u64::try_from(lag_ms) {
        Ok(0) | Err(_) => "-".to_owned(),
        Ok(ms) if ms < 1000 => format!("{ms}ms"),
        Ok(ms) => humantime::format_duration(Duration::from_secs(ms / 1000)).to_string(),
    }
}

//! `icecore tier status`.

use std::time::Duration;

use anyhow::bail;

use crate::cli::output::{self, OutputArgs};
use crate::cli::status;
use crate::cli::table::{Align, Table};
use crate::http::{PartitionStatus, TierStatus};

#[derive(Debug, clap::Args)]
#[command(after_help = "LOCAL is on the broker's disk, the active segment included; REMOTE is in \
    the object store, also what is on the disk as well; WAITING is sealed and not yet in the \
    store, for as long as LAG says. Each as bytes in so many segments.")]
pub(super) struct Args {
    /// One topic. Default: all of them
    topic: Option<String>,
    /// The HTTP address of a broker (serve --http).
    #[arg(long, value_name = "HOST:PORT", env = "ICECORE_HTTP", default_value = "127.0.0.1:9600")]
    http: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let Args { topic, http, output } = args;
    let mut partitions = status::partitions(http).await?;
    if let Some(topic) = topic {
        partitions.retain(|partition| partition.topic == *topic);
        if partitions.is_empty() {
            bail!("the broker at {http} has no partition of topic {topic}");
        }
    }
    output.show_table(&partitions, &table(&partitions))
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

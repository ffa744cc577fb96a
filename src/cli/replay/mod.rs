//! `icecore replay`: history as one job, over both tiers.
//!
//! `plan` asks a broker's HTTP port what a range will take; `run` reads it as any consumer does and
//! writes it somewhere; `warm` has the broker fill its read cache for it.

mod checkpoint;
mod file_sink;
mod form;
mod job;
mod lane;
mod plan;
mod price;
mod progress;
mod run;
mod sink;
mod topic_sink;
mod warm;

use clap::{Parser, Subcommand};

use super::position;
use crate::config;
use crate::http::PlanAsk;
use crate::model::{PartitionSet, Place};

/// `icecore replay ...`.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell what a replay will read, from where, in how many requests, how long it takes and what
    /// the store charges. Nothing is read.
    Plan(plan::Args),
    /// Replay into a file, another topic or standard output.
    Run(run::Args),
    /// Bring a range into the broker's read cache, so that whoever reads it next need not wait.
    Warm(warm::Args),
}

/// Which part of a topic.
#[derive(Clone, Debug, clap::Args)]
struct RangeArgs {
    /// The topic.
    topic: String,
    /// Where to begin: beginning, an offset, or a time (the first record at or after it)
    #[arg(
        long,
        value_name = "beginning|OFFSET|TIME",
        default_value = "beginning",
        value_parser = position::parse
    )]
    from: Place,
    /// Where to stop: at the end as it is now, before an offset, or before the first record at or
    /// after a time
    #[arg(long, value_name = "end|OFFSET|TIME", default_value = "end", value_parser = position::parse)]
    to: Place,
    /// Which partitions, such as 0,1,4-7. Default: all of them
    #[arg(long, value_name = "LIST")]
    partitions: Option<PartitionSet>,
    /// How many partitions are read at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    parallel: u32,
}

impl RangeArgs {
    /// Why the range has no record. Each pair is the first offset that a partition has, and the one after its
    /// last; none where they are not known.
    fn why_nothing(&self, offsets: Option<&[(i64, i64)]>) -> String {
        let topic = match &self.partitions {
            Some(partitions) => format!("topic {} (partitions {partitions})", self.topic),
            None => format!("topic {}", self.topic),
        };
        match offsets {
            Some(all) if all.iter().all(|(_, next)| *next == 0) => {
                format!("{topic} has no records yet")
            }
            Some(all) if all.iter().all(|(first, next)| first == next) => {
                format!("{topic} has no records any more, they expired or were deleted")
            }
            _ => format!("{topic} has no records in this range"),
        }
    }

    /// The question for a broker.
    fn ask(&self, bytes_per_second: Option<u64>) -> PlanAsk {
        PlanAsk {
            topic: self.topic.clone(),
            from: Some(self.from),
            to: Some(self.to),
            partitions: self.partitions.clone(),
            bytes_per_second,
            parallel: Some(self.parallel),
        }
    }
}

/// Reads a rate such as `20MiB/s`.
fn rate(text: &str) -> Result<u64, String> {
    let bytes = text.strip_suffix("/s").unwrap_or(text);
    config::bytes(bytes).filter(|rate| *rate > 0).ok_or_else(|| {
        format!("{text:?} is no rate: give bytes a second, plain or as 500KiB/s, 20MiB/s or 1GiB/s")
    })
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    // Partitions are read side by side, and their records unpacked.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match &args.action {
            Action::Plan(args) => plan::run(args).await,
            Action::Run(args) => Box::pin(run::run(args)).await,
            Action::Warm(args) => warm::run(args).await,
        }
    });
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn rates_are_read_with_and_without_a_unit() {
        assert_eq!(rate("20MiB/s"), Ok(20 << 20));
        assert_eq!(rate("1000"), Ok(1000));
        for text in ["", "0", "-1", "fast", "20MB/s", "/s"] {
            assert!(rate(text).unwrap_err().contains("20MiB/s"), "{text}");
        }
    }
}

//! `icecore tier restore`.

use std::fmt::Write as _;

use icecore_tiering::TakeOver;
use indicatif::{ProgressBar, ProgressStyle};

use crate::app::{self, RestoreOptions, RestoreProgress, RestoreReport, RestoreStep, RestoreWatch};
use crate::cli::output::{self, OutputArgs};
use crate::cli::sources::OfflineArgs;
use crate::cli::table::{Align, Table};
use crate::config::BrokerConfig;

/// Lines of each list that people are shown; JSON has more.
const SHOWN_MAX: usize = 10;

#[derive(Debug, clap::Args)]
#[command(after_help = "The data directory has to be empty. Topics come back with their ids and \
    settings, policies that were set while the broker ran, groups with their offsets, both as of the last snapshot in the store \
    (tiering.meta.upload.interval.ms), and every record that was uploaded. A restore that was \
    broken off is made again with the same flags. Give --config as `serve` does: stores and \
    prefixes are read from it.")]
pub(super) struct Args {
    /// The cluster to restore, where the store holds several.
    #[arg(long, value_name = "ID")]
    cluster_id: Option<String>,
    /// Do not wait for the broker that owned the cluster: it is gone for good.
    #[arg(long)]
    take_over: bool,
    #[command(flatten)]
    sources: OfflineArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let config = BrokerConfig::load(&args.sources.sources())?;
    let shown = Shown::new();
    let options = RestoreOptions {
        cluster_id: args.cluster_id.clone(),
        take_over: if args.take_over { TakeOver::Now } else { TakeOver::WhenFree },
    };
    let restored = app::restore(&config, &options, &shown).await;
    shown.bar.finish_and_clear();
    let report = restored?;
    args.output.show(&report, || told(&report))
}

/// A line on standard error while it goes on, if that is a terminal.
struct Shown {
    bar: ProgressBar,
}

impl Shown {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
            bar.set_style(style);
        }
        Self { bar }
    }
}

impl RestoreWatch for Shown {
    fn reached(&self, _step: RestoreStep) -> bool {
        true
    }

    fn progress(&self, progress: RestoreProgress) {
        let (done, of) = match &progress {
            RestoreProgress::Waiting { .. } => (0, 0),
            RestoreProgress::Listing(listed) => (listed.partitions, listed.of_partitions),
            RestoreProgress::Partitions { done, of } => (*done, *of),
        };
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message(progress.to_string());
    }
}

fn told(report: &RestoreReport) -> String {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITIONS", Align::Right),
        ("SEGMENTS", Align::Right),
        ("BYTES", Align::Right),
    ]);
    for topic in &report.topics {
        table.row([
            topic.name.clone(),
            topic.partitions.to_string(),
            topic.segments.to_string(),
            output::bytes(topic.bytes),
        ]);
    }
    let mut text = table.text();
    let as_of = |ms: Option<i64>| output::time(ms);
    let RestoreReport { cluster_id, topics, segments, bytes, .. } = report;
    let _ = writeln!(
        text,
        "\nCluster {cluster_id}: {} topics as of {}, {segments} segments with {}, {} committed \
         offsets as of {}.",
        topics.len(),
        as_of(report.snapshot_written_ms),
        output::bytes(*bytes),
        report.committed_offsets,
        as_of(report.groups_written_ms),
    );
    list(&mut text, "Policies", report.policies.len(), report.policies.iter().cloned());
    list(&mut text, "Did not come back", report.lost.len(), report.lost.iter().cloned());
    let cut = report.cut.iter().map(|cut| {
        let (group, topic, partition) = (&cut.group, &cut.topic, cut.partition);
        format!("{group} in {topic}-{partition}: {} to {}", cut.committed, cut.end)
    });
    let count = usize::try_from(report.cut_offsets).unwrap_or(usize::MAX);
    list(&mut text, "Committed offsets beyond the records, cut to their end", count, cut);
    let left = report.left.iter().map(|topic| format!("{} {}", topic.name, topic.id));
    list(&mut text, "Left in the store, since another topic has the name", report.left.len(), left);
    let deleting = report.deleting.iter().cloned();
    list(&mut text, "Their deletion goes on", report.deleting.len(), deleting);
    list(&mut text, "Damaged", report.damaged.len(), report.damaged.iter().cloned());
    text.push_str("Records that were not uploaded when the disk was lost are not in the store.\n");
    text
}

fn list(text: &mut String, heading: &str, count: usize, lines: impl Iterator<Item = String>) {
    if count == 0 {
        return;
    }
    let _ = writeln!(text, "{heading}:");
    lines.take(SHOWN_MAX).for_each(|line| {
        let _ = writeln!(text, "  {line}");
    });
    if count > SHOWN_MAX {
        let _ = writeln!(text, "  and {} more", count - SHOWN_MAX);
    }
}

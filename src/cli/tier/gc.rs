//! `icecore tier gc`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use icecore_tiering::{CollectOptions, CollectReport, Named, ObjectPart, Scope, Tiering};
use serde_json::json;

use crate::app::{Offline, OfflineUse};
use crate::cli::output::{self, OutputArgs};
use crate::cli::sources::OfflineArgs;
use crate::config::BrokerConfig;

/// Names of each list that people are shown; JSON has more.
const SHOWN_MAX: usize = 10;
/// Something is lost: its exit code.
const LOST: u8 = 1;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Removes objects that no row names and whose offsets other segments answer \
    for, unfinished uploads, and what deletions left; finishes uploads whose objects are whole. \
    What may be the only copy of a record is left and told. A running broker does the same every \
    tiering.gc.interval.ms; this is for a stopped one.\n\nThe exit code is 1 when segments are \
    lost: their objects are gone, and there is no local copy."
)]
pub(super) struct Args {
    /// Only tell.
    #[arg(long)]
    dry_run: bool,
    /// Spare what is younger, such as 1h. With the broker stopped nothing is on its way any more.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
    min_age: Duration,
    #[command(flatten)]
    sources: OfflineArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = BrokerConfig::load(&args.sources.sources())?;
    let offline = Offline::open(&config, OfflineUse::Change).await?;
    let options =
        CollectOptions { min_age: args.min_age, dry_run: args.dry_run, scope: Scope::All };
    let collected = offline.tiering().collect_garbage(&options).await;
    let tiering = offline.tiering().clone();
    offline.close().await?;
    let report = collected?;
    let lost = lost(&tiering, &report);
    let list = |named: &Named| json!({ "count": named.count, "names": named.names });
    let document = json!({
        "dry_run": args.dry_run,
        "completed_uploads": report.completed,
        "abandoned_uploads": report.abandoned,
        "deleted_segments": report.deleted.segments,
        "orphans": list(&report.orphans),
        "orphan_bytes": report.orphan_bytes,
        "unfinished": list(&report.unfinished),
        "returned_segments": report.returned.len(),
        "unclaimed": list(&report.unclaimed),
        "foreign": list(&report.foreign),
        "failed": list(&report.failed),
        "lost": lost,
    });
    args.output.show(&document, || told(&report, &lost, args.dry_run))?;
    Ok(if lost.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(LOST) })
}

/// The objects of segments that are gone for good.
fn lost(tiering: &Tiering, report: &CollectReport) -> Vec<String> {
    report.lost.iter().map(|segment| tiering.object_name(segment, ObjectPart::Log)).collect()
}

fn told(report: &CollectReport, lost: &[String], dry_run: bool) -> String {
    let done = if dry_run { "to be removed" } else { "removed" };
    let mut text = String::new();
    let bytes = output::bytes(report.orphan_bytes);
    list(&mut text, &format!("Objects without a row, {bytes}, {done}"), &report.orphans);
    list(&mut text, &format!("Unfinished uploads, {done}"), &report.unfinished);
    list(&mut text, "Left, as they may be the only copy", &report.unclaimed);
    list(&mut text, "Left, as they are none of ours", &report.foreign);
    list(&mut text, "Could not be looked at", &report.failed);
    let gone = Named { count: lost.len() as u64, names: lost.to_vec() };
    list(&mut text, "LOST, without a local copy", &gone);
    let _ = writeln!(
        text,
        "{} uploads finished, {} given up; {} deletions finished; {} segments to be uploaded again.",
        report.completed,
        report.abandoned,
        report.deleted.segments,
        report.returned.len(),
    );
    text
}

fn list(text: &mut String, heading: &str, named: &Named) {
    if named.count == 0 {
        return;
    }
    let _ = writeln!(text, "{heading}: {}", named.count);
    for name in named.names.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "  {name}");
    }
}

//! `icecore tier verify`.

use std::process::ExitCode;

use super::fsck;
use super::job::{self, PlaceArgs, code};
use crate::cli::output::{self, OutputArgs};
use crate::cli::table::{Align, Table};
use crate::http::{JobRequest, JobResult, Verified};

#[derive(Debug, clap::Args)]
#[command(after_help = "Every byte that the store has of the topic is read and held against its \
    checksums, every batch against its CRC, and every offset from the first to the last has to be \
    there. Either the broker is stopped and --data-dir, --store and --config are as for `serve`, or \
    a running one is asked with --http.\n\nThe exit code is 0 when all of it is right, 1 when \
    something is not, 2 when not all could be looked at.")]
pub(super) struct Args {
    /// The topic.
    topic: String,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = JobRequest::Verify { topic: args.topic.clone() };
    job::finish(job::run(&args.place, &request).await?, |result| match result {
        JobResult::Verify(verified) => {
            args.output.show(&verified, || table(&verified))?;
            Ok(code(verified.outcome.findings))
        }
        other => anyhow::bail!("not the result of a check of a topic: {other:?}"),
    })
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
    format!("{}\n{}", table.text(), fsck::table(&verified.outcome, true))
}

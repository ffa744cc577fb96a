//! `icecore tier fsck`.

use std::process::ExitCode;

use super::job::{self, PlaceArgs, code};
use crate::cli::output::{self, OutputArgs};
use crate::cli::table::{Align, Table};
use crate::http::{CheckOutcome, JobRequest, JobResult};

#[derive(Debug, clap::Args)]
#[command(after_help = "Without --deep each partition is listed, and the head of every .index \
    object is read: one request for each segment. With --deep every byte of the store is read and \
    held against its checksums, and every batch against its CRC. A run that is broken off goes on \
    where it was, if that is less than a day ago. Nothing is changed; `icecore tier gc` removes what no row names. Either the \
    broker is stopped and --data-dir, --store and --config are as for `serve`, or a running one is \
    asked with --http.\n\nThe exit code is 0 when nothing is wrong, 1 when something is, 2 when \
    not all could be looked at.\n\nFindings: missing-log, missing-index, missing-segment, \
    wrong-log-size, wrong-index-size, damaged-index, other-header, damaged-log, damaged-records, \
    damaged-meta, unknown-object, foreign-name, overlap, unfinished-upload, gap.")]
pub(super) struct Args {
    /// Read every byte.
    #[arg(long)]
    deep: bool,
    /// Look again at what a run that was broken off found right.
    #[arg(long)]
    anew: bool,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = JobRequest::Fsck { deep: args.deep, anew: args.anew };
    job::finish(job::run(&args.place, &request).await?, |result| match result {
        JobResult::Fsck(outcome) => {
            args.output.show(&outcome, || table(&outcome, args.deep))?;
            Ok(code(outcome.findings))
        }
        other => anyhow::bail!("not the result of a check: {other:?}"),
    })
}

/// For people: every finding, then what was looked at.
pub(super) fn table(outcome: &CheckOutcome, deep: bool) -> String {
    let mut text = String::new();
    if !outcome.found.is_empty() {
        let headings = ["FINDING", "PLACE", "DETAIL"].map(|heading| (heading, Align::Left));
        let mut table = Table::new(&headings);
        for found in &outcome.found {
            table.row([found.kind.clone(), found.place.clone(), found.detail.clone()]);
        }
        text.push_str(&table.text());
    }
    let findings = match outcome.findings {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let (segments, bytes) = (outcome.segments, output::bytes(outcome.bytes));
    let how = if deep { format!(", every byte of {bytes}") } else { String::new() };
    let known = match outcome.known_segments {
        0 => String::new(),
        known => format!(" {known} more were right before a run was broken off."),
    };
    text.push_str(&format!("{findings}; segments that are right: {segments}{how}.{known}\n"));
    text
}

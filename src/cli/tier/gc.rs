//! `icecore tier gc`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use humantime::format_duration;

use super::job::{self, PlaceArgs, code};
use crate::cli::output::{self, OutputArgs};
use crate::http::{Collected, JobRequest, JobResult, NamedObjects};

/// Names of each list that people are shown; JSON has more.
const SHOWN_MAX: usize = 10;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Removes objects that no row names and whose offsets other segments answer \
    for, unfinished uploads, and what deletions left; finishes uploads whose objects are whole. What \
    may be the only copy of a record is left and told. Either the broker is stopped and --data-dir, \
    --store and --config are as for `serve`, or a running one is asked with --http; it does the same \
    by itself every tiering.gc.interval.ms.\n\nThe exit code is 0 when it is done, 1 when segments \
    are lost (their objects are gone, and there is no local copy), 2 when not all could be done."
)]
pub(super) struct Args {
    /// Only tell.
    #[arg(long)]
    dry_run: bool,
    /// Spare what is younger, such as 1h. Default: tiering.gc.min.age.ms of a running broker, else
    /// nothing is spared, since nothing is on its way any more.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    min_age: Option<Duration>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// What was not looked at, so that nobody takes "nothing" for more than it is.
    fn spared(&self) -> String {
        match self.min_age {
            Some(age) => format!(" What is younger than {} is spared.", format_duration(age)),
            None if self.place.asks_a_broker() => {
                " What is younger than tiering.gc.min.age.ms is spared.".to_owned()
            }
            None => String::new(),
        }
    }
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let min_age_ms = args.min_age.map(millis);
    let request = JobRequest::Gc { dry_run: args.dry_run, min_age_ms };
    job::finish(job::run(&args.place, &request).await?, |result| match result {
        JobResult::Gc(collected) => {
            args.output.show(&collected, || told(&collected, &args.spared()))?;
            if collected.failed.count > 0 {
                anyhow::bail!("{} objects could not be looked at", collected.failed.count);
            }
            Ok(code(collected.lost.count))
        }
        other => anyhow::bail!("not the result of a collection: {other:?}"),
    })
}

fn told(collected: &Collected, spared: &str) -> String {
    let done = if collected.dry_run { "to be removed" } else { "removed" };
    let mut text = String::new();
    let bytes = output::bytes(collected.orphan_bytes);
    list(&mut text, &format!("Objects without a row, {bytes}, {done}"), &collected.orphans);
    list(&mut text, &format!("Unfinished uploads, {done}"), &collected.unfinished);
    list(&mut text, "Left, as they may be the only copy", &collected.unclaimed);
    list(&mut text, "Left, as they are none of ours", &collected.foreign);
    list(&mut text, "Could not be looked at", &collected.failed);
    list(&mut text, "LOST, without a local copy", &collected.lost);
    if text.is_empty() {
        text.push_str("nothing to remove\n");
    }
    let _ = writeln!(
        text,
        "{} uploads finished, {} given up; {} deletions finished; {} segments to be uploaded again.{spared}",
        collected.completed_uploads,
        collected.abandoned_uploads,
        collected.deleted_segments,
        collected.returned_segments,
    );
    text
}

fn list(text: &mut String, heading: &str, named: &NamedObjects) {
    if named.count == 0 {
        return;
    }
    let _ = writeln!(text, "{heading}: {}", named.count);
    for name in named.names.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "  {name}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_that_found_nothing_says_so_and_what_it_spared() {
        let told = told(&Collected::default(), " What is younger than 1h is spared.");
        let (first, second) = told.split_once('\n').expect("two lines");
        assert_eq!(first, "nothing to remove");
        assert!(
            second.ends_with("to be uploaded again. What is younger than 1h is spared.\n"),
            "{second}"
        );
    }
}

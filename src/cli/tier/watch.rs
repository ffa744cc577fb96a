//! What `fsck` and `verify` collect and show while a check goes on.

use icecore_tiering::{CheckWatch, Finding, LogInspector, Segment, SegmentId};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use serde::Serialize;

use super::checkpoint::Checkpoint;
use crate::cli::output;
use crate::cli::table::{Align, Table};
use crate::log::BatchInspector;

/// Findings that are kept; the count goes on.
const KEPT_MAX: usize = 100_000;

/// A finding as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    kind: &'static str,
    place: String,
    detail: String,
}

/// What a check did.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    /// How many things are not as they ought to be.
    pub(super) findings: u64,
    /// The first hundred thousand of them.
    pub(super) found: Vec<Told>,
    /// Segments that were looked at and found right, or, not deep, looked at.
    pub(super) segments: u64,
    /// Bytes that were read of them.
    pub(super) bytes: u64,
    /// Segments that an earlier deep check found right.
    pub(super) known_segments: u64,
}

/// Collects findings, shows progress, keeps the checkpoint.
pub(super) struct Watch {
    bar: ProgressBar,
    outcome: Mutex<Outcome>,
    checkpoint: Option<Mutex<Checkpoint>>,
    /// Why the checkpoint is not kept any more.
    unkept: Mutex<Option<std::io::Error>>,
    deep: bool,
    contiguous: bool,
}

impl Watch {
    /// For a check that is deep or not, of logs that hold every offset or not.
    pub(super) fn new(checkpoint: Option<Checkpoint>, deep: bool, contiguous: bool) -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{pos}/{len} partitions {wide_bar} {msg}") {
            bar.set_style(style);
        }
        let (outcome, unkept) = Default::default();
        let checkpoint = checkpoint.map(Mutex::new);
        Self { bar, outcome, checkpoint, unkept, deep, contiguous }
    }

    /// Ends it: what was found. A checkpoint is removed when all was looked at, else kept.
    pub(super) fn end(self, complete: bool) -> anyhow::Result<Outcome> {
        self.bar.finish_and_clear();
        if let Some(error) = self.unkept.into_inner() {
            eprintln!("icecore: the checkpoint cannot be written: {error}");
        } else if let Some(checkpoint) = self.checkpoint.map(Mutex::into_inner) {
            if complete { checkpoint.remove()? } else { checkpoint.keep()? }
        }
        Ok(self.outcome.into_inner())
    }
}

impl CheckWatch for Watch {
    fn found(&self, finding: Finding) {
        let Finding { kind, place, detail } = finding;
        let mut outcome = self.outcome.lock();
        outcome.findings += 1;
        if outcome.found.len() < KEPT_MAX {
            outcome.found.push(Told { kind: kind.name(), place, detail });
        }
    }

    fn checked(&self, segment: &Segment, bytes: u64) {
        let mut outcome = self.outcome.lock();
        outcome.segments += 1;
        outcome.bytes += bytes;
        let (segments, read) = (outcome.segments, output::bytes(outcome.bytes));
        drop(outcome);
        let words = if self.deep {
            format!("{segments} segments, {read}")
        } else {
            format!("{segments} segments")
        };
        self.bar.set_message(words);
        if let Some(checkpoint) = &self.checkpoint
            && let Err(error) = checkpoint.lock().add(segment.segment_id)
        {
            self.unkept.lock().get_or_insert(error);
        }
    }

    fn is_known(&self, segment: SegmentId) -> bool {
        let known =
            self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.lock().has(segment));
        if known {
            self.outcome.lock().known_segments += 1;
        }
        known
    }

    fn inspect(&self, segment: &Segment) -> Option<Box<dyn LogInspector>> {
        Some(Box::new(BatchInspector::new(segment, self.contiguous)))
    }

    fn partitions(&self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
    }
}

impl Outcome {
    /// For people: every finding, then what was looked at.
    pub(super) fn table(&self, deep: bool) -> String {
        let mut text = String::new();
        if !self.found.is_empty() {
            let headings = ["FINDING", "PLACE", "DETAIL"].map(|heading| (heading, Align::Left));
            let mut table = Table::new(&headings);
            for Told { kind, place, detail } in &self.found {
                table.row([(*kind).to_owned(), place.clone(), detail.clone()]);
            }
            text.push_str(&table.text());
        }
        let findings = match self.findings {
            0 => "nothing is wrong".to_owned(),
            1 => "1 finding".to_owned(),
            count => format!("{count} findings"),
        };
        let (segments, bytes) = (self.segments, output::bytes(self.bytes));
        let how = if deep { format!(", every byte of {bytes}") } else { String::new() };
        let known = match self.known_segments {
            0 => String::new(),
            known => format!(" {known} more were found right by an earlier run."),
        };
        text.push_str(&format!("{findings}: {segments} segments looked at{how}.{known}\n"));
        text
    }
}

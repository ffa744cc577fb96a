//! What a check finds, collected while it goes on.

use icecore_tiering::{CheckWatch, Finding, LogInspector, Segment, SegmentId};
use parking_lot::Mutex;

use super::Told;
use super::checkpoint::Checkpoint;
use crate::http::{CheckOutcome, Found, JobProgress};
use crate::log::BatchInspector;

/// Findings that are kept; the count goes on.
const KEPT_MAX: usize = 10_000;

/// Collects findings, tells progress, keeps the checkpoint.
pub(super) struct Watch<'a> {
    outcome: Mutex<CheckOutcome>,
    /// Partitions that are done, and all.
    partitions: Mutex<(u64, u64)>,
    checkpoint: Option<Mutex<Checkpoint>>,
    contiguous: bool,
    told: Told<'a>,
}

impl<'a> Watch<'a> {
    /// For a check of logs that hold every offset, or not.
    pub(super) fn new(checkpoint: Option<Checkpoint>, contiguous: bool, told: Told<'a>) -> Self {
        let (outcome, partitions) = Default::default();
        Self { outcome, partitions, checkpoint: checkpoint.map(Mutex::new), contiguous, told }
    }

    /// Ends it: what was found. A checkpoint is removed when all was looked at, else kept: what it
    /// lacks is read once more.
    pub(super) fn end(self, complete: bool) -> CheckOutcome {
        if let Some(checkpoint) = self.checkpoint.map(Mutex::into_inner) {
            let ended = if complete { checkpoint.remove() } else { checkpoint.keep() };
            if let Err(error) = ended {
                tracing::warn!(%error, "the checkpoint of a check was not written");
            }
        }
        self.outcome.into_inner()
    }

    fn tell(&self) {
        let (partitions, of_partitions) = *self.partitions.lock();
        let CheckOutcome { findings, segments, bytes, .. } = *self.outcome.lock();
        (self.told)(JobProgress { partitions, of_partitions, segments, bytes, findings });
    }
}

impl CheckWatch for Watch<'_> {
    fn found(&self, finding: Finding) {
        let Finding { kind, place, detail } = finding;
        let mut outcome = self.outcome.lock();
        outcome.findings += 1;
        if outcome.found.len() < KEPT_MAX {
            outcome.found.push(Found { kind: kind.name().to_owned(), place, detail });
        }
        drop(outcome);
        self.tell();
    }

    fn checked(&self, segment: &Segment, bytes: u64) {
        let mut outcome = self.outcome.lock();
        outcome.segments += 1;
        outcome.bytes += bytes;
        drop(outcome);
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.lock().add(segment.segment_id);
        }
        self.tell();
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
        *self.partitions.lock() = (done, of);
        self.tell();
    }
}

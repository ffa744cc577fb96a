//! Producer snapshots and leader-epoch checkpoints.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::printer::Printer;
use crate::cli::output;
use crate::log::{SnapshotEntry, decode_producer_snapshot};

/// Shows a producer snapshot.
pub(super) fn dump_producers(bytes: &[u8], printer: &mut Printer) -> Result<()> {
    match decode_producer_snapshot(bytes) {
        Ok(entries) => entries.iter().try_for_each(|entry| printer.item(&Producer::new(entry))),
        Err(error) => printer.problem("the snapshot", error),
    }
}

#[derive(Debug, Serialize)]
struct Producer {
    producer_id: i64,
    producer_epoch: i16,
    first_sequence: i32,
    last_sequence: i32,
    last_offset: i64,
    appended_ms: i64,
}

impl Producer {
    fn new(entry: &SnapshotEntry) -> Self {
        Self {
            producer_id: entry.producer.0,
            producer_epoch: entry.epoch.0,
            first_sequence: entry.first_sequence().0,
            last_sequence: entry.last_sequence.0,
            last_offset: entry.last_offset.get(),
            appended_ms: entry.appended_ms,
        }
    }
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "producer {} epoch {}: sequence {}..{} up to offset {}, appended {}",
            self.producer_id,
            self.producer_epoch,
            self.first_sequence,
            self.last_sequence,
            self.last_offset,
            output::time(Some(self.appended_ms)),
        )
    }
}

/// Shows a leader-epoch checkpoint: a version, a count, then an epoch and its first offset a line.
pub(super) fn dump_epochs(bytes: &[u8], printer: &mut Printer) -> Result<()> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.lines().collect();
    if lines.first() != Some(&"0") {
        printer.problem("line 1", "the version is not 0")?;
    }
    let entries = lines.get(2..).unwrap_or_default();
    if lines.get(1).and_then(|count| count.parse().ok()) != Some(entries.len()) {
        printer
            .problem("line 2", format!("the count is not {}, as lines follow", entries.len()))?;
    }
    let mut before: Option<Epoch> = None;
    for (line, number) in entries.iter().zip(3..) {
        let place = format!("line {number}");
        let fields = line.split_once(' ');
        let entry = fields.and_then(|(epoch, start)| {
            Some(Epoch { epoch: epoch.parse().ok()?, start_offset: start.parse().ok()? })
        });
        let Some(entry) = entry else {
            printer.problem(&place, "no epoch and offset")?;
            continue;
        };
        printer.item(&entry)?;
        if before
            .as_ref()
            .is_some_and(|b| b.epoch >= entry.epoch || b.start_offset > entry.start_offset)
        {
            printer.problem(&place, "entries do not ascend")?;
        }
        before = Some(entry);
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Epoch {
    epoch: i32,
    start_offset: i64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} begins at offset {}", self.epoch, self.start_offset)
    }
}

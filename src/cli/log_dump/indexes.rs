//! The entries of `.index` and `.timeindex`, compared with the log where it is there.

use std::collections::HashMap;
use std::fmt;

use anyhow::Result;
use bytes::Bytes;
use serde::Serialize;

use super::batches::Walk;
use super::printer::Printer;
use crate::cli::output;
use crate::log::{
    OFFSET_ENTRY_LEN, OffsetEntry, TIME_ENTRY_LEN, TimeEntry, read_offset_entry, read_time_entry,
};
use crate::model::Offset;

/// Entries up to the zeros that the file of an active segment is filled with.
fn entries<const N: usize>(bytes: &[u8], printer: &mut Printer) -> Result<Vec<[u8; N]>> {
    let (entries, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        let place = format!("byte {}", bytes.len() - rest.len());
        printer.problem(&place, format!("{} bytes are no whole entry", rest.len()))?;
    }
    let used = entries.iter().rposition(|entry| *entry != [0; N]).map_or(0, |last| last + 1);
    Ok(entries[..used].to_vec())
}

/// Shows an offset index.
pub(super) fn dump_offsets(
    bytes: &[u8],
    base: Offset,
    log: Option<&Bytes>,
    printer: &mut Printer,
) -> Result<()> {
    let batches: Option<HashMap<u64, Offset>> = log.map(|log| {
        Walk::new(log).map(|placed| (placed.position as u64, placed.header.last_offset())).collect()
    });
    let mut before: Option<OffsetEntry> = None;
    for (number, entry) in entries::<OFFSET_ENTRY_LEN>(bytes, printer)?.into_iter().enumerate() {
        let entry = read_offset_entry(base, entry);
        let OffsetEntry { last_offset, position } = entry;
        let place = format!("entry {number}");
        printer.item(&OffsetLine { last_offset: last_offset.get(), position })?;
        if before.is_some_and(|b| b.last_offset >= last_offset || b.position >= position) {
            printer.problem(&place, "entries do not ascend")?;
        }
        before = Some(entry);
        match batches.as_ref().map(|batches| batches.get(&position)) {
            None => {}
            Some(None) => {
                printer.problem(&place, format!("no batch begins at {position} of the log"))?;
            }
            Some(Some(last)) if *last != last_offset => {
                let what = format!("the batch at {position} ends with {last}, not {last_offset}");
                printer.problem(&place, what)?;
            }
            Some(Some(_)) => {}
        }
    }
    Ok(())
}

/// Shows a time index.
pub(super) fn dump_times(
    bytes: &[u8],
    base: Offset,
    log: Option<&Bytes>,
    printer: &mut Printer,
) -> Result<()> {
    // The largest timestamp up to and with each batch, by its last offset.
    let mut largest = i64::MIN;
    let maxima: Option<HashMap<Offset, i64>> = log.map(|log| {
        Walk::new(log)
            .map(|placed| {
                largest = largest.max(placed.header.max_timestamp);
                (placed.header.last_offset(), largest)
            })
            .collect()
    });
    let mut before: Option<TimeEntry> = None;
    for (number, entry) in entries::<TIME_ENTRY_LEN>(bytes, printer)?.into_iter().enumerate() {
        let entry = read_time_entry(base, entry);
        let TimeEntry { timestamp_ms, offset } = entry;
        let place = format!("entry {number}");
        printer.item(&TimeLine { timestamp_ms, offset: offset.get() })?;
        if before.is_some_and(|b| b.timestamp_ms >= timestamp_ms || b.offset > offset) {
            printer.problem(&place, "entries do not ascend")?;
        }
        before = Some(entry);
        match maxima.as_ref().map(|maxima| maxima.get(&offset)) {
            None => {}
            // An offset inside a batch is what a broker of Kafka's may note: it tells the record.
            Some(None) => {}
            Some(Some(largest)) if *largest > timestamp_ms => {
                let what = format!("a record up to offset {offset} has the timestamp {largest}");
                printer.problem(&place, what)?;
            }
            Some(Some(_)) => {}
        }
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct OffsetLine {
    last_offset: i64,
    position: u64,
}

impl fmt::Display for OffsetLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the batch that ends with offset {} is at {}", self.last_offset, self.position)
    }
}

#[derive(Debug, Serialize)]
struct TimeLine {
    timestamp_ms: i64,
    offset: i64,
}

impl fmt::Display for TimeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = output::time(Some(self.timestamp_ms));
        write!(f, "up to offset {} the largest timestamp is {time}", self.offset)
    }
}

//! The batches of a `.log`, and their records.
//!
//! Checked: lengths, magic, CRC, that offsets ascend, that records are as many as told and lie in
//! their batch.

use std::fmt;

use anyhow::Result;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::printer::Printer;
use super::{Depth, group_records};
use crate::cli::{output, record_line};
use crate::model::Offset;
use crate::record::{BatchHeader, HEADER_LEN, Record, Records, TimestampType};

/// What a packed batch may unpack to.
const UNPACKED_BYTES_MAX: usize = 1 << 30;

/// A batch and where it lies.
pub(super) struct Placed {
    pub(super) position: usize,
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
}

/// Walks whole batches; stops where what follows is none.
pub(super) struct Walk<'a> {
    log: &'a Bytes,
    position: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(log: &'a Bytes) -> Self {
        Self { log, position: 0 }
    }

    /// Where the walk stands: the end of the last whole batch.
    pub(super) fn position(&self) -> usize {
        self.position
    }
}

impl Iterator for Walk<'_> {
    type Item = Placed;

    fn next(&mut self) -> Option<Placed> {
        let position = self.position;
        let rest = self.log.slice(position..);
        let header = rest.first_chunk().map(BatchHeader::read)?;
        let len = usize::try_from(header.batch_len()).ok()?;
        if !(HEADER_LEN..=rest.len()).contains(&len) {
            return None;
        }
        self.position += len;
        Some(Placed { position, header, bytes: rest.slice(..len) })
    }
}

/// Shows and checks a whole log.
pub(super) fn dump(
    log: &Bytes,
    base: Option<Offset>,
    depth: Depth,
    printer: &mut Printer,
) -> Result<()> {
    let mut least = base.unwrap_or(Offset::ZERO);
    let mut walk = Walk::new(log);
    for placed in walk.by_ref() {
        let header = &placed.header;
        let place = format!("position {}, offset {}", placed.position, header.base_offset);
        let right = header.checksum(&placed.bytes[HEADER_LEN..]) == header.crc;
        if depth != Depth::GroupRecords {
            printer.item(&Line::new(&placed, right))?;
        }
        if header.magic != 2 {
            printer.problem(&place, format!("magic {}, not 2", header.magic))?;
            continue;
        }
        if !right {
            printer.problem(&place, "the CRC does not fit the bytes")?;
        }
        if header.base_offset < least {
            printer.problem(&place, format!("offsets do not ascend: at least {least} was due"))?;
        }
        least = least.max(header.last_offset().next());
        if right {
            records(&placed, &place, depth, printer)?;
        }
    }
    let whole = walk.position();
    if whole < log.len() {
        let (left, place) = (log.len() - whole, format!("position {whole}"));
        printer.problem(&place, format!("the {left} bytes from here on are no whole batch"))?;
    }
    Ok(())
}

fn records(placed: &Placed, place: &str, depth: Depth, printer: &mut Printer) -> Result<()> {
    let header = &placed.header;
    let records = match Records::of_batch(&placed.bytes, UNPACKED_BYTES_MAX) {
        Ok(records) => records,
        Err(error) => return printer.problem(place, error),
    };
    let mut least = header.base_offset;
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => return printer.problem(place, error),
        };
        if record.offset < least || record.offset > header.last_offset() {
            let Record { offset, .. } = record;
            printer
                .problem(place, format!("record {offset} is out of order or out of its batch"))?;
        }
        least = record.offset.next();
        match depth {
            Depth::Batches => {}
            Depth::Records => printer.item(&RecordLine::new(&record, header.is_control()))?,
            Depth::GroupRecords if header.is_control() => {}
            Depth::GroupRecords => group_records::dump(&record, place, printer)?,
        }
    }
    Ok(())
}

/// A batch as it is shown.
#[derive(Debug, Serialize)]
struct Line {
    base_offset: i64,
    last_offset: i64,
    position: usize,
    bytes: usize,
    records: i32,
    codec: String,
    leader_epoch: i32,
    max_timestamp_ms: i64,
    timestamp_type: &'static str,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    last_sequence: i32,
    transactional: bool,
    control: bool,
    crc: u32,
    crc_valid: bool,
}

impl Line {
    fn new(placed: &Placed, crc_valid: bool) -> Self {
        let header = &placed.header;
        Self {
            base_offset: header.base_offset.get(),
            last_offset: header.last_offset().get(),
            position: placed.position,
            bytes: placed.bytes.len(),
            records: header.count,
            codec: header
                .codec()
                .map_or_else(|| "unknown".into(), |codec| format!("{codec:?}").to_lowercase()),
            leader_epoch: header.leader_epoch.get(),
            max_timestamp_ms: header.max_timestamp,
            timestamp_type: match header.timestamp_type() {
                TimestampType::CreateTime => "create",
                TimestampType::LogAppendTime => "append",
            },
            producer_id: header.producer_id.0,
            producer_epoch: header.producer_epoch.0,
            base_sequence: header.base_sequence.0,
            last_sequence: header.last_sequence().0,
            transactional: header.is_transactional(),
            control: header.is_control(),
            crc: header.crc,
            crc_valid,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "batch {}..{} at {}: {} records in {} bytes, {}, epoch {}, {} time up to {}",
            self.base_offset,
            self.last_offset,
            self.position,
            self.records,
            self.bytes,
            self.codec,
            self.leader_epoch,
            self.timestamp_type,
            output::time(Some(self.max_timestamp_ms)),
        )?;
        if self.producer_id >= 0 {
            let Self { producer_id, producer_epoch, base_sequence, last_sequence, .. } = self;
            write!(f, ", producer {producer_id} epoch {producer_epoch}")?;
            write!(f, " sequence {base_sequence}..{last_sequence}")?;
        }
        if self.transactional {
            f.write_str(", transactional")?;
        }
        if self.control {
            f.write_str(", control")?;
        }
        write!(f, ", crc {:#010x} {}", self.crc, if self.crc_valid { "fits" } else { "WRONG" })
    }
}

/// A record as it is shown.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct RecordLine(Map<String, Value>);

impl RecordLine {
    fn new(record: &Record, control: bool) -> Self {
        let mut object = Map::new();
        record_line::fill(&mut object, record);
        if control {
            object.insert("control".into(), true.into());
        }
        Self(object)
    }
}

impl fmt::Display for RecordLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("  record")?;
        self.0.iter().try_for_each(|(name, value)| write!(f, " {name} {value}"))
    }
}

//! The `.index` object of the bucket: a segment's row and all its small files in one.

use std::fmt;

use anyhow::Result;
use bytes::Bytes;
use icecore_tiering::{BundleHeader, IndexBundle};
use serde::Serialize;

use super::indexes::{dump_offsets, dump_times};
use super::printer::Printer;
use super::state_files::{dump_epochs, dump_producers};
use crate::cli::output;

/// What such an object begins with.
pub(super) const MAGIC: &[u8] = b"ICEINDEX";

/// Shows an object, and compares it with its log where that is there.
pub(super) fn dump(bytes: Bytes, log: Option<&Bytes>, printer: &mut Printer) -> Result<()> {
    let bundle = match IndexBundle::decode(bytes) {
        Ok(bundle) => bundle,
        Err(error) => return printer.problem("the object", error),
    };
    let header = &bundle.header;
    printer.item(&Segment::new(header))?;
    if let Some(log) = log {
        compare(header, log, printer)?;
    }
    let base = header.base;
    printer.item(&Part("offset index"))?;
    dump_offsets(&bundle.offset_index, base, log, printer)?;
    printer.item(&Part("time index"))?;
    dump_times(&bundle.time_index, base, log, printer)?;
    printer.item(&Part("producer snapshot"))?;
    dump_producers(&bundle.producer_snapshot, printer)?;
    printer.item(&Part("leader epochs"))?;
    dump_epochs(&bundle.leader_epochs, printer)
}

fn compare(header: &BundleHeader, log: &Bytes, printer: &mut Printer) -> Result<()> {
    if log.len() as u64 != header.size {
        let what = format!("the .log has {} bytes, not {}", log.len(), header.size);
        return printer.problem("the .log object", what);
    }
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, log);
    if crc != u64::from(header.log_crc) {
        let what = format!("the CRC of the .log is {crc:#010x}, not {:#010x}", header.log_crc);
        return printer.problem("the .log object", what);
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Segment {
    topic: String,
    topic_id: String,
    partition: i32,
    base_offset: i64,
    last_offset: i64,
    first_timestamp_ms: i64,
    max_timestamp_ms: i64,
    bytes: u64,
    crc: u32,
    leader_epoch: i32,
    sealed_ms: i64,
}

impl Segment {
    fn new(header: &BundleHeader) -> Self {
        Self {
            topic: header.topic.clone(),
            topic_id: header.topic_id.to_string(),
            partition: header.partition,
            base_offset: header.base.get(),
            last_offset: header.end.get(),
            first_timestamp_ms: header.first_timestamp_ms,
            max_timestamp_ms: header.max_timestamp_ms,
            bytes: header.size,
            crc: header.log_crc,
            leader_epoch: header.leader_epoch.get(),
            sealed_ms: header.sealed_ms,
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "segment {}..{} of {}-{} ({}): {} bytes, crc {:#010x}, epoch {}, {} to {}, sealed {}",
            self.base_offset,
            self.last_offset,
            self.topic,
            self.partition,
            self.topic_id,
            self.bytes,
            self.crc,
            self.leader_epoch,
            output::time(Some(self.first_timestamp_ms)),
            output::time(Some(self.max_timestamp_ms)),
            output::time(Some(self.sealed_ms)),
        )
    }
}

/// What the following items belong to.
#[derive(Debug)]
struct Part(&'static str);

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.0)
    }
}

impl Serialize for Part {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        serde_json::json!({ "part": self.0 }).serialize(to)
    }
}

//! What the broker's clients know: what was acked, and what may or may not have been done.
//!
//! Invariant: something is noted as asked before it is asked for, and as acked only after the
//! answer, so that what is true of the broker always lies between the two.

use std::collections::BTreeMap;

/// A record, as it was sent and as it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) timestamp_ms: i64,
    pub(crate) value: Vec<u8>,
}

/// One partition's records; their offsets are their places.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) acked: Vec<Record>,
    /// Sent and not answered.
    pub(crate) sent: Option<Record>,
    /// The log start by the last DeleteRecords that was acked.
    pub(crate) start_acked: i64,
    /// The same by the last that was asked for.
    pub(crate) start_asked: i64,
}

/// A topic that is there, unless it is coming or going.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) partitions: Vec<Partition>,
    /// Its creation or deletion was asked for and not answered.
    pub(crate) uncertain: bool,
    /// Retention moves its log start: not beyond what keeps so many records.
    pub(crate) kept_min: Option<usize>,
}

/// What is known of all.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) topics: BTreeMap<&'static str, Topic>,
    /// Id and epoch.
    pub(crate) producer: Option<(i64, i16)>,
    pub(crate) committed: BTreeMap<(&'static str, i32), i64>,
    /// Asked for and not answered.
    pub(crate) committing: BTreeMap<(&'static str, i32), i64>,
}

impl Topic {
    /// Checks where a partition begins and ends, and that it holds its records.
    pub(crate) fn check(&self, name: &str, index: usize, start: i64, records: &[(i64, Record)]) {
        let partition = &self.partitions[index];
        let sent = partition.acked.iter().chain(&partition.sent);
        let sent: Vec<&Record> = sent.collect();
        let end = start + records.len() as i64;
        let acked = partition.acked.len();
        assert!(end >= acked as i64, "{name}-{index}: acked up to {acked}, and ends at {end}");
        assert!(end <= sent.len() as i64, "{name}-{index} ends at {end}, behind what was sent");
        assert!(
            start >= partition.start_acked,
            "{name}-{index}: deleted below {}, and begins at {start}",
            partition.start_acked
        );
        let start_max = match self.kept_min {
            Some(kept) => partition.start_asked.max(acked.saturating_sub(kept) as i64),
            None => partition.start_asked,
        };
        assert!(start <= start_max, "{name}-{index} begins at {start}, behind {start_max}");
        for (place, (offset, record)) in (start..).zip(records) {
            assert_eq!(*offset, place, "{name}-{index}: a gap, or one twice");
            let wanted = sent[usize::try_from(place).expect("an offset")];
            assert!(record == wanted, "{name}-{index}: another record at {place}");
        }
    }
}

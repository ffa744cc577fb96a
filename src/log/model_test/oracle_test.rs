//! What the log should hold, told in the simplest way: a list of batches.

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, Sequence};
use crate::record::Batch;

/// Batches of one producer that the log remembers.
const REMEMBERED: usize = 5;

/// A batch in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its own number, in its first value.
    pub(super) tag: u64,
    pub(super) base: Offset,
    pub(super) timestamps: Vec<i64>,
    pub(super) producer: Option<(u64, ProducerEpoch, Sequence)>,
    pub(super) epoch: LeaderEpoch,
}

impl Kept {
    fn count(&self) -> i32 {
        i32::try_from(self.timestamps.len()).expect("small")
    }

    pub(super) fn end(&self) -> Offset {
        self.base + i64::from(self.count())
    }

    fn is_of(&self, id: u64) -> bool {
        self.producer.is_some_and(|(producer, ..)| producer == id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    /// One of a producer's last five, which a start remembers as well.
    Duplicate {
        base: Offset,
    },
    OutOfOrder,
}

#[derive(Default)]
pub(super) struct Oracle {
    batches: Vec<Kept>,
    /// Batches that were appended, for sending them again.
    pub(super) sent: Vec<(Batch, Kept)>,
    pub(super) log_start: Offset,
    /// Where the oldest local segment begins.
    pub(super) local_start: Offset,
    /// Up to here local segments may be gone.
    pub(super) freed: Offset,
    /// What lies below it survives a power cut.
    pub(super) synced: Offset,
}

impl Oracle {
    pub(super) fn end(&self) -> Offset {
        self.batches.last().map_or(Offset::ZERO, Kept::end)
    }

    pub(super) fn next_sequence(&self, id: u64) -> Sequence {
        let last = self.batches.iter().rev().find(|kept| kept.is_of(id));
        let next = |kept: &Kept| Some(kept.producer?.2.advance(kept.count()));
        last.and_then(next).unwrap_or(Sequence(0))
    }

    pub(super) fn judge(&self, kept: &Kept) -> Verdict {
        let Some((id, _, sequence)) = kept.producer else { return Verdict::Append };
        let mut known = self.batches.iter().rev().filter(|known| known.is_of(id)).take(REMEMBERED);
        let same = |known: &&Kept| known.producer == kept.producer && known.count() == kept.count();
        if let Some(known) = known.find(same) {
            return Verdict::Duplicate { base: known.base };
        }
        let unknown = !self.batches.iter().any(|known| known.is_of(id));
        if unknown || sequence == self.next_sequence(id) {
            Verdict::Append
        } else {
            Verdict::OutOfOrder
        }
    }

    pub(super) fn append(&mut self, kept: Kept) {
        self.batches.push(Kept { base: self.end(), ..kept });
    }

    /// The log ends at `end` after a crash: a tail is gone, or `pending` batches are there.
    pub(super) fn survive(&mut self, end: Offset, pending: &[Kept]) {
        self.batches.retain(|kept| kept.end() <= end);
        for kept in pending {
            if self.end() < end && self.judge(kept) == Verdict::Append {
                self.append(kept.clone());
            }
        }
        assert_eq!(self.end(), end, "the log ends with a whole batch that was sent");
        self.synced = self.synced.min(end);
    }

    /// At most `count` batches from the one that holds `offset` on.
    pub(super) fn from(&self, offset: Offset, count: usize) -> &[Kept] {
        let first = self.batches.partition_point(|kept| kept.end() <= offset);
        &self.batches[first..self.batches.len().min(first + count)]
    }

    /// The first record at or after `from` with at least that time.
    pub(super) fn find_time(&self, time_ms: i64, from: Offset) -> Option<(Offset, i64)> {
        let records = self.batches.iter().flat_map(|kept| {
            let offsets = (kept.base.get()..).map(Offset::new);
            offsets.zip(kept.timestamps.iter().copied())
        });
        records.into_iter().find(|(offset, time)| *offset >= from && *time >= time_ms)
    }

    /// The largest time of the batches from `base` up to `end`.
    pub(super) fn largest_time(&self, base: Offset, end: Offset) -> i64 {
        let inside = self.batches.iter().filter(|kept| kept.base >= base && kept.end() <= end);
        inside.flat_map(|kept| &kept.timestamps).copied().max().unwrap_or(-1)
    }

    /// Where the last batch of a producer lies.
    pub(super) fn last_of(&self, id: u64) -> Option<Offset> {
        self.batches.iter().rev().find(|kept| kept.is_of(id)).map(|kept| kept.base)
    }

    pub(super) fn is_at(&self, tag: u64, base: Offset) -> bool {
        self.batches.iter().any(|kept| kept.tag == tag && kept.base == base)
    }
}

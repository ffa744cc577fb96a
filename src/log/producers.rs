//! What the log knows of idempotent producers (KIP-98): the last five batches of each, so that a
//! batch sent again is recognised and a hole is refused.
//!
//! An entry expires by the time of its last *append*, never by the timestamps of its records: a
//! backfill of years-old records keeps its producers, over a restart too.

use std::collections::{HashMap, VecDeque};

use super::producer_snapshot::SnapshotEntry;
use crate::model::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::record::BatchHeader;

/// Batches that are remembered for each producer: as many as it may have in flight.
const BATCHES_KEPT: usize = 5;

/// Why a batch of an idempotent producer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// A batch before this one is missing, or this one was forgotten long ago.
    #[error("producer {producer}: sequence {sequence} is out of order, {expected} is next")]
    OutOfOrder {
        /// Whose.
        producer: ProducerId,
        /// The batch's first.
        sequence: i32,
        /// What would have been right.
        expected: i32,
    },
    /// A later incarnation of the producer has written already.
    #[error("producer {producer}: epoch {epoch} is fenced by epoch {current}")]
    Fenced {
        /// Whose.
        producer: ProducerId,
        /// The batch's.
        epoch: i16,
        /// The latest.
        current: i16,
    },
}

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AppendedBatch {
    /// Its first sequence.
    pub first_sequence: Sequence,
    /// Its last sequence.
    pub last_sequence: Sequence,
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// When it was appended, in milliseconds.
    pub appended_ms: i64,
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProducerEntry {
    epoch: ProducerEpoch,
    batches: VecDeque<AppendedBatch>,
}

impl ProducerEntry {
    fn last(&self) -> Option<&AppendedBatch> {
        self.batches.back()
    }

    /// One of its batches, as it is told to others.
    fn told(&self, producer: ProducerId, batch: &AppendedBatch) -> SnapshotEntry {
        SnapshotEntry {
            producer,
            epoch: self.epoch,
            last_sequence: batch.last_sequence,
            last_offset: batch.last_offset,
            offset_delta: i32::try_from(batch.last_offset - batch.base_offset).unwrap_or(0),
            appended_ms: batch.appended_ms,
        }
    }
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is next.
    Append,
    /// It is there already: this is where.
    Duplicate(AppendedBatch),
}

/// All producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Producers {
    entries: HashMap<ProducerId, ProducerEntry>,
}

impl Producers {
    /// Judges a batch of an idempotent producer.
    ///
    /// # Errors
    /// When its epoch is fenced or its sequence is not the next.
    pub(super) fn judge(&self, header: &BatchHeader) -> Result<Verdict, ProducerError> {
        let (producer, epoch) = (header.producer_id, header.producer_epoch);
        // Nothing is known of it, or nothing any more: any sequence may be the next.
        let Some(entry) = self.entries.get(&producer) else { return Ok(Verdict::Append) };
        if epoch < entry.epoch {
            let (epoch, current) = (epoch.0, entry.epoch.0);
            return Err(ProducerError::Fenced { producer, epoch, current });
        }
        let sequence = header.base_sequence;
        if epoch > entry.epoch {
            return if sequence == Sequence(0) {
                Ok(Verdict::Append)
            } else {
                Err(ProducerError::OutOfOrder { producer, sequence: sequence.0, expected: 0 })
            };
        }
        let last_sequence = header.last_sequence();
        let same = |batch: &&AppendedBatch| {
            batch.first_sequence == sequence && batch.last_sequence == last_sequence
        };
        if let Some(batch) = entry.batches.iter().find(same) {
            return Ok(Verdict::Duplicate(*batch));
        }
        let expected = entry.last().map_or(sequence, |last| last.last_sequence.advance(1));
        if sequence == expected {
            Ok(Verdict::Append)
        } else {
            let (sequence, expected) = (sequence.0, expected.0);
            Err(ProducerError::OutOfOrder { producer, sequence, expected })
        }
    }

    /// Notes a batch with its final offsets. Returns what was known of its producer before, for
    /// [`Producers::undo`].
    pub(super) fn note(&mut self, header: &BatchHeader, appended_ms: i64) -> Option<ProducerEntry> {
        let batch = AppendedBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            appended_ms,
        };
        let before = self.entries.get(&header.producer_id).cloned();
        self.remember(header.producer_id, header.producer_epoch, batch);
        before
    }

    /// Takes a note back: the batch was not written after all.
    pub(super) fn undo(&mut self, producer: ProducerId, before: Option<ProducerEntry>) {
        match before {
            Some(entry) => self.entries.insert(producer, entry),
            None => self.entries.remove(&producer),
        };
    }

    /// Forgets producers whose last append is longer ago than `expiration_ms`.
    pub(super) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        let fresh = |last: &AppendedBatch| now_ms - last.appended_ms < expiration_ms;
        self.entries.retain(|_, entry| entry.last().is_some_and(fresh));
    }

    /// What a snapshot keeps: every batch that is remembered, by producer and then in order.
    /// Were it the last ones alone, a producer whose broker dies after a roll would be refused what
    /// it had in flight before the roll.
    #[must_use]
    pub(super) fn snapshot(&self) -> Vec<SnapshotEntry> {
        let entries = self.entries.iter();
        let entries =
            entries.flat_map(|(id, entry)| entry.batches.iter().map(|b| entry.told(*id, b)));
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable_by_key(|entry| (entry.producer, entry.last_offset));
        entries
    }

    /// The last batch of each producer, by producer.
    #[must_use]
    pub(super) fn last_batches(&self) -> Vec<SnapshotEntry> {
        let entries = self.entries.iter();
        let last = entries.filter_map(|(id, entry)| Some(entry.told(*id, entry.last()?)));
        let mut last: Vec<_> = last.collect();
        last.sort_unstable_by_key(|entry| entry.producer);
        last
    }

    /// What a snapshot told.
    #[must_use]
    pub(super) fn restore(entries: &[SnapshotEntry]) -> Self {
        let mut producers = Self::default();
        for entry in entries {
            let batch = AppendedBatch {
                first_sequence: entry.first_sequence(),
                last_sequence: entry.last_sequence,
                base_offset: entry.last_offset + -i64::from(entry.offset_delta),
                last_offset: entry.last_offset,
                appended_ms: entry.appended_ms,
            };
            producers.remember(entry.producer, entry.epoch, batch);
        }
        producers
    }

    fn remember(&mut self, producer: ProducerId, epoch: ProducerEpoch, batch: AppendedBatch) {
        let new = || ProducerEntry { epoch, batches: VecDeque::new() };
        let entry = self.entries.entry(producer).or_insert_with(new);
        if entry.epoch != epoch {
            entry.epoch = epoch;
            entry.batches.clear();
        }
        if entry.batches.len() == BATCHES_KEPT {
            entry.batches.pop_front();
        }
        entry.batches.push_back(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LeaderEpoch;

    fn batch(epoch: i16, first: i32, count: i32, base: i64) -> BatchHeader {
        BatchHeader {
            base_offset: Offset::new(base),
            length: 100,
            leader_epoch: LeaderEpoch::ZERO,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(epoch),
            base_sequence: Sequence(first),
            count,
        }
    }

    fn with(batches: &[BatchHeader]) -> Producers {
        let mut producers = Producers::default();
        for batch in batches {
            assert_eq!(producers.judge(batch), Ok(Verdict::Append));
            producers.note(batch, 1000);
        }
        producers
    }

    #[test]
    fn a_batch_sent_again_is_answered_with_its_first_offset() {
        let sent: Vec<_> = (0..6).map(|i| batch(0, i * 10, 10, i64::from(i) * 10)).collect();
        let producers = with(&sent);
        for again in &sent[1..] {
            let Ok(Verdict::Duplicate(found)) = producers.judge(again) else { panic!("{again:?}") };
            assert_eq!(found.base_offset, again.base_offset);
        }
        assert_eq!(
            producers.judge(&sent[0]),
            Err(ProducerError::OutOfOrder { producer: ProducerId(7), sequence: 0, expected: 60 }),
            "only five are remembered"
        );
    }

    #[test]
    fn a_hole_is_refused_and_the_sequence_wraps() {
        let producers = with(&[batch(0, i32::MAX - 1, 3, 0)]);
        assert_eq!(producers.judge(&batch(0, 1, 1, 0)), Ok(Verdict::Append));
        assert!(matches!(
            producers.judge(&batch(0, 2, 1, 0)),
            Err(ProducerError::OutOfOrder { expected: 1, .. })
        ));
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old() {
        let mut producers = with(&[batch(0, 0, 5, 0)]);
        assert!(matches!(
            producers.judge(&batch(1, 5, 1, 0)),
            Err(ProducerError::OutOfOrder { expected: 0, .. })
        ));
        producers.note(&batch(1, 0, 1, 5), 1000);
        assert!(matches!(
            producers.judge(&batch(0, 5, 1, 0)),
            Err(ProducerError::Fenced { current: 1, .. })
        ));
    }

    #[test]
    fn a_note_that_is_undone_leaves_no_trace() {
        let mut producers = with(&[batch(0, 0, 5, 0)]);
        let whole = producers.clone();
        let before = producers.note(&batch(0, 5, 5, 5), 2000);
        producers.undo(ProducerId(7), before);
        assert_eq!(producers, whole);
    }

    #[test]
    fn producers_expire_by_the_time_of_the_append() {
        let mut producers = with(&[batch(0, 0, 5, 0)]);
        producers.expire(1999, 1000);
        assert_eq!(producers.snapshot().len(), 1);
        producers.expire(2000, 1000);
        assert!(producers.snapshot().is_empty());
    }

    #[test]
    fn a_snapshot_keeps_all_that_is_remembered() {
        let sent: Vec<_> = (0..6).map(|i| batch(3, i * 5, 5, i64::from(i) * 5)).collect();
        let producers = with(&sent);
        let restored = Producers::restore(&producers.snapshot());
        assert_eq!(restored, producers);
        let Ok(Verdict::Duplicate(found)) = restored.judge(&sent[1]) else { panic!() };
        assert_eq!(found.base_offset, Offset::new(5));
        assert_eq!(restored.judge(&batch(3, 30, 1, 30)), Ok(Verdict::Append));
    }
}

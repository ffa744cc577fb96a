//! All groups as they lie in the bucket: record batches with the records of `__consumer_offsets`,
//! in Kafka's own formats, packed.
//!
//! What comes back is what went in, but for offsets that would point beyond a log's end: the
//! records behind the end are lost, others will take their offsets, and a group that went on from
//! there would miss them. Such an offset is cut to the end, and told of.

use bytes::{Bytes, BytesMut};

use super::group::Committed;
use super::groups::shard_of;
use super::record::{self, Key};
use super::step::KeptRecord;
use crate::model::{Offset, TopicId};
use crate::record::{
    Batch, BatchBuilder, BatchHeader, Codec, CodecError, HEADER_LEN, NewRecord, RecordError,
    Records,
};
use crate::wire::DecodeError;
use crate::wire::messages::coordinator::{OffsetCommitKey, OffsetCommitValue};

/// A batch is closed past so many bytes, before it is packed.
const BATCH_BYTES: usize = 512 << 10;
/// Most bytes that one batch may unpack to: a group's record has up to a mebibyte.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// Puts records into batches.
#[derive(Debug)]
pub(super) struct Packer {
    batches: Vec<Batch>,
    open: BatchBuilder,
    codec: Codec,
    now_ms: i64,
}

impl Packer {
    /// No record yet; they get this time.
    pub(super) fn new(codec: Codec, now_ms: i64) -> Self {
        Self { batches: Vec::new(), open: BatchBuilder::new(codec), codec, now_ms }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &KeptRecord) -> Result<(), CodecError> {
        self.open.push(&NewRecord {
            timestamp_ms: self.now_ms,
            key: Some(&record.key),
            value: record.value.as_deref(),
            headers: &[],
        });
        if self.open.body_len() >= BATCH_BYTES { self.close_batch() } else { Ok(()) }
    }

    fn close_batch(&mut self) -> Result<(), CodecError> {
        if self.open.count() > 0 {
            self.batches.push(self.open.build()?);
            self.open = BatchBuilder::new(self.codec);
        }
        Ok(())
    }

    /// The batches.
    pub(super) fn finish(mut self) -> Result<Vec<Batch>, CodecError> {
        self.close_batch()?;
        Ok(self.batches)
    }
}

/// The bytes of batches, one after the other.
pub(super) fn concat(batches: &[Batch]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(batches.iter().map(Batch::len).sum());
    batches.iter().for_each(|batch| bytes.extend_from_slice(batch.bytes()));
    bytes.freeze()
}

/// Why groups do not come back.
#[derive(Debug, thiserror::Error)]
pub enum GroupsSnapshotError {
    /// A batch does not read.
    #[error("the snapshot of the groups: {0}")]
    Batch(#[from] RecordError),
    /// A record is in no form that Kafka writes.
    #[error("the snapshot of the groups has a record that does not read: {0}")]
    Record(#[from] DecodeError),
    /// There are bytes that no batch could be.
    #[error("the snapshot of the groups ends in bytes that are no batch")]
    NoBatch,
    /// The records cannot be packed again.
    #[error(transparent)]
    Pack(#[from] CodecError),
}

/// A committed offset that lay beyond the end of what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOffset {
    /// Whose.
    pub group: String,
    /// In which topic.
    pub topic: String,
    /// In which partition.
    pub partition: i32,
    /// What was committed.
    pub committed: Offset,
    /// What it is now: the end of the log.
    pub end: Offset,
}

/// Groups on their way into the partitions of `__consumer_offsets`.
#[derive(Debug, Default)]
pub struct RestoredGroups {
    /// What each partition gets, by number.
    pub partitions: Vec<Vec<Batch>>,
    /// Groups with members or a history.
    pub groups: u64,
    /// Committed offsets.
    pub offsets: u64,
    /// Offsets that were cut.
    pub cut: Vec<CutOffset>,
    /// Offsets of topics that are no more.
    pub forgotten: u64,
}

/// Reads groups back for a `__consumer_offsets` of so many partitions. `end_of` tells where the log
/// of a partition ends; the id is zero where the commit did not say it.
///
/// # Errors
/// [`GroupsSnapshotError`]: the bytes are not a right snapshot.
pub fn restore_groups(
    payload: &Bytes,
    partitions: usize,
    now_ms: i64,
    end_of: impl Fn(&str, TopicId, i32) -> Option<Offset>,
) -> Result<RestoredGroups, GroupsSnapshotError> {
    let mut restored = RestoredGroups::default();
    let mut shards: Vec<_> =
        (0..partitions.max(1)).map(|_| Packer::new(Codec::None, now_ms)).collect();
    for_each_record(payload, |record| {
        let key = record.key.clone();
        let (group, record) = match record::read_key(&key)? {
            Key::Group(key) => {
                restored.groups += 1;
                (key.group, record)
            }
            Key::Offset(key) => {
                let group = key.group.clone();
                let kept = restore_offset(&mut restored, key, record, &end_of)?;
                match kept {
                    Some(record) => (group, record),
                    None => return Ok(()),
                }
            }
            Key::Other(_) => return Ok(()),
        };
        let shard = shard_of(&group, shards.len());
        Ok(shards[shard].push(&record)?)
    })?;
    restored.partitions = shards.into_iter().map(Packer::finish).collect::<Result<_, _>>()?;
    Ok(restored)
}

/// The record of an offset as it is from now on; `None` when it is of no topic.
fn restore_offset(
    restored: &mut RestoredGroups,
    key: OffsetCommitKey<'_>,
    record: KeptRecord,
    end_of: impl Fn(&str, TopicId, i32) -> Option<Offset>,
) -> Result<Option<KeptRecord>, GroupsSnapshotError> {
    let Some(value) = &record.value else { return Ok(None) };
    let committed = Committed::replayed(record::read_value::<OffsetCommitValue<'_>>(value)?);
    let (topic, partition) = (key.topic.as_ref(), key.partition);
    let Some(end) = end_of(topic, committed.topic_id, partition) else {
        restored.forgotten += 1;
        return Ok(None);
    };
    restored.offsets += 1;
    if committed.offset <= end.get() {
        return Ok(Some(record));
    }
    restored.cut.push(CutOffset {
        group: key.group.clone().into_owned(),
        topic: topic.to_owned(),
        partition,
        committed: Offset::new(committed.offset),
        end,
    });
    let cut = Committed { offset: end.get(), leader_epoch: -1, ..committed };
    Ok(Some(record::offset(&key.group, topic, partition, Some(&cut))))
}

fn for_each_record(
    payload: &Bytes,
    mut each: impl FnMut(KeptRecord) -> Result<(), GroupsSnapshotError>,
) -> Result<(), GroupsSnapshotError> {
    let mut rest = payload.clone();
    while let Some(header) = rest.first_chunk::<HEADER_LEN>() {
        let len = usize::try_from(BatchHeader::read(header).batch_len()).unwrap_or(0);
        if len < HEADER_LEN || len > rest.len() {
            return Err(GroupsSnapshotError::NoBatch);
        }
        for record in Records::of_batch(&rest, UNPACKED_BYTES_MAX)? {
            let record = record?;
            if let Some(key) = record.key {
                each(KeptRecord { key, value: record.value })?;
            }
        }
        rest = rest.slice(len..);
    }
    if rest.is_empty() { Ok(()) } else { Err(GroupsSnapshotError::NoBatch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(offset: i64, topic_id: TopicId) -> Committed {
        Committed {
            offset,
            leader_epoch: 4,
            metadata: "words".into(),
            commit_ms: 1_700_000_000_000,
            expire_ms: None,
            topic_id,
        }
    }

    fn packed(records: &[KeptRecord]) -> Bytes {
        let mut packer = Packer::new(Codec::Zstd, 5);
        records.iter().for_each(|record| packer.push(record).expect("push"));
        concat(&packer.finish().expect("finish"))
    }

    fn records(restored: &RestoredGroups) -> Vec<KeptRecord> {
        let mut all = Vec::new();
        for batch in restored.partitions.iter().flatten() {
            for_each_record(batch.bytes(), |record| {
                all.push(record);
                Ok(())
            })
            .expect("records");
        }
        all.sort();
        all
    }

    #[test]
    fn offsets_come_back_as_they_were_and_those_beyond_the_end_are_cut_to_it() {
        let id = TopicId::random();
        let at = |group: &str, offset| record::offset(group, "t", 0, Some(&committed(offset, id)));
        let kept: Vec<_> = (0..40).map(|n| at(&format!("group {n}"), n)).collect();
        let restored = restore_groups(&packed(&kept), 7, 9, |topic, found, partition| {
            assert_eq!((topic, found, partition), ("t", id, 0));
            Some(Offset::new(39))
        });
        let restored = restored.expect("restored");
        let mut expected = kept.clone();
        expected.sort();
        assert_eq!(records(&restored), expected, "every byte of key and value");
        assert_eq!((restored.offsets, restored.cut.len(), restored.partitions.len()), (40, 0, 7));

        let restored = restore_groups(&packed(&kept), 7, 9, |_, _, _| Some(Offset::new(38)));
        let restored = restored.expect("restored");
        assert_eq!(restored.cut.len(), 1);
        let told = &restored.cut[0];
        assert_eq!((told.committed.get(), told.end.get()), (39, 38));
        let cut = Committed { offset: 38, leader_epoch: -1, ..committed(0, id) };
        let cut = record::offset("group 39", "t", 0, Some(&cut));
        assert!(records(&restored).contains(&cut), "with its words, without its epoch");
    }

    #[test]
    fn offsets_of_topics_that_are_no_more_are_forgotten() {
        let kept = [record::offset("g", "gone", 1, Some(&committed(3, TopicId::random())))];
        let restored = restore_groups(&packed(&kept), 2, 9, |_, _, _| None).expect("restored");
        assert_eq!((restored.offsets, restored.forgotten), (0, 1));
        assert!(records(&restored).is_empty());
    }

    #[test]
    fn bytes_that_are_no_snapshot_are_an_error_and_never_a_panic() {
        let kept = [record::offset("g", "t", 1, Some(&committed(3, TopicId::ZERO)))];
        let good = packed(&kept);
        let restore = |bytes: Bytes| restore_groups(&bytes, 2, 9, |_, _, _| Some(Offset::ZERO));
        for at in 1..good.len() {
            assert!(restore(good.slice(..at)).is_err(), "cut at {at}");
        }
        for at in 0..good.len() {
            let mut damaged = good.to_vec();
            damaged[at] ^= 0x40;
            drop(restore(damaged.into()));
        }
    }
}

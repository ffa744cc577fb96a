//! A segment to and from a row. Numbers of states are the format of the table.

use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::ManifestError;
use crate::ids::{LeaderEpoch, Offset, SegmentId, TopicId};
use crate::partition::PartitionKey;
use crate::segment::{LocalState, ObjectSpan, RemoteState, Segment};

/// A query that gives rows: all of it but the condition.
macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT t.name, s.topic_id, s.partition, s.base_offset, s.end_offset, s.object_base, \
             s.object_end, s.first_timestamp_ms, s.max_timestamp_ms, s.size, s.leader_epoch, \
             s.epochs, s.segment_id, s.log_crc, s.sealed_ms, s.local_state, s.remote_state \
             FROM segments s JOIN topics t ON t.topic_id = s.topic_id WHERE ",
            $condition
        )
    };
}
pub(super) use select;

/// Reads one row of a [`select`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Segment> {
    let name: String = row.get(0)?;
    let offset = |column| Ok::<_, rusqlite::Error>(Offset::new(row.get(column)?));
    Ok(Segment {
        partition: PartitionKey::new(name, TopicId::from_bytes(row.get(1)?), row.get(2)?),
        base: offset(3)?,
        end: offset(4)?,
        object: ObjectSpan { base: offset(5)?, end: offset(6)? },
        first_timestamp_ms: row.get(7)?,
        max_timestamp_ms: row.get(8)?,
        size: u64::try_from(row.get::<_, i64>(9)?).map_err(|error| wrong(9, error))?,
        leader_epoch: LeaderEpoch::new(row.get(10)?),
        epochs: read_epochs(row.get_ref(11)?.as_blob()?),
        segment_id: SegmentId::from_bytes(row.get(12)?),
        log_crc: row.get(13)?,
        sealed_ms: row.get(14)?,
        local: local_of(row.get(15)?)?,
        remote: remote_of(row.get(16)?)?,
    })
}

/// Writes a row, over one that has the same key.
pub(super) fn write(
    connection: &Connection,
    segment: &Segment,
    now_ms: i64,
) -> Result<(), ManifestError> {
    write_all(connection, &segment.partition, std::iter::once(segment), now_ms)
}

/// Writes rows of one partition, over those that have the same keys.
pub(super) fn write_all<'a>(
    connection: &Connection,
    partition: &PartitionKey,
    segments: impl Iterator<Item = &'a Segment>,
    now_ms: i64,
) -> Result<(), ManifestError> {
    let mut topic = connection.prepare_cached(
        "INSERT INTO topics (topic_id, name) VALUES (?1, ?2) \
         ON CONFLICT (topic_id) DO UPDATE SET name = excluded.name WHERE name <> excluded.name",
    )?;
    let (topic_id, number) = partition.id();
    topic.execute(params![topic_id.as_bytes(), &*partition.topic])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO segments (topic_id, partition, base_offset, end_offset, \
         object_base, object_end, first_timestamp_ms, max_timestamp_ms, size, leader_epoch, \
         epochs, segment_id, log_crc, sealed_ms, changed_ms, local_state, remote_state) \
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17) \
         ON CONFLICT (topic_id, partition, base_offset) DO UPDATE SET end_offset = ?4, \
         object_base = ?5, object_end = ?6, first_timestamp_ms = ?7, max_timestamp_ms = ?8, \
         size = ?9, leader_epoch = ?10, epochs = ?11, segment_id = ?12, log_crc = ?13, \
         sealed_ms = ?14, changed_ms = ?15, local_state = ?16, remote_state = ?17",
    )?;
    for segment in segments {
        let size =
            i64::try_from(segment.size).map_err(|_| ManifestError::NotASegment("its size"))?;
        insert.execute(params![
            topic_id.as_bytes(),
            number,
            segment.base.get(),
            segment.end.get(),
            segment.object.base.get(),
            segment.object.end.get(),
            segment.first_timestamp_ms,
            segment.max_timestamp_ms,
            size,
            segment.leader_epoch.get(),
            write_epochs(&segment.epochs),
            segment.segment_id.as_bytes(),
            segment.log_crc,
            segment.sealed_ms,
            now_ms,
            local_number(segment.local),
            remote_number(segment.remote),
        ])?;
    }
    Ok(())
}

/// Writes what a legal change makes of a row: its states, and the attempt when a fresh one begins. Only
/// the indexes with what changes are touched: that of ids lies in random order, and a page of it for each
/// row is most of what an expiry would write.
pub(super) fn update(
    connection: &Connection,
    known: &Segment,
    next: &Segment,
    now_ms: i64,
) -> Result<(), ManifestError> {
    let same = Segment { local: next.local, remote: next.remote, ..known.clone() };
    if same != *next {
        return write(connection, next, now_ms);
    }
    let mut update = connection.prepare_cached(
        "UPDATE segments SET local_state = ?4, remote_state = ?5, changed_ms = ?6 \
         WHERE topic_id = ?1 AND partition = ?2 AND base_offset = ?3",
    )?;
    let (topic_id, partition) = next.partition.id();
    let (local, remote) = (local_number(next.local), remote_number(next.remote));
    let base = next.base.get();
    update.execute(params![topic_id.as_bytes(), partition, base, local, remote, now_ms])?;
    Ok(())
}

/// Removes a row.
pub(super) fn remove(connection: &Connection, segment: &Segment) -> Result<(), ManifestError> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM segments WHERE topic_id = ?1 AND partition = ?2 AND base_offset = ?3",
    )?;
    let (topic_id, partition) = segment.partition.id();
    delete.execute(params![topic_id.as_bytes(), partition, segment.base.get()])?;
    Ok(())
}

/// The number of a remote state in the table.
pub(super) fn remote_number(state: RemoteState) -> i64 {
    match state {
        RemoteState::None => 0,
        RemoteState::Uploading => 1,
        RemoteState::Live => 2,
        RemoteState::Deleting => 3,
    }
}

/// The number of a local state in the table.
pub(super) fn local_number(state: LocalState) -> i64 {
    match state {
        LocalState::Present => 0,
        LocalState::Gone => 1,
    }
}

pub(super) fn local_of(number: i64) -> rusqlite::Result<LocalState> {
    match number {
        0 => Ok(LocalState::Present),
        1 => Ok(LocalState::Gone),
        _ => Err(rusqlite::Error::IntegralValueOutOfRange(15, number)),
    }
}

pub(super) fn remote_of(number: i64) -> rusqlite::Result<RemoteState> {
    match number {
        0 => Ok(RemoteState::None),
        1 => Ok(RemoteState::Uploading),
        2 => Ok(RemoteState::Live),
        3 => Ok(RemoteState::Deleting),
        _ => Err(rusqlite::Error::IntegralValueOutOfRange(16, number)),
    }
}

fn write_epochs(epochs: &[(LeaderEpoch, Offset)]) -> Vec<u8> {
    let entry = |(epoch, start): &(LeaderEpoch, Offset)| {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&epoch.get().to_be_bytes());
        bytes[4..].copy_from_slice(&start.get().to_be_bytes());
        bytes
    };
    epochs.iter().flat_map(entry).collect()
}

/// The table's CHECK holds the length to whole entries.
fn read_epochs(blob: &[u8]) -> Vec<(LeaderEpoch, Offset)> {
    let (entries, _) = blob.as_chunks::<12>();
    let entry = |[a, b, c, d, rest @ ..]: &[u8; 12]| {
        let epoch = LeaderEpoch::new(i32::from_be_bytes([*a, *b, *c, *d]));
        (epoch, Offset::new(i64::from_be_bytes(*rest)))
    };
    entries.iter().map(entry).collect()
}

fn wrong(column: usize, error: std::num::TryFromIntError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, Box::new(error))
}

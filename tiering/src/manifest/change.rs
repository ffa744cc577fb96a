//! Changes of rows, each inside the writer's transaction.

use rusqlite::Connection;

use super::transition::{self, Change, Next};
use super::{ManifestError, RowRange, invariants, query, row};
use crate::ids::{Offset, SegmentId, TopicId};
use crate::key;
use crate::partition::PartitionKey;
use crate::segment::{LocalState, RemoteState, Segment};

/// Rows of a dropped partition in one transaction.
const DROP_PAGE: usize = 1000;

/// What a reconcile found for one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct PieceChange {
    /// Upload attempts whose rows are replaced by `pieces`.
    pub(crate) replaces: Vec<SegmentId>,
    /// The live rows that take their place, free of overlap.
    pub(crate) pieces: Vec<Segment>,
    /// Rows of local segments that have nothing remote.
    pub(crate) local_only: Vec<Segment>,
}

pub(super) fn insert_sealed(
    connection: &Connection,
    segment: &Segment,
    now_ms: i64,
) -> Result<(), ManifestError> {
    check_segment(segment)?;
    let known = query::at(connection, segment.partition.id(), segment.base)?;
    match known {
        None => row::write(connection, segment, now_ms),
        // Sealed again after a truncation: what was recorded before describes no file any more.
        Some(old) if old.remote == RemoteState::None => row::write(connection, segment, now_ms),
        Some(old)
            if old.local == LocalState::Present
                && old.remote != RemoteState::Deleting
                && (old.end, old.size) == (segment.end, segment.size) =>
        {
            Ok(())
        }
        Some(old)
            if old.local == LocalState::Gone
                && (old.end, old.size) == (segment.end, segment.size) =>
        {
            let partition = segment.partition.to_string();
            Err(ManifestError::GivenUp { partition, base: segment.base })
        }
        Some(old) => Err(ManifestError::Overlap {
            partition: segment.partition.to_string(),
            base: segment.base,
            end: segment.end,
            other: old.base,
        }),
    }
}

pub(super) fn apply(
    connection: &Connection,
    id: (TopicId, i32),
    base: Offset,
    attempt: Option<SegmentId>,
    change: &Change,
    now_ms: i64,
    partition: &str,
) -> Result<Segment, ManifestError> {
    let known = query::at(connection, id, base)?;
    let known =
        known.ok_or_else(|| ManifestError::NoRow { partition: partition.to_owned(), base })?;
    if let Some(wanted) = attempt
        && wanted != known.segment_id
    {
        let found = known.segment_id;
        return Err(ManifestError::OtherAttempt {
            partition: partition.into(),
            base,
            wanted,
            found,
        });
    }
    write_next(connection, &known, change, now_ms)?;
    Ok(known)
}

fn write_next(
    connection: &Connection,
    known: &Segment,
    change: &Change,
    now_ms: i64,
) -> Result<(), ManifestError> {
    let next = transition::next(known, change).map_err(|change| ManifestError::Illegal {
        partition: known.partition.to_string(),
        base: known.base,
        change,
    })?;
    match next {
        Next::Unchanged => Ok(()),
        Next::Removed => row::remove(connection, known),
        Next::Row(next) => {
            if matches!(next.remote, RemoteState::Uploading | RemoteState::Live) {
                invariants::no_live_overlap(connection, &next)?;
            }
            row::update(connection, known, &next, now_ms)
        }
    }
}

pub(super) fn replace_live(
    connection: &Connection,
    partition: &PartitionKey,
    found: &PieceChange,
    now_ms: i64,
) -> Result<(), ManifestError> {
    let known = all_rows(connection, partition.id())?;
    if known.is_empty() {
        return insert_fresh(connection, partition, found, now_ms);
    }
    for known in known {
        let replaced = known.is_live() && found.replaces.contains(&known.segment_id);
        let rebuilt = |piece: &Segment| piece.base == known.base;
        let local_again = known.remote == RemoteState::None && found.pieces.iter().any(rebuilt);
        if replaced || local_again {
            row::remove(connection, &known)?;
        }
    }
    for piece in found.pieces.iter().chain(&found.local_only) {
        check_segment(piece)?;
        if query::at(connection, partition.id(), piece.base)?.is_some() {
            continue;
        }
        if piece.is_live() {
            invariants::no_live_overlap(connection, piece)?;
        }
        row::write(connection, piece, now_ms)?;
    }
    Ok(())
}

/// Adds rows of segments that another process uploaded.
pub(super) fn add_live(
    connection: &Connection,
    partition: &PartitionKey,
    found: &[Segment],
    now_ms: i64,
) -> Result<(), ManifestError> {
    for segment in found {
        check_segment(segment)?;
        invariants::no_live_overlap(connection, segment)?;
        row::write_all(connection, partition, std::iter::once(segment), now_ms)?;
    }
    Ok(())
}

/// Rows of a partition that has none: nothing can be in their way but they themselves, so they are
/// checked against each other, not by a query each.
fn insert_fresh(
    connection: &Connection,
    partition: &PartitionKey,
    found: &PieceChange,
    now_ms: i64,
) -> Result<(), ManifestError> {
    let mut live_until = Offset::new(-1);
    for piece in &found.pieces {
        check_segment(piece)?;
        if piece.base <= live_until {
            return Err(ManifestError::Overlap {
                partition: partition.to_string(),
                base: piece.base,
                end: piece.end,
                other: live_until,
            });
        }
        live_until = piece.end;
    }
    found.local_only.iter().try_for_each(check_segment)?;
    if found.pieces.is_empty() && found.local_only.is_empty() {
        return Ok(());
    }
    row::write_all(connection, partition, found.pieces.iter().chain(&found.local_only), now_ms)
}

/// Drops a page of rows from `from` on; gives where the next page begins, if there is one.
pub(super) fn drop_rows(
    connection: &Connection,
    id: (TopicId, i32),
    from: Offset,
    now_ms: i64,
) -> Result<Option<Offset>, ManifestError> {
    let page = RowRange { from, to: Offset::MAX, remote: None, limit: DROP_PAGE };
    let rows = query::rows(connection, id, &page)?;
    rows.iter().try_for_each(|row| write_next(connection, row, &Change::DropPartition, now_ms))?;
    let full = rows.len() == DROP_PAGE;
    Ok(rows.last().filter(|_| full).map(|last| last.base.next()))
}

fn all_rows(connection: &Connection, id: (TopicId, i32)) -> Result<Vec<Segment>, ManifestError> {
    let all = RowRange { from: Offset::ZERO, to: Offset::MAX, remote: None, limit: usize::MAX };
    query::rows(connection, id, &all)
}

/// Whether a row can describe it.
pub(crate) fn is_segment(segment: &Segment) -> bool {
    check_segment(segment).is_ok()
}

fn check_segment(segment: &Segment) -> Result<(), ManifestError> {
    let wrong = |what| Err(ManifestError::NotASegment(what));
    if key::check_topic(&segment.partition.topic).is_err() {
        return wrong("the topic's name does not fit object names");
    }
    if segment.partition.partition < 0 {
        return wrong("the partition's number is negative");
    }
    if segment.base < Offset::ZERO || segment.end < segment.base || segment.end == Offset::MAX {
        return wrong("its offsets are no range");
    }
    if segment.size == 0 || i64::try_from(segment.size).is_err() {
        return wrong("its size is not that of a log file");
    }
    if segment.epochs.len() > EPOCHS_MAX {
        return wrong("it has more leader epochs than an index object takes");
    }
    Ok(())
}

/// Keeps the header of an index object under its bound.
const EPOCHS_MAX: usize = 50_000;

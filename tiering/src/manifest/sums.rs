//! What rows add up to. The table `sums` is kept by triggers, by partition and state, within each change.
//!
//! Invariant: nothing in here walks rows. What a request or a scrape asks costs the same whatever the
//! history: one row of `sums` for each partition and state, and the ends of indexes.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::{ManifestError, row};
use crate::ids::{Offset, TopicId};
use crate::segment::{LocalState, RemoteState};

/// What the live segments of a partition add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset of the first live segment.
    pub first_offset: Option<Offset>,
    /// The last offset of the last live segment, inclusive.
    pub end_offset: Option<Offset>,
    /// How many live segments there are.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
    /// The largest timestamp in them, in milliseconds; -1 when none carries one.
    pub max_timestamp_ms: i64,
    /// The first timestamp of the first one, in milliseconds, or its largest one where only the object's
    /// name is known; -1 when its records carry none.
    pub first_timestamp_ms: i64,
}

/// How many segments are in each state, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Present here, not uploaded.
    pub local_only: Count,
    /// Being uploaded.
    pub uploading: Count,
    /// Live in the store and present here.
    pub live_and_local: Count,
    /// Live in the store only.
    pub live_only: Count,
    /// Being deleted.
    pub deleting: Count,
}

/// A number of segments and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Segments.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
}

/// What the segments of one topic add up to that are in one state of the remote tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSum {
    /// The topic's name. Two topics have the same one while an earlier one is being deleted.
    pub topic: Arc<str>,
    /// The state.
    pub remote: RemoteState,
    /// How many, and how large.
    pub count: Count,
}

/// One statement, so that all of it is of one moment.
pub(super) fn bounds(
    connection: &Connection,
    (topic_id, partition): (TopicId, i32),
) -> Result<Bounds, ManifestError> {
    macro_rules! end {
        ($column:literal, $order:literal) => {
            concat!(
                "(SELECT ",
                $column,
                " FROM segments WHERE topic_id = ?1 AND partition = ?2 \
                 AND remote_state = 2 ORDER BY ",
                $order,
                " LIMIT 1)"
            )
        };
    }
    const BOUNDS: &str = concat!(
        "SELECT coalesce(sum(segments), 0), coalesce(sum(bytes), 0), ",
        end!("base_offset", "base_offset"),
        ", ",
        end!("end_offset", "base_offset DESC"),
        ", coalesce(",
        end!("max_timestamp_ms", "max_timestamp_ms DESC"),
        ", -1), coalesce(",
        end!("iif(first_timestamp_ms < 0, max_timestamp_ms, first_timestamp_ms)", "base_offset"),
        ", -1) FROM sums WHERE topic_id = ?1 AND partition = ?2 AND remote_state = 2"
    );
    let read = |row: &Row<'_>| {
        let count = count(row, 0)?;
        Ok(Bounds {
            segments: count.segments,
            bytes: count.bytes,
            first_offset: row.get::<_, Option<i64>>(2)?.map(Offset::new),
            end_offset: row.get::<_, Option<i64>>(3)?.map(Offset::new),
            max_timestamp_ms: row.get(4)?,
            first_timestamp_ms: row.get(5)?,
        })
    };
    let mut query = connection.prepare_cached(BOUNDS)?;
    Ok(query.query_row(params![topic_id.as_bytes(), partition], read)?)
}

/// Over all partitions.
pub(super) fn totals(connection: &Connection) -> Result<Totals, ManifestError> {
    let mut query = connection.prepare_cached(
        "SELECT sum(segments), sum(bytes), local_state, remote_state FROM sums GROUP BY 3, 4",
    )?;
    let mut totals = Totals::default();
    let mut found = query.query([])?;
    while let Some(group) = found.next()? {
        let (local, remote) = (row::local_of(group.get(2)?)?, row::remote_of(group.get(3)?)?);
        let sum = match (local, remote) {
            (_, RemoteState::None) => &mut totals.local_only,
            (_, RemoteState::Uploading) => &mut totals.uploading,
            (_, RemoteState::Deleting) => &mut totals.deleting,
            (LocalState::Present, RemoteState::Live) => &mut totals.live_and_local,
            (LocalState::Gone, RemoteState::Live) => &mut totals.live_only,
        };
        let count = count(group, 0)?;
        sum.segments += count.segments;
        sum.bytes += count.bytes;
    }
    Ok(totals)
}

/// By topic and remote state.
pub(super) fn of_topics(connection: &Connection) -> Result<Vec<TopicSum>, ManifestError> {
    let mut query = connection.prepare_cached(
        "SELECT sum(s.segments), sum(s.bytes), t.name, s.remote_state FROM sums s \
         JOIN topics t ON t.topic_id = s.topic_id GROUP BY s.topic_id, s.remote_state",
    )?;
    let read = |row: &Row<'_>| {
        let topic: Arc<str> = row.get::<_, String>(2)?.into();
        Ok(TopicSum { topic, remote: row::remote_of(row.get(3)?)?, count: count(row, 0)? })
    };
    Ok(query.query_map([], read)?.collect::<Result<_, _>>()?)
}

/// Segments and bytes, in two columns that follow each other.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<Count> {
    Ok(Count {
        segments: row.get::<_, i64>(column)?.unsigned_abs(),
        bytes: row.get::<_, i64>(column + 1)?.unsigned_abs(),
    })
}

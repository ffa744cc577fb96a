//! What must hold between rows. Checked inside the transaction that would break it.
//!
//! Among the live rows of one partition no two answer for one offset. (A gap is not refused:
//! compaction and lost objects leave gaps, and readers step over them.)

use rusqlite::{Connection, OptionalExtension as _, params};

use super::ManifestError;
use crate::ids::Offset;
use crate::segment::Segment;

/// Refuses a live row whose offsets another live row answers for.
pub(super) fn no_live_overlap(connection: &Connection, row: &Segment) -> Result<(), ManifestError> {
    // The last live row that starts at or before our end decides: all earlier ones end before it.
    let mut find = connection.prepare_cached(
        "SELECT base_offset, end_offset FROM segments \
         WHERE topic_id = ?1 AND partition = ?2 AND base_offset <= ?3 AND base_offset <> ?4 \
           AND remote_state = 2 ORDER BY base_offset DESC LIMIT 1",
    )?;
    let (topic_id, partition) = row.partition.id();
    let asked = params![topic_id.as_bytes(), partition, row.end.get(), row.base.get()];
    let last: Option<(i64, i64)> =
        find.query_row(asked, |found| Ok((found.get(0)?, found.get(1)?))).optional()?;
    match last {
        Some((base, end)) if end >= row.base.get() => Err(ManifestError::Overlap {
            partition: row.partition.to_string(),
            base: row.base,
            end: row.end,
            other: Offset::new(base),
        }),
        _ => Ok(()),
    }
}

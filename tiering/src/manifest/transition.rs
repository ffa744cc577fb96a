//! The legal life of a row. Pure: a row and a change give the next row, or a refusal.
//!
//! ```text
//!  (present, none) --begin--> (present, uploading) --live--> (present, live) --local gone--> (gone, live)
//!        ^  |                   |  ^ begin again                   |                            |
//!        |  forget              |  (a fresh attempt)               +---------- delete ----------+
//!        |  v                   v abandon, back to none            v                            v
//!        |  no row                                        (present, deleting) --gone--> (gone, deleting)
//!        +------------------- deleted -----------------------------+                            |
//!                                                                          deleted: no row <----+
//! ```
//! Where another process owns the store, a row begins as (gone, live), and is withdrawn when the owner
//! ends the segment. Nothing else is legal. In particular no row is `gone` without having been `live`.

use std::fmt;

use crate::ids::SegmentId;
use crate::segment::{LocalState, RemoteState, Segment};

/// What can happen to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// An upload attempt starts, under a fresh id.
    BeginUpload { attempt: SegmentId, log_crc: u32 },
    /// The attempt is given up and its objects are gone.
    AbandonUpload,
    /// Both objects are written and verified.
    GoLive,
    /// The local file is about to be unlinked.
    LocalGone,
    /// The local file of a segment that is not wanted any more is about to be unlinked.
    Forget,
    /// Nobody shall read the objects any more; they are about to be deleted.
    BeginDelete,
    /// The objects are deleted.
    Deleted,
    /// The whole partition goes, local files included.
    DropPartition,
    /// The objects of a live segment were found missing while the local copy is still there.
    ObjectsMissing,
    /// The store's owner, which is another process, ended the segment: there is nothing to delete.
    Withdrawn,
}

/// What becomes of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Row(Box<Segment>),
    Removed,
    Unchanged,
}

/// A change that the row's state does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IllegalChange {
    local: LocalState,
    remote: RemoteState,
    change: Change,
}

impl fmt::Display for IllegalChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { local, remote, change } = self;
        write!(f, "a segment that is locally {local:?} and remotely {remote:?} takes no {change:?}")
    }
}

/// The next state of `row`.
pub(super) fn next(row: &Segment, change: &Change) -> Result<Next, IllegalChange> {
    use LocalState::{Gone, Present};
    use RemoteState::{Deleting, Live, None, Uploading};

    let to = |local, remote| Ok(Next::Row(Box::new(Segment { local, remote, ..row.clone() })));
    match (row.local, row.remote, change) {
        (Present, None | Uploading, Change::BeginUpload { attempt, log_crc }) => {
            let begun = Segment {
                segment_id: *attempt,
                log_crc: Some(*log_crc),
                remote: Uploading,
                ..row.clone()
            };
            Ok(Next::Row(Box::new(begun)))
        }
        (Present, Uploading, Change::AbandonUpload) => to(Present, None),
        (Present, Uploading, Change::GoLive) => to(Present, Live),
        (Present, Live, Change::LocalGone) => to(Gone, Live),
        (Present, Deleting, Change::LocalGone | Change::Forget) => to(Gone, Deleting),
        (Gone, _, Change::LocalGone | Change::Forget) => Ok(Next::Unchanged),
        (Present, None, Change::Forget | Change::DropPartition) => Ok(Next::Removed),
        (Present, Uploading, Change::Forget) => to(Gone, Deleting),
        (local, Live | Uploading, Change::BeginDelete) => to(local, Deleting),
        (_, Deleting, Change::BeginDelete) => Ok(Next::Unchanged),
        (Present, Deleting, Change::Deleted) => to(Present, None),
        (Gone, Deleting, Change::Deleted) => Ok(Next::Removed),
        (_, Live | Uploading | Deleting, Change::DropPartition) => to(Gone, Deleting),
        (Present, Live, Change::ObjectsMissing) => to(Present, None),
        (Gone, Live, Change::Withdrawn) => Ok(Next::Removed),
        (local, remote, change) => Err(IllegalChange { local, remote, change: change.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, Offset, TopicId};
    use crate::partition::PartitionKey;

    fn row(local: LocalState, remote: RemoteState) -> Segment {
        let key = PartitionKey::new("t", TopicId::from_bytes([1; 16]), 0);
        let span = (Offset::new(0), Offset::new(9));
        let sealed = Segment::sealed(key, span, (0, 0), 1, LeaderEpoch::ZERO, vec![], 0);
        Segment { local, remote, ..sealed }
    }

    const CHANGES: [Change; 10] = [
        Change::BeginUpload { attempt: SegmentId::from_bytes([7; 16]), log_crc: 1 },
        Change::AbandonUpload,
        Change::GoLive,
        Change::LocalGone,
        Change::Forget,
        Change::BeginDelete,
        Change::Deleted,
        Change::DropPartition,
        Change::ObjectsMissing,
        Change::Withdrawn,
    ];

    #[test]
    fn no_change_leads_to_a_gone_local_copy_that_the_store_does_not_have() {
        for local in [LocalState::Present, LocalState::Gone] {
            for remote in [
                RemoteState::None,
                RemoteState::Uploading,
                RemoteState::Live,
                RemoteState::Deleting,
            ] {
                if local == LocalState::Gone
                    && !matches!(remote, RemoteState::Live | RemoteState::Deleting)
                {
                    continue;
                }
                for change in &CHANGES {
                    if let Ok(Next::Row(next)) = next(&row(local, remote), change) {
                        let kept = next.local == LocalState::Present
                            || matches!(next.remote, RemoteState::Live | RemoteState::Deleting);
                        assert!(kept, "{local:?} {remote:?} {change:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_a_live_segment_may_lose_its_local_copy_and_be_read_on() {
        for remote in [RemoteState::None, RemoteState::Uploading] {
            assert!(next(&row(LocalState::Present, remote), &Change::LocalGone).is_err());
        }
        let gone = next(&row(LocalState::Present, RemoteState::Live), &Change::LocalGone);
        assert!(matches!(gone, Ok(Next::Row(row)) if row.is_live()));
        let lost = next(&row(LocalState::Gone, RemoteState::Live), &Change::ObjectsMissing);
        assert!(lost.is_err(), "a missing last copy is reported, never written off");
    }

    #[test]
    fn an_upload_that_was_overtaken_by_a_deletion_cannot_go_live() {
        let overtaken = next(&row(LocalState::Present, RemoteState::Deleting), &Change::GoLive);
        let told = overtaken.unwrap_err().to_string();
        assert_eq!(told, "a segment that is locally Present and remotely Deleting takes no GoLive");
    }
}

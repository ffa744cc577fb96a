//! One partition, brought to where its leader is as far as the store shows it.
//!
//! ```text
//! rows of new segments -> the end moves, and who waits for it is woken -> the log start moves -> rows
//! below it go
//! ```
//! A look that is broken off between any two of them is made again by the next one.

use std::sync::Arc;

use icecore_tiering::{Follow, ReadError, Segment, Tiering};

use super::look::LookError;
use super::told::ToldPartition;
use crate::app::restore::epochs_of;
use crate::model::{LeaderEpoch, Offset, TopicId};
use crate::replica::{FollowTo, Partition, Replicas};

/// So often in a row a hole has to be seen before it counts as real: with the defaults that is longer
/// than the broker takes to tell where its log starts.
const HOLE_LOOKS: u32 = 12;

/// How a partition stood when it was looked at last.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    /// Which topic's it is: another one may have its name.
    pub(super) topic: TopicId,
    /// The highest that is known.
    pub(super) leader_epoch: LeaderEpoch,
    /// Whether the store has more than its lists show.
    pub(super) behind: bool,
    /// Whether it was brought to its leader's end before.
    pub(super) known: bool,
    /// The hole that holds it up, and how often it was seen.
    hole: Option<((Offset, Offset), u32)>,
}

impl Stand {
    /// Of one that was never looked at.
    pub(super) fn new(topic: TopicId) -> Self {
        let leader_epoch = LeaderEpoch::ZERO;
        Self { topic, leader_epoch, behind: false, known: false, hole: None }
    }

    fn steps_over_holes(&self) -> bool {
        self.hole.is_some_and(|(_, looks)| looks >= HOLE_LOOKS)
    }

    /// Notes the hole that was met, if there is one.
    fn meets(&mut self, hole: Option<(Offset, Offset)>) {
        self.hole = hole.map(|hole| match self.hole {
            Some((before, looks)) if before == hole => (hole, looks + 1),
            _ => (hole, 1),
        });
    }
}

/// How closely it is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// List it whatever was told of it.
    pub(super) list: bool,
    /// A reader met an object that is gone: ask for the logs by their names.
    pub(super) suspect: bool,
}

/// Follows one partition.
pub(super) async fn follow(
    tiering: &Arc<Tiering>,
    replicas: &Replicas,
    told: &ToldPartition,
    mut stand: Stand,
    how: How,
) -> Result<Stand, LookError> {
    let hosted = replicas.partition(&told.name.topic, told.name.partition);
    let Some(partition) = hosted.filter(|one| one.topic_id() == stand.topic) else {
        stand.behind = true;
        return Ok(stand);
    };
    let log = partition.log();
    let mut start = told.log_start.max(log.log_start());
    let end = log.local().log_end();
    let mut next = end.max(start);
    stand.leader_epoch = stand.leader_epoch.max(told.leader_epoch).max(partition.leader_epoch());
    let more = told.last.is_some_and(|last| last.end >= next);
    let listed = how.list || more || !stand.known || stand.hole.is_some();
    if listed {
        next = list(tiering, told, &mut stand, next).await?;
    }
    if how.suspect {
        // With no log left, nothing of what is known can be read any more.
        start = start.max(tiering.first_there(&told.key).await?.unwrap_or(next));
    }
    // What lies before the first segment is in the store no more.
    if (listed || how.suspect)
        && let Some(first) = tiering.next_after(&told.key, Offset::new(-1)).await?
        && first.end >= start
    {
        start = start.max(first.base);
    }
    if next > end || !stand.known || stand.leader_epoch > partition.leader_epoch() {
        move_to(tiering, replicas, &partition, next, &mut stand).await?;
    }
    if start > log.log_start() || !stand.known || how.suspect {
        replicas.follow_log_start(&partition, start).await?;
    }
    stand.known = true;
    Ok(stand)
}

/// Takes in what a list shows; gives the offset after the last that is known.
async fn list(
    tiering: &Tiering,
    told: &ToldPartition,
    stand: &mut Stand,
    next: Offset,
) -> Result<Offset, LookError> {
    let over_holes = stand.steps_over_holes();
    let followed = tiering.follow(&told.key, Follow { next, over_holes }).await?;
    stand.leader_epoch = stand.leader_epoch.max(followed.leader_epoch);
    if followed.damaged.count > 0 {
        let names = &followed.damaged.names;
        tracing::warn!(partition = %told.name, ?names, "objects are damaged, or not what their names say");
    }
    if let (Some((from, to)), true) = (followed.hole, over_holes) {
        tracing::warn!(partition = %told.name, %from, %to, "the store has no segment with these offsets: they are passed over");
    }
    let held_up = followed.hole.filter(|_| !over_holes);
    stand.meets(held_up);
    // The last log that its broker told of, by its name: it may be gone by now.
    let unseen = told.last.filter(|last| last.end >= followed.next);
    stand.behind = held_up.is_some()
        || match unseen {
            Some(last) => tiering.has_object(&told.key, &last).await?,
            None => false,
        };
    Ok(followed.next)
}

async fn move_to(
    tiering: &Arc<Tiering>,
    replicas: &Replicas,
    partition: &Arc<Partition>,
    end: Offset,
    stand: &mut Stand,
) -> Result<(), LookError> {
    let epochs = match tiering.last(&partition.tier_key()).await? {
        Some(last) => epochs(tiering, &last).await?,
        None => Vec::new(),
    };
    let latest = epochs.last().map(|(epoch, _)| *epoch);
    stand.leader_epoch = stand.leader_epoch.max(latest.unwrap_or(LeaderEpoch::ZERO));
    let leader_epoch = stand.leader_epoch;
    replicas.follow(partition, FollowTo { end, epochs, leader_epoch }).await?;
    Ok(())
}

/// The leader epochs up to the end of a segment. What a damaged index knew of them is lost.
async fn epochs(
    tiering: &Arc<Tiering>,
    last: &Segment,
) -> Result<Vec<(LeaderEpoch, Offset)>, ReadError> {
    match tiering.index(last).await {
        Ok(bundle) => Ok(epochs_of(&bundle, last)),
        Err(error @ (ReadError::Damaged { .. } | ReadError::Gone { .. })) => {
            tracing::warn!(partition = %last.partition, %error, "earlier leader epochs are not known");
            Ok(last.epochs.clone())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_real_only_once_the_same_one_was_seen_again_and_again() {
        let hole = |from, to| Some((Offset::new(from), Offset::new(to)));
        let mut stand = Stand::new(TopicId::random());
        for looks in 1..=HOLE_LOOKS {
            assert!(!stand.steps_over_holes(), "after {looks}");
            stand.meets(hole(10, 19));
        }
        assert!(stand.steps_over_holes());
        stand.meets(hole(10, 14));
        assert!(!stand.steps_over_holes(), "it was filled in part: it is another one");
        stand.meets(None);
        assert!(!stand.steps_over_holes());
    }
}

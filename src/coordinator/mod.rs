//! Consumer groups (the classic protocol, KIP-62 and after) and their committed offsets.
//!
//! A group lives in the shard that its name hashes to; a shard is a partition of
//! `__consumer_offsets`. A request turns a shard's state into records and answers, and no answer
//! leaves before every record that the state it tells of stands on is on stable storage: what a
//! client was told is what a replay gives back.

mod ask;
mod group;
#[cfg(test)]
mod group_tests;
mod groups;
mod load;
mod look;
mod record;
mod room;
mod shard;
mod shard_task;
mod snapshot;
mod step;

pub use ask::{
    CommitAsk, CommitPartition, CommitTopic, DescribedGroup, DescribedMember, JoinAsk, JoinRefused,
    Joined, JoinedMember, LeaveAsk, ListedGroup, MemberRef, SyncAsk, Synced,
};
pub use group::Committed;
pub use groups::{Groups, GroupsParts, Pending};
pub use look::{GROUP_STATES, GroupOffset, GroupsLook};
pub use snapshot::{CutOffset, GroupsSnapshotError, RestoredGroups, restore_groups};
pub use step::Rules;

/// The topic that keeps groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

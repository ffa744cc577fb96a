//! What can be asked of groups, and what they answer: owned values, free of any version.

use bytes::Bytes;

use crate::model::TopicId;
use crate::wire::ErrorCode;

/// A member that wants to be in the next generation.
#[derive(Clone, Debug)]
pub struct JoinAsk {
    /// The id it got earlier; empty when it has none.
    pub member_id: String,
    /// The id that it gets if it has none.
    pub fresh_id: String,
    /// Its lasting name, if it is a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Such as `consumer`.
    pub protocol_type: String,
    /// The protocols it can do with its metadata for each, best first.
    pub protocols: Vec<(String, Bytes)>,
    /// Without a word for so long it is taken for dead.
    pub session_timeout_ms: i32,
    /// How long it may take to join again.
    pub rebalance_timeout_ms: i32,
    /// Whether it has to come back with its id before it counts (KIP-394).
    pub known_member_only: bool,
    /// Whether it understands that a leader may be told to assign nothing (KIP-814).
    pub can_skip_assignment: bool,
}

/// A member's place in a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Its id from now on.
    pub member_id: String,
    /// The generation.
    pub generation: i32,
    /// Such as `consumer`.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol: Option<String>,
    /// Who assigns.
    pub leader: String,
    /// Told to a leader whose assignment still holds.
    pub skip_assignment: bool,
    /// All members, for the leader; empty for others.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: String,
    /// Its lasting name.
    pub instance_id: Option<String>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// A join that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why not.
    pub code: ErrorCode,
    /// The id to go on with.
    pub member_id: String,
}

/// A member as it names itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberRef {
    /// Its id.
    pub member_id: String,
    /// Its lasting name.
    pub instance_id: Option<String>,
}

/// A member that wants its assignment; the leader brings everyone's.
#[derive(Clone, Debug)]
pub struct SyncAsk {
    /// Who asks.
    pub member: MemberRef,
    /// The generation it joined.
    pub generation: i32,
    /// What it takes the protocol type for, if it says.
    pub protocol_type: Option<String>,
    /// What it takes the chosen protocol for, if it says.
    pub protocol: Option<String>,
    /// By member id; from the leader only.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Such as `consumer`.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol: Option<String>,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// Members that leave.
#[derive(Clone, Debug)]
pub struct LeaveAsk {
    /// Who.
    pub members: Vec<MemberRef>,
}

/// Offsets to be kept.
#[derive(Clone, Debug)]
pub struct CommitAsk {
    /// Who commits; empty for a consumer that assigns by itself.
    pub member: MemberRef,
    /// The generation it is in; negative for such a consumer.
    pub generation: i32,
    /// What a member of a group that is not there is told.
    pub no_group: ErrorCode,
    /// How long to keep them, if the client says (up to version 4).
    pub retention_ms: Option<i64>,
    /// What to keep.
    pub topics: Vec<CommitTopic>,
}

/// Offsets of one topic.
#[derive(Clone, Debug)]
pub struct CommitTopic {
    /// The topic's name.
    pub name: String,
    /// The topic's identity.
    pub topic_id: TopicId,
    /// By partition.
    pub partitions: Vec<CommitPartition>,
}

/// An offset of one partition.
#[derive(Clone, Debug)]
pub struct CommitPartition {
    /// Its number.
    pub partition: i32,
    /// The next record to read.
    pub offset: i64,
    /// The epoch of the last one read; -1 when not known.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: String,
}

/// A group as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// In Kafka's words.
    pub state: &'static str,
    /// Such as `consumer`.
    pub protocol_type: String,
    /// The chosen protocol; empty while there is none.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: String,
    /// Its lasting name.
    pub instance_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
    /// Its assignment.
    pub assignment: Bytes,
}

/// One line of the list of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub group: String,
    /// Such as `consumer`.
    pub protocol_type: String,
    /// In Kafka's words.
    pub state: &'static str,
}

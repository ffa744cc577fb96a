//! What of a group is kept in records, and how it comes back.
//!
//! A group is written when it becomes stable or empty, and when a static member takes its old
//! place. A rebalance is not: after a restart the group is in its last stable generation, and the
//! members' first requests start the rebalance again.

use bytes::Bytes;

use super::{Group, Member, Phase};
use crate::coordinator::record;
use crate::coordinator::step::{KeptRecord, Now, Step};
use crate::wire::DecodeError;
use crate::wire::messages::coordinator::{GroupMetadataValue, MemberMetadata};

/// A group's record may have so many bytes.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// What a member takes beside its texts and bytes.
const MEMBER_BYTES: usize = 64;

impl Group {
    /// Writes the group as it is now; false when it is too large for a record.
    pub(super) fn keep(&mut self, step: &mut Step) -> bool {
        if self.kept_len() > RECORD_BYTES_MAX {
            return false;
        }
        let value = record::group_value(self);
        self.kept = Some(value.clone());
        step.records.push(record::group_as_kept(&self.name, value));
        true
    }

    fn kept_len(&self) -> usize {
        let member = |(id, member): (&String, &Member)| {
            let texts = id.len() + member.client_id.len() + member.client_host.len();
            let instance = member.instance_id.as_ref().map_or(0, String::len);
            let bytes = member.metadata_for(self.protocol()).len() + member.assignment.len();
            texts + instance + bytes + MEMBER_BYTES
        };
        self.members().map(member).sum()
    }

    /// All records that bring the group back as it was last written.
    pub(in crate::coordinator) fn summary(&self) -> impl Iterator<Item = KeptRecord> + '_ {
        let group = self.kept.clone().map(|value| record::group_as_kept(&self.name, value));
        let offsets = self.offsets.iter().map(|(topic, partition, committed)| {
            record::offset(&self.name, topic, partition, Some(committed))
        });
        group.into_iter().chain(offsets)
    }

    /// Takes over what a record says.
    pub(in crate::coordinator) fn replay(
        &mut self,
        now: Now,
        bytes: Bytes,
    ) -> Result<(), DecodeError> {
        let value: GroupMetadataValue<'_> = record::read_value(&bytes)?;
        self.generation = value.generation;
        self.protocol_type = Some(value.protocol_type.into_owned()).filter(|name| !name.is_empty());
        self.protocol = value.protocol.map(Into::into);
        self.leader = value.leader.map(Into::into);
        self.since_ms = value.current_state_timestamp;
        self.phase = if value.members.is_empty() { Phase::Empty } else { Phase::Stable };
        self.members.clear();
        self.instances.clear();
        for member in value.members {
            let id = member.member_id.clone().into_owned();
            let member = replayed(member, self.protocol.as_deref(), now.tick_ms);
            if let Some(instance) = &member.instance_id {
                self.instances.insert(instance.clone(), id.clone());
            }
            self.members.insert(id, member);
        }
        self.kept = Some(bytes);
        Ok(())
    }

    /// A tombstone: only offsets are left.
    pub(in crate::coordinator) fn replay_no_group(&mut self) {
        let offsets = std::mem::take(&mut self.offsets);
        *self = Self { offsets, ..Self::new(&self.name, self.since_ms) };
    }
}

/// A member as its record tells; its session begins now.
fn replayed(kept: MemberMetadata<'_>, protocol: Option<&str>, tick_ms: i64) -> Member {
    let session = kept.session_timeout;
    let rebalance = if kept.rebalance_timeout < 0 { session } else { kept.rebalance_timeout };
    let protocol = protocol.unwrap_or_default().to_owned();
    Member {
        instance_id: kept.group_instance_id.map(Into::into),
        client_id: kept.client_id.into_owned(),
        client_host: kept.client_host.into_owned(),
        rebalance_timeout_ms: rebalance,
        session_timeout_ms: session,
        protocols: vec![(protocol, Bytes::from(kept.subscription.into_owned()))],
        assignment: Bytes::from(kept.assignment.into_owned()),
        is_new: false,
        synced: true,
        expires: tick_ms + i64::from(session),
        joining: None,
        syncing: None,
    }
}

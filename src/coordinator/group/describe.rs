//! A group as administrators look at it.

use bytes::Bytes;

use super::{Group, Member, Phase};
use crate::coordinator::ask::{DescribedGroup, DescribedMember, ListedGroup};

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Joining { .. } => "PreparingRebalance",
            Self::Syncing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

impl Group {
    /// Which of the states it is in, as [`GroupsLook`] counts them.
    ///
    /// [`GroupsLook`]: crate::coordinator::GroupsLook
    pub(in crate::coordinator) fn state_number(&self) -> usize {
        match self.phase {
            Phase::Empty => 0,
            Phase::Joining { .. } => 1,
            Phase::Syncing => 2,
            Phase::Stable => 3,
        }
    }

    /// One line of the list of groups.
    pub(in crate::coordinator) fn listed(&self) -> ListedGroup {
        ListedGroup {
            group: self.name.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.phase.name(),
        }
    }

    /// Everything; metadata and assignments only while they hold.
    pub(in crate::coordinator) fn described(&self) -> DescribedGroup {
        let stable = self.phase == Phase::Stable;
        let protocol = self.protocol().filter(|_| stable);
        let member = |(id, member): (&String, &Member)| DescribedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata_for(protocol),
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        };
        DescribedGroup {
            state: self.phase.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: self.members().map(member).collect(),
        }
    }
}

//! DescribeGroups.

use std::collections::HashSet;

use super::{Broker, Call};
use crate::coordinator::DescribedMember;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

/// From this version on a group that is not there is an error; before it is "Dead".
const NOT_FOUND_FROM: i16 = 6;
const DEAD: &str = "Dead";

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: DescribeGroupsRequest<'_>,
) -> DescribeGroupsResponse<'static> {
    let (mut groups, mut seen) = (Vec::with_capacity(request.groups.len()), HashSet::new());
    for group in &request.groups {
        // Each once, however often it is named: a large group makes a large answer.
        if seen.insert(group) {
            groups.push(describe(broker, call.version, group).await);
        }
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

async fn describe(broker: &Broker, version: i16, group: &str) -> DescribedGroup<'static> {
    let group_id = group.to_owned().into();
    let described = match broker.groups.describe(group.to_owned()).await {
        Ok(Some(described)) => described,
        Ok(None) => {
            let error = version >= NOT_FOUND_FROM;
            return DescribedGroup {
                error_code: if error { ErrorCode::GroupIdNotFound.as_i16() } else { 0 },
                error_message: error.then(|| format!("Group {group} not found.").into()),
                group_id,
                group_state: DEAD.into(),
                ..Default::default()
            };
        }
        Err(code) => {
            return DescribedGroup { error_code: code.as_i16(), group_id, ..Default::default() };
        }
    };
    DescribedGroup {
        group_id,
        group_state: described.state.into(),
        protocol_type: described.protocol_type.into(),
        protocol_data: described.protocol.into(),
        members: described.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn member(member: DescribedMember) -> DescribedGroupMember<'static> {
    DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(Into::into),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: member.metadata.to_vec().into(),
        member_assignment: member.assignment.to_vec().into(),
    }
}

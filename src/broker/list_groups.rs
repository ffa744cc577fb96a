//! ListGroups.

use super::Broker;
use crate::coordinator;
use crate::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

/// The type of all groups here.
const CLASSIC: &str = "classic";

pub(super) async fn handle(
    broker: &Broker,
    request: ListGroupsRequest<'_>,
) -> ListGroupsResponse<'static> {
    let among = |wanted: &[std::borrow::Cow<'_, str>], value: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let all = match broker.groups.list().await {
        Ok(all) => all,
        Err(code) => return ListGroupsResponse { error_code: code.as_i16(), ..Default::default() },
    };
    let wanted = |group: &coordinator::ListedGroup| {
        among(&request.states_filter, group.state) && among(&request.types_filter, CLASSIC)
    };
    let groups = all.into_iter().filter(wanted).map(listed).collect();
    ListGroupsResponse { groups, ..Default::default() }
}

fn listed(group: coordinator::ListedGroup) -> ListedGroup<'static> {
    ListedGroup {
        group_id: group.group.into(),
        protocol_type: group.protocol_type.into(),
        group_state: group.state.into(),
        group_type: CLASSIC.into(),
    }
}

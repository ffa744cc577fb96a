//! DeleteGroups.

use super::group_ids::check;
use super::{Broker, Call};
use crate::wire::ErrorCode;
use crate::wire::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: DeleteGroupsRequest<'_>,
) -> DeleteGroupsResponse<'static> {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group in &request.groups_names {
        let deleted = match check(group) {
            Ok(()) => broker.groups.delete(group.to_string()).await,
            Err(code) => Err(code),
        };
        if deleted.is_ok() {
            tracing::info!(group = %group, by = %call.client(), "group deleted");
        }
        let code = deleted.err().unwrap_or(ErrorCode::None);
        let group_id = group.clone().into_owned().into();
        results.push(DeletableGroupResult { group_id, error_code: code.as_i16() });
    }
    DeleteGroupsResponse { results, ..Default::default() }
}

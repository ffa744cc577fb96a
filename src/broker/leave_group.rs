//! LeaveGroup.

use super::group_ids::{check_joinable, member};
use super::{Broker, Call};
use crate::coordinator::{LeaveAsk, MemberRef};
use crate::wire::ErrorCode;
use crate::wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

/// From this version on many members can leave at once (KIP-345).
const MANY_FROM: i16 = 3;

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: LeaveGroupRequest<'_>,
) -> LeaveGroupResponse<'static> {
    let members: Vec<MemberRef> = if call.version >= MANY_FROM {
        let named = request.members.iter();
        named.map(|named| member(&named.member_id, named.group_instance_id.as_deref())).collect()
    } else {
        vec![member(&request.member_id, None)]
    };
    let left = match check_joinable(&request.group_id) {
        Ok(()) => {
            let ask = LeaveAsk { members: members.clone() };
            broker.groups.leave(request.group_id.to_string(), ask).await
        }
        Err(code) => Err(code),
    };
    let codes = match left {
        Ok(codes) => codes,
        Err(code) => {
            return LeaveGroupResponse { error_code: code.as_i16(), ..Default::default() };
        }
    };
    if call.version < MANY_FROM {
        let code = codes.first().copied().unwrap_or(ErrorCode::None);
        return LeaveGroupResponse { error_code: code.as_i16(), ..Default::default() };
    }
    let response = |(member, code): (MemberRef, ErrorCode)| MemberResponse {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(Into::into),
        error_code: code.as_i16(),
    };
    let members = members.into_iter().zip(codes).map(response).collect();
    LeaveGroupResponse { members, ..Default::default() }
}

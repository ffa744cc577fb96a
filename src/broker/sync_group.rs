//! SyncGroup: answered when the leader has brought the assignment.

use bytes::Bytes;

use super::group_ids::{check_joinable, member};
use super::{Broker, Call};
use crate::coordinator::{SyncAsk, Synced};
use crate::wire::ErrorCode;
use crate::wire::exchange::{CloseReason, Started};
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

/// From this version on a member has to say what it takes the protocol for.
const PROTOCOL_FROM: i16 = 5;

pub(super) async fn start(broker: &Broker, call: Call) -> Result<Started, CloseReason> {
    let request: SyncGroupRequest<'_> = call.body()?;
    let asked = match check(call.version, &request) {
        Ok(()) => broker.groups.sync(request.group_id.clone().into_owned(), ask(&request)).await,
        Err(code) => Err(code),
    };
    drop(request);
    let pending = match asked {
        Ok(pending) => pending,
        Err(code) => return Ok(Started::Ready(call.reply(&refused(code)))),
    };
    Ok(Started::Pending(Box::pin(async move {
        let response = match pending.wait().await {
            Ok(Ok(synced)) => accepted(synced),
            Ok(Err(code)) | Err(code) => refused(code),
        };
        call.reply(&response)
    })))
}

fn check(version: i16, request: &SyncGroupRequest<'_>) -> Result<(), ErrorCode> {
    check_joinable(&request.group_id)?;
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= PROTOCOL_FROM && !named {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    Ok(())
}

fn ask(request: &SyncGroupRequest<'_>) -> SyncAsk {
    SyncAsk {
        member: member(&request.member_id, request.group_instance_id.as_deref()),
        generation: request.generation_id,
        protocol_type: request.protocol_type.clone().map(Into::into),
        protocol: request.protocol_name.clone().map(Into::into),
        assignments: request
            .assignments
            .iter()
            .map(|given| (given.member_id.to_string(), Bytes::copy_from_slice(&given.assignment)))
            .collect(),
    }
}

fn accepted(synced: Synced) -> SyncGroupResponse<'static> {
    SyncGroupResponse {
        protocol_type: synced.protocol_type.map(Into::into),
        protocol_name: synced.protocol.map(Into::into),
        assignment: synced.assignment.to_vec().into(),
        ..Default::default()
    }
}

fn refused(code: ErrorCode) -> SyncGroupResponse<'static> {
    SyncGroupResponse { error_code: code.as_i16(), ..Default::default() }
}

//! JoinGroup: answered when the next generation is closed, which may take as long as the slowest
//! member.

use bytes::Bytes;

use super::group_ids::{check_joinable, fits};
use super::{Broker, Call};
use crate::coordinator::{JoinAsk, JoinRefused, Joined, JoinedMember};
use crate::wire::ErrorCode;
use crate::wire::exchange::{CloseReason, Started};
use crate::wire::messages::join_group::{
    JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
};

/// From this version on a member has to come back with the id that it was given (KIP-394).
const KNOWN_MEMBER_FROM: i16 = 4;
/// From this version on a leader understands that it has nothing to assign (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// From this version on the protocol may be null.
const NULL_PROTOCOL_FROM: i16 = 7;
/// Before this version a rebalance may take as long as a session.
const REBALANCE_TIMEOUT_FROM: i16 = 1;

/// What a member may say of itself; a group's record holds no more (`coordinator/group/keep.rs`).
const PROTOCOL_BYTES_MAX: usize = 1 << 20;
/// Protocols of one member: each is compared with those of all others.
const PROTOCOLS_MAX: usize = 100;

pub(super) async fn start(broker: &Broker, call: Call) -> Result<Started, CloseReason> {
    let request: JoinGroupRequest<'_> = call.body()?;
    let asked = match check(broker, &request) {
        Ok(()) => {
            let ask = ask(&call, &request);
            broker.groups.join(request.group_id.clone().into_owned(), ask).await
        }
        Err(code) => Err(code),
    };
    let member_id = request.member_id.clone().into_owned();
    drop(request);
    let pending = match asked {
        Ok(pending) => pending,
        Err(code) => {
            return Ok(Started::Ready(call.reply(&refused(call.version, code, member_id))));
        }
    };
    Ok(Started::Pending(Box::pin(async move {
        let response = match pending.wait().await {
            Ok(Ok(joined)) => accepted(joined),
            Ok(Err(JoinRefused { code, member_id })) => refused(call.version, code, member_id),
            Err(code) => refused(call.version, code, member_id),
        };
        call.reply(&response)
    })))
}

fn check(broker: &Broker, request: &JoinGroupRequest<'_>) -> Result<(), ErrorCode> {
    check_joinable(&request.group_id)?;
    let rules = broker.groups.rules();
    let session = i64::from(request.session_timeout_ms);
    if !(rules.session_timeout_min_ms..=rules.session_timeout_max_ms).contains(&session) {
        return Err(ErrorCode::InvalidSessionTimeout);
    }
    let mut texts = request.protocols.iter().map(|protocol| &protocol.name);
    let fit = texts.all(|name| fits(name))
        && fits(&request.protocol_type)
        && fits(&request.member_id)
        && request.group_instance_id.as_deref().is_none_or(fits);
    let lengths = request.protocols.iter().map(|p| p.name.len() + p.metadata.len());
    let bounded =
        request.protocols.len() <= PROTOCOLS_MAX && lengths.sum::<usize>() <= PROTOCOL_BYTES_MAX;
    if fit && bounded { Ok(()) } else { Err(ErrorCode::InvalidRequest) }
}

fn ask(call: &Call, request: &JoinGroupRequest<'_>) -> JoinAsk {
    let client_id = call.client_id();
    let client_id = if fits(client_id) { client_id } else { "" };
    let named = request.group_instance_id.as_deref().unwrap_or(client_id);
    let rebalance_timeout_ms = if call.version >= REBALANCE_TIMEOUT_FROM {
        request.rebalance_timeout_ms
    } else {
        request.session_timeout_ms
    };
    JoinAsk {
        member_id: request.member_id.clone().into_owned(),
        fresh_id: format!("{named}-{}", uuid::Uuid::new_v4()),
        instance_id: request.group_instance_id.clone().map(Into::into),
        client_id: client_id.to_owned(),
        // Kafka shows addresses the way Java does.
        client_host: format!("/{}", call.frame.connection.peer.ip()),
        protocol_type: request.protocol_type.clone().into_owned(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| (protocol.name.to_string(), Bytes::copy_from_slice(&protocol.metadata)))
            .collect(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        known_member_only: call.version >= KNOWN_MEMBER_FROM,
        can_skip_assignment: call.version >= SKIP_ASSIGNMENT_FROM,
    }
}

fn accepted(joined: Joined) -> JoinGroupResponse<'static> {
    let member = |member: JoinedMember| JoinGroupResponseMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(Into::into),
        metadata: member.metadata.to_vec().into(),
    };
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.map(Into::into),
        protocol_name: Some(joined.protocol.unwrap_or_default().into()),
        leader: joined.leader.into(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.into(),
        members: joined.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn refused(version: i16, code: ErrorCode, member_id: String) -> JoinGroupResponse<'static> {
    JoinGroupResponse {
        error_code: code.as_i16(),
        generation_id: -1,
        protocol_name: if version >= NULL_PROTOCOL_FROM { None } else { Some("".into()) },
        member_id: member_id.into(),
        ..Default::default()
    }
}

//! Heartbeat.

use super::Broker;
use super::group_ids::{check_joinable, member};
use crate::wire::ErrorCode;
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub(super) async fn handle(broker: &Broker, request: HeartbeatRequest<'_>) -> HeartbeatResponse {
    let code = hear(broker, &request).await.err().unwrap_or(ErrorCode::None);
    HeartbeatResponse { error_code: code.as_i16(), ..Default::default() }
}

async fn hear(broker: &Broker, request: &HeartbeatRequest<'_>) -> Result<(), ErrorCode> {
    check_joinable(&request.group_id)?;
    let member = member(&request.member_id, request.group_instance_id.as_deref());
    let heard =
        broker.groups.heartbeat(request.group_id.to_string(), member, request.generation_id).await;
    match heard {
        // As Kafka: a member need not do anything about it, the next heartbeat may know more.
        Err(ErrorCode::CoordinatorLoadInProgress) => Ok(()),
        heard => heard,
    }
}

//! FindCoordinator: which broker keeps a group. On one machine it is always this one; the question
//! also makes sure that `__consumer_offsets` is there.

use super::{Broker, Call};
use crate::wire::ErrorCode;
use crate::wire::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

/// Key type of consumer groups; transactions and share groups have coordinators of other kinds.
const KEY_TYPE_GROUP: i8 = 0;
/// From this version on a request asks for many keys (KIP-699).
const MANY_KEYS_FROM: i16 = 4;

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: FindCoordinatorRequest<'_>,
) -> FindCoordinatorResponse<'static> {
    if call.version >= MANY_KEYS_FROM {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in &request.coordinator_keys {
            coordinators.push(find(broker, call, request.key_type, key).await);
        }
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let found = find(broker, call, request.key_type, &request.key).await;
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    }
}

async fn find(broker: &Broker, call: &Call, key_type: i8, key: &str) -> Coordinator<'static> {
    let located = if key_type == KEY_TYPE_GROUP {
        broker.ensure_offsets_topic().await
    } else {
        Err(ErrorCode::InvalidRequest)
    };
    let image = broker.image.load();
    let here = image.brokers.iter().find(|node| node.id == image.controller);
    let reached = here.and_then(|node| Some((node.id, node.endpoint(call.listener())?)));
    let key = key.to_owned().into();
    match (located, reached) {
        (Ok(()), Some((id, endpoint))) => Coordinator {
            key,
            node_id: id.0,
            host: endpoint.host.to_string().into(),
            port: i32::from(endpoint.port),
            ..Default::default()
        },
        (located, _) => {
            let code = located.err().unwrap_or(ErrorCode::CoordinatorNotAvailable);
            Coordinator {
                key,
                node_id: -1,
                port: -1,
                error_code: code.as_i16(),
                error_message: Some(code.message().into()),
                ..Default::default()
            }
        }
    }
}

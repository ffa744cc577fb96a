//! DescribeCluster (KIP-700).

use super::{Broker, Call};
use crate::wire::ErrorCode;
use crate::wire::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

/// The endpoints that clients use; controllers have none of their own here (KIP-919).
const ENDPOINT_BROKERS: i8 = 1;

pub(super) fn handle(
    broker: &Broker,
    call: &Call,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse<'static> {
    if request.endpoint_type != ENDPOINT_BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.as_i16(),
            error_message: Some("this listener answers for brokers only".into()),
            ..Default::default()
        };
    }
    let image = broker.image.load();
    let brokers = image.brokers.iter().filter_map(|node| {
        let endpoint = node.endpoint(call.listener())?;
        Some(DescribeClusterBroker {
            broker_id: node.id.0,
            host: endpoint.host.to_string().into(),
            port: i32::from(endpoint.port),
            rack: node.rack.as_ref().map(|rack| rack.to_string().into()),
            ..Default::default()
        })
    });
    DescribeClusterResponse {
        cluster_id: image.cluster_id.to_string().into(),
        controller_id: image.controller.0,
        brokers: brokers.collect(),
        ..Default::default()
    }
}

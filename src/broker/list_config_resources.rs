//! ListConfigResources (KIP-1142): what DescribeConfigs can be asked about.

use super::describe_configs::{RESOURCE_BROKER, RESOURCE_TOPIC};
use super::{Broker, Call};
use crate::wire::ErrorCode;
use crate::wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

/// Kinds of resources that have no settings here: broker loggers, client metrics, groups.
const WITHOUT_SETTINGS: [i8; 3] = [8, 16, 32];

pub(super) fn handle(
    broker: &Broker,
    call: &Call,
    request: &ListConfigResourcesRequest,
) -> ListConfigResourcesResponse<'static> {
    // Version 0 lists client metrics and nothing else.
    if call.version == 0 {
        return ListConfigResourcesResponse::default();
    }
    let known = |kind: &i8| {
        [RESOURCE_TOPIC, RESOURCE_BROKER].contains(kind) || WITHOUT_SETTINGS.contains(kind)
    };
    if !request.resource_types.iter().all(known) {
        let error_code = ErrorCode::UnsupportedVersion.as_i16();
        return ListConfigResourcesResponse { error_code, ..Default::default() };
    }
    // None named means all.
    let wanted = |kind| request.resource_types.is_empty() || request.resource_types.contains(&kind);
    let image = broker.image.load();
    let brokers = image.brokers.iter().filter(|_| wanted(RESOURCE_BROKER)).map(|node| {
        let resource_name = node.id.0.to_string().into();
        ConfigResource { resource_name, resource_type: RESOURCE_BROKER }
    });
    let topics = image.topics().filter(|_| wanted(RESOURCE_TOPIC)).map(|topic| {
        let resource_name = topic.name.to_string().into();
        ConfigResource { resource_name, resource_type: RESOURCE_TOPIC }
    });
    ListConfigResourcesResponse {
        config_resources: brokers.chain(topics).collect(),
        ..Default::default()
    }
}

//! AlterPartitionReassignments (KIP-455). There is one broker, and every partition is on it: to
//! ask for that is granted, and there is nowhere else to move to and no move to cancel.

use super::Broker;
use crate::metadata::ClusterImage;
use crate::model::BrokerId;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};

pub(super) fn handle(
    broker: &Broker,
    request: &AlterPartitionReassignmentsRequest<'_>,
) -> AlterPartitionReassignmentsResponse<'static> {
    let image = broker.image.load();
    let responses = request.topics.iter().map(|topic| ReassignableTopicResponse {
        name: topic.name.clone().into_owned().into(),
        partitions: topic.partitions.iter().map(|p| answer(&image, &topic.name, p)).collect(),
    });
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        error_message: None,
        responses: responses.collect(),
        ..Default::default()
    }
}

fn answer(
    image: &ClusterImage,
    topic: &str,
    asked: &ReassignablePartition,
) -> ReassignablePartitionResponse<'static> {
    let (error_code, error_message) = match check(image, topic, asked) {
        Ok(()) => (0, None),
        Err((code, message)) => (code.as_i16(), Some(message.into())),
    };
    ReassignablePartitionResponse {
        partition_index: asked.partition_index,
        error_code,
        error_message,
    }
}

fn check(
    image: &ClusterImage,
    topic: &str,
    asked: &ReassignablePartition,
) -> Result<(), (ErrorCode, String)> {
    let unknown = |what: String| (ErrorCode::UnknownTopicOrPartition, what);
    let Some(found) = image.topic(topic) else {
        return Err(unknown(format!("Unable to find a topic named {topic}.")));
    };
    let number = asked.partition_index;
    if found.partition(number).is_none() {
        return Err(unknown(format!("Unable to find partition {topic}:{number}.")));
    }
    let Some(replicas) = &asked.replicas else {
        let code = ErrorCode::NoReassignmentInProgress;
        return Err((code, code.message().to_owned()));
    };
    check_replicas(image, replicas).map_err(|what| {
        let message = format!("The manual partition assignment includes {what}.");
        (ErrorCode::InvalidReplicaAssignment, message)
    })
}

/// What passes is a list of all brokers, and so where the partition is already.
fn check_replicas(image: &ClusterImage, replicas: &[i32]) -> Result<(), String> {
    if replicas.is_empty() {
        return Err("an empty replica list".to_owned());
    }
    let known = |id: i32| image.brokers.iter().any(|broker| broker.id == BrokerId(id));
    if let Some(id) = replicas.iter().find(|id| !known(**id)) {
        return Err(format!("broker {id}, but no such broker is registered"));
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("the broker {} more than once", pair[0])),
        None => Ok(()),
    }
}

//! ElectLeaders (KIP-460). A partition with one replica has its preferred leader at all times, so
//! no election is ever needed, and saying so is the whole answer.

use super::Broker;
use crate::metadata::ClusterImage;
use crate::wire::ErrorCode;
use crate::wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
    TopicPartitions,
};

/// The kinds of elections: the preferred replica, or any when no in-sync one is left.
const ELECTION_TYPES: std::ops::RangeInclusive<i8> = 0..=1;

pub(super) fn handle(
    broker: &Broker,
    request: &ElectLeadersRequest<'_>,
) -> ElectLeadersResponse<'static> {
    if !ELECTION_TYPES.contains(&request.election_type) {
        let error_code = ErrorCode::InvalidRequest.as_i16();
        return ElectLeadersResponse { error_code, ..Default::default() };
    }
    let image = broker.image.load();
    let replica_election_results = match &request.topic_partitions {
        // Of all partitions only those are told whose leader changed or could not.
        None => {
            let unchanged = |name: &str| ReplicaElectionResult {
                topic: name.to_owned().into(),
                partition_result: Vec::new(),
            };
            image.topics().map(|topic| unchanged(&topic.name)).collect()
        }
        Some(topics) => topics.iter().map(|topic| elect(&image, topic)).collect(),
    };
    ElectLeadersResponse { replica_election_results, ..Default::default() }
}

fn elect(image: &ClusterImage, asked: &TopicPartitions<'_>) -> ReplicaElectionResult<'static> {
    let topic = image.topic(&asked.topic);
    let partitions = asked.partitions.iter().map(|number| {
        let (code, message) = match topic.map(|topic| topic.partition(*number)) {
            None => {
                let message = format!("No such topic as {}", asked.topic);
                (ErrorCode::UnknownTopicOrPartition, message)
            }
            Some(None) => {
                let message = format!("No such partition as {}-{number}", asked.topic);
                (ErrorCode::UnknownTopicOrPartition, message)
            }
            Some(Some(_)) => {
                let code = ErrorCode::ElectionNotNeeded;
                (code, code.message().to_owned())
            }
        };
        PartitionResult {
            partition_id: *number,
            error_code: code.as_i16(),
            error_message: Some(message.into()),
        }
    });
    ReplicaElectionResult {
        topic: asked.topic.clone().into_owned().into(),
        partition_result: partitions.collect(),
    }
}

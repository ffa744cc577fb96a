//! CreatePartitions.

use std::collections::HashSet;

use super::{Broker, Call};
use crate::cluster::GrowTopicError;
use crate::coordinator::OFFSETS_TOPIC;
use crate::wire::ErrorCode;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

/// Kafka takes it, and loses sight of its groups at the next start.
const KEEPS_ITS_NUMBER: &str = "the number of partitions of __consumer_offsets says in which of \
    them a group is kept: it is set by offsets.topic.num.partitions before the topic is made, and \
    never changes";

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: CreatePartitionsRequest<'_>,
) -> CreatePartitionsResponse<'static> {
    let (mut seen, mut results) = (HashSet::new(), Vec::with_capacity(request.topics.len()));
    for topic in &request.topics {
        let outcome = if seen.insert(&*topic.name) {
            grow(broker, call, topic, request.validate_only).await
        } else {
            Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()))
        };
        let (error_code, error_message) = match outcome {
            Ok(()) => (0, None),
            Err((code, message)) => (code.as_i16(), Some(message.into())),
        };
        let name = topic.name.clone().into_owned().into();
        results.push(CreatePartitionsTopicResult { name, error_code, error_message });
    }
    CreatePartitionsResponse { results, ..Default::default() }
}

async fn grow(
    broker: &Broker,
    call: &Call,
    topic: &CreatePartitionsTopic<'_>,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    if &*topic.name == OFFSETS_TOPIC && broker.image.load().topic(OFFSETS_TOPIC).is_some() {
        return Err((ErrorCode::InvalidPartitions, KEEPS_ITS_NUMBER.to_owned()));
    }
    let assignments: Option<Vec<_>> = topic
        .assignments
        .as_ref()
        .map(|all| all.iter().map(|assignment| assignment.broker_ids.clone()).collect());
    let (name, partitions) = (topic.name.to_string(), topic.count);
    let grow = broker.controller.grow_topic(name.clone(), partitions, assignments, validate_only);
    grow.await.map_err(|error| (error_code(&error), error.to_string()))?;
    if !validate_only {
        tracing::info!(topic = %name, partitions, by = %call.client(), "topic got more partitions");
    }
    Ok(())
}

fn error_code(error: &GrowTopicError) -> ErrorCode {
    match error {
        GrowTopicError::Unknown(_) => ErrorCode::UnknownTopicOrPartition,
        GrowTopicError::NotMore { .. } => ErrorCode::InvalidPartitions,
        GrowTopicError::TooMany(_) => ErrorCode::PolicyViolation,
        GrowTopicError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        GrowTopicError::Store(_) | GrowTopicError::Host(_) => ErrorCode::KafkaStorageError,
    }
}

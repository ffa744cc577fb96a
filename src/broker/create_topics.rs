//! CreateTopics.

use std::collections::HashMap;

use super::describe_configs::described;
use super::{Broker, Call};
use crate::cluster::{CreateTopic, CreateTopicError, PARTITIONS_PER_REQUEST_MAX};
use crate::metadata::TopicImage;
use crate::wire::ErrorCode;
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: CreateTopicsRequest<'_>,
) -> CreateTopicsResponse<'static> {
    if let Some(message) = too_many(broker, &request) {
        let refuse = |topic: &CreatableTopic<'_>| {
            refused(&topic.name, ErrorCode::PolicyViolation, message.clone())
        };
        let topics = request.topics.iter().map(refuse).collect();
        return CreateTopicsResponse { topics, ..Default::default() };
    }
    let mut named: HashMap<&str, usize> = HashMap::new();
    request.topics.iter().for_each(|topic| *named.entry(&topic.name).or_default() += 1);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        match named.get(&*topic.name) {
            Some(1) => topics.push(create(broker, call, topic, request.validate_only).await),
            // One answer for a name that stands there twice.
            Some(2..) => {
                named.remove(&*topic.name);
                let message = "Duplicate topic name.".to_owned();
                topics.push(refused(&topic.name, ErrorCode::InvalidRequest, message));
            }
            _ => {}
        }
    }
    CreateTopicsResponse { topics, ..Default::default() }
}

/// Whether all topics of the request together are more than one request may make (as in Kafka).
fn too_many(broker: &Broker, request: &CreateTopicsRequest<'_>) -> Option<String> {
    let partitions = |topic: &CreatableTopic<'_>| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len() as i64,
        -1 => i64::from(broker.config.num_partitions()),
        number => i64::from(number.max(0)),
    };
    let asked: i64 = request.topics.iter().map(partitions).sum();
    (asked > i64::from(PARTITIONS_PER_REQUEST_MAX)).then(|| {
        format!(
            "{asked} partitions in one request, more than the most of {PARTITIONS_PER_REQUEST_MAX}"
        )
    })
}

async fn create(
    broker: &Broker,
    call: &Call,
    topic: &CreatableTopic<'_>,
    validate_only: bool,
) -> CreatableTopicResult<'static> {
    if let Some(null) = topic.configs.iter().find(|config| config.value.is_none()) {
        let message = format!("Null value not supported for topic configs: {}", null.name);
        return refused(&topic.name, ErrorCode::InvalidConfig, message);
    }
    let wanted = CreateTopic {
        name: topic.name.clone().into_owned(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|assignment| (assignment.partition_index, assignment.broker_ids.clone()))
            .collect(),
        settings: topic
            .configs
            .iter()
            .map(|c| (c.name.to_string(), c.value.as_deref().unwrap_or_default().to_owned()))
            .collect(),
        validate_only,
    };
    match broker.controller.create_topic(wanted).await {
        Ok(created) => {
            if !validate_only {
                log_created(&created, call);
            }
            accepted(broker, &created)
        }
        Err(error) => refused(&topic.name, error_code(&error), error.to_string()),
    }
}

/// Tells the log of a new topic, and who wanted it.
pub(super) fn log_created(topic: &TopicImage, call: &Call) {
    let (name, partitions, settings) = (&topic.name, topic.partitions.len(), &topic.overrides);
    tracing::info!(topic = %name, partitions, ?settings, by = %call.client(), "topic created");
}

fn accepted(broker: &Broker, topic: &TopicImage) -> CreatableTopicResult<'static> {
    let entries = described(broker, &broker.image.load(), topic).into_iter();
    let configs = entries.map(|entry| CreatableTopicConfigs {
        config_source: entry.source_number(),
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        is_sensitive: false,
    });
    CreatableTopicResult {
        name: topic.name.to_string().into(),
        topic_id: topic.id,
        num_partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        replication_factor: 1,
        configs: Some(configs.collect()),
        ..Default::default()
    }
}

fn refused(name: &str, code: ErrorCode, message: String) -> CreatableTopicResult<'static> {
    CreatableTopicResult {
        name: name.to_owned().into(),
        error_code: code.as_i16(),
        error_message: Some(message.into()),
        configs: Some(Vec::new()),
        ..Default::default()
    }
}

/// The protocol's number for each way to fail.
pub(super) fn error_code(error: &CreateTopicError) -> ErrorCode {
    match error {
        CreateTopicError::Name(_) | CreateTopicError::NameCollides { .. } => {
            ErrorCode::InvalidTopicException
        }
        CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CreateTopicError::Partitions(_) => ErrorCode::InvalidPartitions,
        CreateTopicError::TooManyPartitions(_) => ErrorCode::PolicyViolation,
        CreateTopicError::ReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
        CreateTopicError::AssignmentAndCounts => ErrorCode::InvalidRequest,
        CreateTopicError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        CreateTopicError::Settings(_) => ErrorCode::InvalidConfig,
        CreateTopicError::Store(_) | CreateTopicError::Host(_) => ErrorCode::KafkaStorageError,
    }
}

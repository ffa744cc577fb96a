//! Metadata: brokers, topics, and who leads what; makes topics that are asked for by name where
//! the settings allow it.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Broker, Call};
use crate::cluster::{CreateTopic, CreateTopicError};
use crate::metadata::{ClusterImage, TopicImage};
use crate::model::TopicId;
use crate::wire::ErrorCode;
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: MetadataRequest<'_>,
) -> MetadataResponse<'static> {
    let topics = match request.topics {
        // Version 0 has no null: its empty list means all.
        None => all(&broker.image.load()),
        Some(topics) if call.version == 0 && topics.is_empty() => all(&broker.image.load()),
        Some(topics) => {
            let create = request.allow_auto_topic_creation
                && broker.config.auto_create_topics()
                && !broker.config.read_only();
            let (mut found, mut seen) = (Vec::with_capacity(topics.len()), HashSet::new());
            for topic in topics {
                // Each once, however often it is named: a large topic makes a large answer.
                if seen.insert((topic.topic_id, topic.name.clone())) {
                    found.push(find(broker, call, topic, create).await);
                }
            }
            found
        }
    };
    let image = broker.image.load();
    let brokers = image.brokers.iter().filter_map(|node| {
        let endpoint = node.endpoint(call.listener())?;
        Some(MetadataResponseBroker {
            node_id: node.id.0,
            host: endpoint.host.to_string().into(),
            port: i32::from(endpoint.port),
            rack: node.rack.as_ref().map(|rack| rack.to_string().into()),
        })
    });
    MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(image.cluster_id.to_string().into()),
        controller_id: image.controller.0,
        topics,
        ..Default::default()
    }
}

fn all(image: &ClusterImage) -> Vec<MetadataResponseTopic<'static>> {
    image.topics().map(|topic| describe(topic)).collect()
}

async fn find(
    broker: &Broker,
    call: &Call,
    asked: MetadataRequestTopic<'_>,
    create: bool,
) -> MetadataResponseTopic<'static> {
    let image = broker.image.load();
    if asked.topic_id != TopicId::ZERO || asked.name.is_none() {
        if call.version < 12 {
            // Ids and null names came with version 12 for requests (KIP-516).
            return refused(asked.name.as_deref(), asked.topic_id, ErrorCode::InvalidRequest);
        }
        return image.topic_by_id(asked.topic_id).map_or_else(
            || refused(None, asked.topic_id, ErrorCode::UnknownTopicId),
            |topic| describe(topic),
        );
    }
    let name = asked.name.unwrap_or_default();
    if let Some(topic) = image.topic(&name) {
        return describe(topic);
    }
    if let Err(error) = crate::metadata::check_topic_name(&name) {
        tracing::debug!(name = %name, %error, "metadata asked for a topic that cannot be");
        return refused(Some(&name), TopicId::ZERO, ErrorCode::InvalidTopicException);
    }
    if !create {
        return refused(Some(&name), TopicId::ZERO, ErrorCode::UnknownTopicOrPartition);
    }
    match make(broker, call, &name).await {
        Ok(topic) => describe(&topic),
        Err(code) => refused(Some(&name), TopicId::ZERO, code),
    }
}

/// Creates a topic with the broker's defaults.
async fn make(broker: &Broker, call: &Call, name: &str) -> Result<Arc<TopicImage>, ErrorCode> {
    let wanted = CreateTopic {
        name: name.to_owned(),
        partitions: broker.partitions_for_new_topic(name),
        replication_factor: -1,
        settings: broker.settings_for_new_topic(name),
        ..CreateTopic::default()
    };
    match broker.controller.create_topic(wanted).await {
        Ok(topic) => {
            super::create_topics::log_created(&topic, call);
            Ok(topic)
        }
        // Another request made it meanwhile.
        Err(CreateTopicError::Exists(_)) => {
            broker.image.load().topic(name).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
        }
        Err(error) => {
            tracing::warn!(topic = name, %error, "a topic could not be created automatically");
            Err(super::create_topics::error_code(&error))
        }
    }
}

fn describe(topic: &TopicImage) -> MetadataResponseTopic<'static> {
    let partitions =
        (0..).zip(&topic.partitions).map(|(number, partition)| MetadataResponsePartition {
            partition_index: number,
            leader_id: partition.leader.0,
            leader_epoch: partition.leader_epoch.get(),
            replica_nodes: partition.replicas.iter().map(|id| id.0).collect(),
            isr_nodes: partition.isr.iter().map(|id| id.0).collect(),
            ..Default::default()
        });
    MetadataResponseTopic {
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        ..Default::default()
    }
}

fn refused(
    name: Option<&str>,
    topic_id: TopicId,
    code: ErrorCode,
) -> MetadataResponseTopic<'static> {
    MetadataResponseTopic {
        error_code: code.as_i16(),
        // Null only where the client asked by id: it could not read it otherwise.
        name: name.map(|name| name.to_owned().into()),
        topic_id,
        ..Default::default()
    }
}

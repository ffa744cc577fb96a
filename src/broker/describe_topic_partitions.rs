//! DescribeTopicPartitions (KIP-966): topics and their partitions, a page at a time.

use super::Broker;
use crate::metadata::{TopicImage, check_topic_name};
use crate::wire::ErrorCode;
use crate::wire::messages::describe_topic_partitions::{
    self as messages, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

pub(super) fn handle(
    broker: &Broker,
    request: &DescribeTopicPartitionsRequest<'_>,
) -> DescribeTopicPartitionsResponse<'static> {
    let image = broker.image.load();
    let mut names: Vec<String> = if request.topics.is_empty() {
        image.topics().map(|topic| topic.name.to_string()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.clone().into_owned()).collect()
    };
    names.sort_unstable();
    names.dedup();
    let limit = broker.config.max_request_partition_size_limit();
    let mut left = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, limit);
    let (from_topic, mut from) = request.cursor.as_ref().map_or(("", 0), |cursor| {
        (&*cursor.topic_name, usize::try_from(cursor.partition_index).unwrap_or(0))
    });
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.iter().filter(|name| &***name >= from_topic) {
        if left == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        // The cursor's partition counts for its topic alone, which may be gone by now.
        let first = if &**name == from_topic { std::mem::take(&mut from) } else { 0 };
        let Some(topic) = image.topic(name) else {
            response.topics.push(unknown(name));
            continue;
        };
        let page = describe(topic, first, left);
        left -= page.partitions.len();
        let next = first + page.partitions.len();
        response.topics.push(page);
        if next < topic.partitions.len() {
            response.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    response
}

fn cursor(name: &str, partition: usize) -> messages::Cursor<'static> {
    messages::Cursor {
        topic_name: name.to_owned().into(),
        partition_index: i32::try_from(partition).unwrap_or(i32::MAX),
    }
}

fn describe(
    topic: &TopicImage,
    first: usize,
    limit: usize,
) -> DescribeTopicPartitionsResponseTopic<'static> {
    let partitions = (0..).zip(&topic.partitions).skip(first).take(limit);
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions
            .map(|(number, partition)| DescribeTopicPartitionsResponsePartition {
                partition_index: number,
                leader_id: partition.leader.0,
                leader_epoch: partition.leader_epoch.get(),
                replica_nodes: partition.replicas.iter().map(|id| id.0).collect(),
                isr_nodes: partition.isr.iter().map(|id| id.0).collect(),
                // None, but not null: Kafka's client takes these for lists.
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new()),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic<'static> {
    let code = match check_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: code.as_i16(),
        name: Some(name.to_owned().into()),
        ..Default::default()
    }
}

//! DescribeProducers (KIP-664): the idempotent producers that a partition remembers. There are no
//! transactions, so none has one open. The time of a producer is the one of its last append: that
//! is what it expires by here, whatever its records say.

use std::collections::HashSet;

use super::Broker;
use crate::log::SnapshotEntry;
use crate::wire::ErrorCode;
use crate::wire::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};

pub(super) async fn handle(
    broker: &Broker,
    request: DescribeProducersRequest<'_>,
) -> DescribeProducersResponse<'static> {
    let (mut topics, mut seen) = (Vec::with_capacity(request.topics.len()), HashSet::new());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for number in &topic.partition_indexes {
            // Each once, however often it is named: many producers make a large answer.
            if seen.insert((&*topic.name, *number)) {
                partitions.push(describe(broker, &topic.name, *number).await);
            }
        }
        topics.push(TopicResponse { name: topic.name.clone().into_owned().into(), partitions });
    }
    DescribeProducersResponse { topics, ..Default::default() }
}

async fn describe(broker: &Broker, topic: &str, number: i32) -> PartitionResponse<'static> {
    let found = match broker.replicas.partition(topic, number) {
        None => Err(ErrorCode::UnknownTopicOrPartition),
        Some(partition) => partition.log().last_batches().await.map_err(|error| {
            tracing::error!(topic, number, %error, "the producers could not be looked up");
            ErrorCode::KafkaStorageError
        }),
    };
    match found {
        Ok(last) => PartitionResponse {
            partition_index: number,
            active_producers: last.iter().map(state).collect(),
            ..Default::default()
        },
        Err(code) => PartitionResponse {
            partition_index: number,
            error_code: code.as_i16(),
            error_message: Some(code.message().into()),
            ..Default::default()
        },
    }
}

fn state(last: &SnapshotEntry) -> ProducerState {
    ProducerState {
        producer_id: last.producer.0,
        producer_epoch: last.epoch.0.into(),
        last_sequence: last.last_sequence.0,
        last_timestamp: last.appended_ms,
        coordinator_epoch: -1,
        current_txn_start_offset: -1,
    }
}

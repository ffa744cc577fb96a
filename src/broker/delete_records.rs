//! DeleteRecords (KIP-107): moves the log start offset; what lies below goes later.

use super::{Broker, Call};
use crate::model::Offset;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

/// "Up to the high watermark".
const UP_TO_HIGH_WATERMARK: i64 = -1;

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: DeleteRecordsRequest<'_>,
) -> DeleteRecordsResponse<'static> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let (name, number) = (&topic.name, asked.partition_index);
            let outcome = delete(broker, name, number, asked.offset).await;
            if let Ok(log_start) = outcome {
                let by = call.client();
                tracing::info!(topic = %name, partition = number, %log_start, %by, "records deleted");
            }
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark: outcome.as_ref().map_or(-1, |start| start.get()),
                error_code: outcome.err().map_or(0, |code| code.as_i16()),
            });
        }
        let name = topic.name.clone().into_owned().into();
        topics.push(DeleteRecordsTopicResult { name, partitions });
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

async fn delete(
    broker: &Broker,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Offset, ErrorCode> {
    let partition =
        broker.replicas.partition(topic, partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if crate::metadata::is_internal_topic(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    if !partition.config().deletes() {
        return Err(ErrorCode::PolicyViolation);
    }
    let high_watermark = partition.high_watermark();
    let start = match offset {
        UP_TO_HIGH_WATERMARK => high_watermark,
        offset if offset < 0 || Offset::new(offset) > high_watermark => {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        offset => Offset::new(offset),
    };
    broker.replicas.move_log_start(&partition, start).await.map_err(|error| {
        tracing::error!(partition = %partition.name(), %error, "the log start could not be moved");
        ErrorCode::KafkaStorageError
    })
}

//! Produce: batches are checked and queued in the order in which they came; the acks are awaited
//! apart from that, so that pipelined requests share one write and one sync.

use std::sync::Arc;

use super::{Broker, Call};
use crate::config::{TimestampSource, TopicConfig};
use crate::log::{AppendError, Appended, ProducerError};
use crate::metadata::{ClusterImage, TopicImage};
use crate::metrics::Counter;
use crate::model::TopicId;
use crate::record::{Batch, BatchError, BatchRules, TimestampBounds};
use crate::replica::{AppendReply, Durability, Partition};
use crate::task;
use crate::wire::ErrorCode;
use crate::wire::exchange::{CloseReason, Reply, Started};
use crate::wire::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};

/// Kafka's admin client writes internal topics on purpose; no other client may.
const INTERNAL_TOPIC_CLIENT: &str = "__admin_client";

/// Most bytes that a packed batch of a compacted topic may unpack to.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// A partition's batch on its way.
struct Queued {
    index: i32,
    outcome: Outcome,
}

enum Outcome {
    Refused(Refusal),
    Waiting { reply: AppendReply, append_time: bool, failed: Counter },
}

/// Why a batch was refused, as the client will see it.
struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    /// The records to blame, by their numbers in the batch.
    records: Vec<i32>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

/// The topics of one request, in its order.
struct QueuedTopic {
    name: String,
    id: TopicId,
    partitions: Vec<Queued>,
}

pub(super) async fn start(broker: &Broker, call: Call) -> Result<Started, CloseReason> {
    let request: ProduceRequest<'_> = call.body()?;
    let (acks, image) = (request.acks, broker.image.load());
    let durability = match acks {
        -1 => Durability::Synced,
        0 | 1 => Durability::PageCache,
        _ => {
            return Ok(Started::Ready(refuse_all(&call, &request, ErrorCode::InvalidRequiredAcks)));
        }
    };
    let partitions = request.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
    call.is_about(request.topic_data.len(), partitions);
    let transactional = request.transactional_id.is_some();
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        topics.push(queue_topic(broker, &call, &image, topic, durability, transactional).await);
    }
    drop(request);
    if acks == 0 {
        // Nothing is sent back, but an error has to be told somehow: by closing the connection.
        return Ok(Started::Pending(Box::pin(async move { silent(gather(topics).await) })));
    }
    Ok(Started::Pending(Box::pin(async move { call.reply(&gather(topics).await) })))
}

async fn queue_topic(
    broker: &Broker,
    call: &Call,
    image: &ClusterImage,
    data: &TopicProduceData<'_>,
    durability: Durability,
    transactional: bool,
) -> QueuedTopic {
    let topic = find_topic(image, call, data);
    let mut partitions = Vec::with_capacity(data.partition_data.len());
    for partition in &data.partition_data {
        let queued = match &topic {
            Ok(_) if transactional => Err(ErrorCode::InvalidTxnState.into()),
            Ok(topic) => queue(broker, call, topic, partition, durability).await,
            Err(code) => Err((*code).into()),
        };
        let outcome = match queued {
            Ok(outcome) => outcome,
            Err(refusal) => Outcome::Refused(refusal),
        };
        partitions.push(Queued { index: partition.index, outcome });
    }
    QueuedTopic { name: data.name.clone().into_owned(), id: data.topic_id, partitions }
}

fn find_topic(
    image: &ClusterImage,
    call: &Call,
    data: &TopicProduceData<'_>,
) -> Result<Arc<TopicImage>, ErrorCode> {
    let topic = if call.version >= 13 {
        image.topic_by_id(data.topic_id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        image.topic(&data.name).ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    if topic.is_internal() && call.client_id() != INTERNAL_TOPIC_CLIENT {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(topic.clone())
}

/// Checks one partition's batch and queues it on its append lane.
async fn queue(
    broker: &Broker,
    call: &Call,
    topic: &TopicImage,
    data: &PartitionProduceData<'_>,
    durability: Durability,
) -> Result<Outcome, Refusal> {
    let partition = broker
        .replicas
        .partition(&topic.name, data.index)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let traffic = partition.traffic(&broker.metrics.topics);
    traffic.produce_requests.inc();
    let batch = check(broker, call, topic, &partition, data, durability).await;
    let batch = batch.inspect_err(|_| {
        traffic.failed_produce_requests.inc();
    })?;
    traffic.bytes_in.inc_by(batch.len() as u64);
    traffic.messages_in.inc_by(batch.header().count.unsigned_abs().into());
    let append_time = partition.config().timestamp_source() == TimestampSource::LogAppendTime;
    let failed = traffic.failed_produce_requests.clone();
    let reply = broker.replicas.append(&partition, batch, durability).await;
    Ok(Outcome::Waiting { reply, append_time, failed })
}

/// The batch of one partition, if it may be appended.
async fn check(
    broker: &Broker,
    call: &Call,
    topic: &TopicImage,
    partition: &Partition,
    data: &PartitionProduceData<'_>,
    durability: Durability,
) -> Result<Batch, Refusal> {
    let config = partition.config();
    if durability == Durability::Synced {
        topic.check_in_sync(data.index).map_err(|error| Refusal {
            code: ErrorCode::NotEnoughReplicas,
            message: Some(error.to_string()),
            records: Vec::new(),
        })?;
    }
    let bytes = call.slice(data.records.unwrap_or_default());
    let rules = rules(&config, call.version, broker.clock.now_ms());
    let mut parsed = Batch::parse(bytes, &rules);
    if let Ok(batch) = &parsed
        && batch.hides_keys(&rules)
    {
        parsed = unpacked(broker, batch.clone()).await;
    }
    parsed.map_err(|error| refusal(&topic.name, data.index, &error))
}

/// Looks into a packed batch beside the network threads, few at a time: each needs the memory for
/// what it unpacks to.
async fn unpacked(broker: &Broker, batch: Batch) -> Result<Batch, BatchError> {
    let _one_of_few = broker.unpacking.acquire().await;
    let look = move || batch.check_packed(UNPACKED_BYTES_MAX).map(|()| batch);
    task::aside(look).await
}

fn rules(config: &TopicConfig, version: i16, now_ms: i64) -> BatchRules {
    let (min_ms, max_ms) = config.timestamp_bounds(now_ms);
    BatchRules {
        batch_bytes_max: config.max_message_bytes(),
        segment_bytes_max: config.segment_bytes(),
        key_required: config.is_compacted(),
        zstd_allowed: version >= 7,
        timestamps: TimestampBounds { min_ms, max_ms },
    }
}

fn refusal(topic: &str, partition: i32, error: &BatchError) -> Refusal {
    tracing::debug!(topic, partition, %error, "a batch was refused");
    let code = match error {
        BatchError::Timestamp { .. } => ErrorCode::InvalidTimestamp,
        BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        BatchError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        BatchError::ZstdTooEarly => ErrorCode::UnsupportedCompressionType,
        BatchError::Crc { .. } | BatchError::Length { .. } => ErrorCode::CorruptMessage,
        _ => ErrorCode::InvalidRecord,
    };
    Refusal { code, message: Some(error.to_string()), records: error.records().to_vec() }
}

/// Awaits every ack.
async fn gather(topics: Vec<QueuedTopic>) -> ProduceResponse<'static> {
    let mut responses = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut partition_responses = Vec::with_capacity(topic.partitions.len());
        for queued in topic.partitions {
            partition_responses.push(answer(queued).await);
        }
        responses.push(TopicProduceResponse {
            name: topic.name.into(),
            topic_id: topic.id,
            partition_responses,
        });
    }
    ProduceResponse { responses, ..Default::default() }
}

async fn answer(queued: Queued) -> PartitionProduceResponse<'static> {
    match queued.outcome {
        Outcome::Refused(refusal) => refused(queued.index, refusal),
        Outcome::Waiting { reply, append_time, failed } => {
            let refusal = match reply.await {
                Ok(Ok(appended)) => return accepted(queued.index, &appended, append_time),
                Ok(Err(error)) => append_refusal(&error),
                // The lane ended: the broker is shutting down.
                Err(_) => ErrorCode::NotLeaderOrFollower.into(),
            };
            failed.inc();
            refused(queued.index, refusal)
        }
    }
}

fn accepted(
    index: i32,
    appended: &Appended,
    append_time: bool,
) -> PartitionProduceResponse<'static> {
    PartitionProduceResponse {
        index,
        base_offset: appended.base_offset.get(),
        log_append_time_ms: if append_time { appended.append_time_ms } else { -1 },
        log_start_offset: appended.log_start.get(),
        ..Default::default()
    }
}

fn refused(index: i32, refusal: Refusal) -> PartitionProduceResponse<'static> {
    // The whole batch is to blame where no record is: clients look at the first one then.
    let blamed = match refusal.code {
        ErrorCode::InvalidRecord | ErrorCode::InvalidTimestamp if refusal.records.is_empty() => {
            vec![0]
        }
        _ => refusal.records,
    };
    let blame = |batch_index| BatchIndexAndErrorMessage { batch_index, ..Default::default() };
    PartitionProduceResponse {
        index,
        error_code: refusal.code.as_i16(),
        base_offset: -1,
        error_message: refusal.message.map(Into::into),
        record_errors: blamed.into_iter().map(blame).collect(),
        ..Default::default()
    }
}

fn append_refusal(error: &AppendError) -> Refusal {
    let code = match error {
        AppendError::Producer(ProducerError::OutOfOrder { .. }) => {
            ErrorCode::OutOfOrderSequenceNumber
        }
        AppendError::Producer(ProducerError::Fenced { .. }) => ErrorCode::InvalidProducerEpoch,
        _ => ErrorCode::KafkaStorageError,
    };
    Refusal { code, message: Some(error.to_string()), records: Vec::new() }
}

fn refuse_all(call: &Call, request: &ProduceRequest<'_>, code: ErrorCode) -> Reply {
    let responses = request.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic
            .partition_data
            .iter()
            .map(|partition| refused(partition.index, code.into()))
            .collect(),
    });
    call.reply(&ProduceResponse { responses: responses.collect(), ..Default::default() })
}

/// What `acks=0` gets: nothing, or a closed connection.
fn silent(response: ProduceResponse<'static>) -> Reply {
    let failed = response
        .responses
        .iter()
        .flat_map(|topic| topic.partition_responses.iter().map(move |p| (&topic.name, p)))
        .find(|(_, partition)| partition.error_code != 0);
    match failed {
        None => Reply::None,
        Some((topic, partition)) => Reply::Close(CloseReason::UnackedProduceFailed {
            cause: format!(
                "{topic}-{}: error {} {}",
                partition.index,
                partition.error_code,
                partition.error_message.as_deref().unwrap_or_default(),
            )
            .into(),
        }),
    }
}

//! Batches to the leaders of a topic's partitions, each acknowledged by all replicas.
//!
//! The producer is idempotent: its batches are numbered, and a broker takes each once and in
//! order. Up to five are on their way to one leader, which is what the numbering covers.

use std::collections::{BTreeMap, VecDeque};

use super::connection::{Connection, Sent};
use super::error::ClientError;
use super::metadata::Topic;
use crate::model::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::record::{BatchBuilder, Codec};
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::wire::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};

const IN_FLIGHT_MAX: usize = 5;
const ACKS_ALL: i16 = -1;
const TIMEOUT_MS: i32 = 60_000;

/// An idempotent producer for one topic.
pub(crate) struct Producer {
    topic: String,
    id: ProducerId,
    epoch: ProducerEpoch,
    /// The first number of the next batch, by partition.
    sequences: BTreeMap<i32, Sequence>,
    /// Leaders, and the place of each partition's in them.
    lanes: Vec<Lane>,
    lane_of: BTreeMap<i32, usize>,
    acknowledged: u64,
    /// The offset after the last record that was acknowledged, by partition.
    ends: BTreeMap<i32, Offset>,
}

/// What a later process needs to go on as the same producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerName {
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
}

/// One leader and what is on its way there.
struct Lane {
    connection: Connection,
    in_flight: VecDeque<(Sent, u64)>,
}

impl Producer {
    /// Gets a producer id, and connects to the leaders of all partitions.
    pub(crate) async fn open(broker: &mut Connection, topic: &Topic) -> Result<Self, ClientError> {
        let name = producer_id(broker).await?;
        Self::named(topic, name, BTreeMap::new()).await
    }

    /// Goes on as a producer that has ended: its next batch of a partition has the number in
    /// `sequences`.
    pub(crate) async fn named(
        topic: &Topic,
        name: ProducerName,
        sequences: BTreeMap<i32, Sequence>,
    ) -> Result<Self, ClientError> {
        let (mut lanes, mut lane_of) = (Vec::new(), BTreeMap::new());
        for (address, partitions) in topic.by_leader(&topic.chosen(None)?)? {
            lane_of.extend(partitions.into_iter().map(|partition| (partition, lanes.len())));
            let connection = Connection::open(address).await?;
            lanes.push(Lane { connection, in_flight: VecDeque::new() });
        }
        let ProducerName { id, epoch } = name;
        let (topic, ends) = (topic.name.clone(), BTreeMap::new());
        Ok(Self { topic, id, epoch, sequences, lanes, lane_of, acknowledged: 0, ends })
    }

    /// What a later process needs to go on.
    pub(crate) fn name(&self) -> ProducerName {
        ProducerName { id: self.id, epoch: self.epoch }
    }

    /// The number of the next batch, by partition that was sent one.
    pub(crate) fn sequences(&self) -> &BTreeMap<i32, Sequence> {
        &self.sequences
    }

    /// The offset after the last acknowledged record, by partition that has one.
    pub(crate) fn ends(&self) -> &BTreeMap<i32, Offset> {
        &self.ends
    }

    /// An empty batch for a partition. It takes its place in the order here: batches of one
    /// partition are sent in the order in which they were begun, each of them sent.
    pub(crate) fn begin(&self, partition: i32) -> BatchBuilder {
        self.number(partition, BatchBuilder::new(Codec::None))
    }

    /// Numbers a batch that was filled elsewhere, as [`Self::begin`] does.
    pub(crate) fn number(&self, partition: i32, batch: BatchBuilder) -> BatchBuilder {
        let first = self.sequences.get(&partition).copied().unwrap_or(Sequence(0));
        batch.idempotent(self.id, self.epoch, first)
    }

    /// Records that brokers have acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Sends a batch that [`Self::begin`] gave for this partition, after an acknowledgement when
    /// too many are on their way.
    pub(crate) async fn send(
        &mut self,
        partition: i32,
        batch: &BatchBuilder,
    ) -> Result<(), ClientError> {
        let no_partition = || ClientError::NoPartition {
            topic: self.topic.clone(),
            partition,
            count: self.lane_of.len(),
        };
        let at = *self.lane_of.get(&partition).ok_or_else(no_partition)?;
        let records = batch.build().map_err(|error| ClientError::BadRecords {
            partition: format!("{}-{partition}", self.topic),
            problem: error.to_string(),
        })?;
        let next = self.sequences.entry(partition).or_insert(Sequence(0));
        *next = next.advance(batch.count());
        let lane = &mut self.lanes[at];
        let request = request(&self.topic, partition, records.bytes());
        let sent = lane.connection.send(&request).await?;
        lane.in_flight.push_back((sent, u64::from(batch.count().unsigned_abs())));
        if lane.in_flight.len() >= IN_FLIGHT_MAX {
            self.acknowledged += acknowledge(&self.topic, lane, &mut self.ends).await?;
        }
        Ok(())
    }

    /// Waits for everything that is on its way.
    pub(crate) async fn flush(&mut self) -> Result<(), ClientError> {
        for lane in &mut self.lanes {
            while !lane.in_flight.is_empty() {
                self.acknowledged += acknowledge(&self.topic, lane, &mut self.ends).await?;
            }
        }
        Ok(())
    }
}

fn request<'a>(topic: &'a str, partition: i32, records: &'a [u8]) -> ProduceRequest<'a> {
    let partition = PartitionProduceData { index: partition, records: Some(records) };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    ProduceRequest {
        acks: ACKS_ALL,
        timeout_ms: TIMEOUT_MS,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    }
}

/// Waits for the oldest acknowledgement; how many records it is for.
async fn acknowledge(
    topic: &str,
    lane: &mut Lane,
    ends: &mut BTreeMap<i32, Offset>,
) -> Result<u64, ClientError> {
    let Some((sent, records)) = lane.in_flight.pop_front() else { return Ok(0) };
    let answer = lane.connection.receive(sent).await?;
    let body: ProduceResponse<'_> = answer.read()?;
    let done = body.responses.first().and_then(|topic| topic.partition_responses.first());
    let done = done.ok_or_else(|| ClientError::Incomplete(topic.to_owned()))?;
    let subject = format!("{topic}-{}", done.index);
    ClientError::check(done.error_code, &subject, done.error_message.as_deref())?;
    let count = i64::try_from(records).unwrap_or(i64::MAX);
    ends.insert(done.index, Offset::new(done.base_offset) + count);
    Ok(records)
}

async fn producer_id(broker: &mut Connection) -> Result<ProducerName, ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    let answer = broker.call(&request).await?;
    let body: InitProducerIdResponse = answer.read()?;
    // The protocol has no room for words here, and read-only servers answer with this code.
    let denied = ErrorCode::ClusterAuthorizationFailed.as_i16();
    let words = (body.error_code == denied).then_some(
        "this server gives none: it is read-only, or this client may not write (its log says which)",
    );
    ClientError::check(body.error_code, "a producer id", words)?;
    let (id, epoch) = (ProducerId(body.producer_id), ProducerEpoch(body.producer_epoch));
    Ok(ProducerName { id, epoch })
}

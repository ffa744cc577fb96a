//! Record batches from the leaders of a topic's partitions.
//!
//! Without a fetch session: every request names all partitions that are still wanted. A large
//! answer costs the broker little, since it sends record bytes straight from where they lie.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::connection::{Answer, Connection};
use super::error::ClientError;
use super::metadata::Topic;
use crate::model::Offset;
use crate::wire::Records;
use crate::wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};

const MAX_WAIT_MS: i32 = 500;
const ANSWER_BYTES: i32 = 32 << 20;
const PARTITION_BYTES: i32 = 8 << 20;

/// What a partition gave.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) partition: i32,
    /// Whole batches, the last one perhaps cut; the first may begin before the offset asked for.
    pub(crate) batches: Bytes,
}

/// Connections to every leader, and the next offset of each partition.
pub(crate) struct Fetcher {
    topic: String,
    leaders: Vec<(Connection, Vec<i32>)>,
    next: BTreeMap<i32, Offset>,
    partition_bytes: i32,
}

impl Fetcher {
    /// Connects to the leaders of the partitions in `next`.
    pub(crate) async fn open(
        topic: &Topic,
        next: BTreeMap<i32, Offset>,
    ) -> Result<Self, ClientError> {
        let partitions: Vec<_> = next.keys().copied().collect();
        let mut leaders = Vec::new();
        for (address, partitions) in topic.by_leader(&partitions)? {
            leaders.push((Connection::open(address).await?, partitions));
        }
        let (topic, partition_bytes) = (topic.name.clone(), PARTITION_BYTES);
        Ok(Self { topic, leaders, next, partition_bytes })
    }

    /// Asks for at most so many bytes of a partition at a time, but for a batch that is larger.
    pub(crate) fn at_most(mut self, bytes: u64) -> Self {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        self.partition_bytes = bytes.clamp(1, PARTITION_BYTES);
        self
    }

    /// The offset that is asked for next, by partition.
    pub(crate) fn next(&self) -> &BTreeMap<i32, Offset> {
        &self.next
    }

    /// Notes how far a partition was read.
    pub(crate) fn advance(&mut self, partition: i32, next: Offset) {
        self.next.insert(partition, next);
    }

    /// Asks for nothing of this partition any more.
    pub(crate) fn finish(&mut self, partition: i32) {
        for (_, partitions) in &mut self.leaders {
            partitions.retain(|number| *number != partition);
        }
        self.leaders.retain(|(_, partitions)| !partitions.is_empty());
    }

    /// Whether every partition is finished.
    pub(crate) fn is_finished(&self) -> bool {
        self.leaders.is_empty()
    }

    /// Asks all leaders at once; waits at most half a second for records to come.
    ///
    /// Not to be cancelled halfway: an answer would be left for the next call to stumble over.
    pub(crate) async fn fetch(&mut self) -> Result<Vec<Fetched>, ClientError> {
        let mut sent = Vec::with_capacity(self.leaders.len());
        for (connection, partitions) in &mut self.leaders {
            let request = request(&self.topic, partitions, &self.next, self.partition_bytes);
            sent.push(connection.send(&request).await?);
        }
        let mut fetched = Vec::new();
        for ((connection, _), sent) in self.leaders.iter_mut().zip(sent) {
            let answer = connection.receive(sent).await?;
            read(&self.topic, &self.next, &answer, &mut fetched)?;
        }
        Ok(fetched)
    }
}

fn request<'a>(
    topic: &'a str,
    partitions: &[i32],
    next: &BTreeMap<i32, Offset>,
    partition_max_bytes: i32,
) -> FetchRequest<'a> {
    let partition = |number: &i32| FetchPartition {
        partition: *number,
        fetch_offset: next.get(number).map_or(0, |offset| offset.get()),
        partition_max_bytes,
        ..FetchPartition::default()
    };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: MAX_WAIT_MS,
        min_bytes: 1,
        max_bytes: ANSWER_BYTES,
        session_id: 0,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: partitions.iter().map(partition).collect(),
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

fn read(
    topic: &str,
    next: &BTreeMap<i32, Offset>,
    answer: &Answer,
    fetched: &mut Vec<Fetched>,
) -> Result<(), ClientError> {
    let body: FetchResponse<'_> = answer.read()?;
    ClientError::check(body.error_code, &format!("topic {topic}"), None)?;
    for data in body.responses.iter().flat_map(|topic| &topic.partitions) {
        check(topic, next, data)?;
        let batches = match &data.records {
            Records::Inline(bytes) => answer.share(bytes),
            _ => Bytes::new(),
        };
        if !batches.is_empty() {
            fetched.push(Fetched { partition: data.partition_index, batches });
        }
    }
    Ok(())
}

fn check(
    topic: &str,
    next: &BTreeMap<i32, Offset>,
    data: &PartitionData<'_>,
) -> Result<(), ClientError> {
    let number = data.partition_index;
    let offset = next.get(&number).copied().unwrap_or_default();
    let subject = format!("{topic}-{number} at offset {offset}");
    ClientError::check(data.error_code, &subject, None)
}

//! Offsets by time.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::error::ClientError;
use super::metadata::Topic;
use crate::model::Offset;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};

/// The protocol's time of the first record in whichever tier.
pub(crate) const EARLIEST: i64 = -2;
/// The protocol's time of the record to come.
pub(crate) const LATEST: i64 = -1;
const TIMEOUT_MS: i32 = 60_000;

/// The first offset at or after a time, in milliseconds or one of the constants above, by
/// partition. `None` for a partition whose records are all earlier.
pub(crate) async fn offsets(
    topic: &Topic,
    partitions: &[i32],
    timestamp_ms: i64,
) -> Result<BTreeMap<i32, Option<Offset>>, ClientError> {
    let mut found = BTreeMap::new();
    for (address, partitions) in topic.by_leader(partitions)? {
        let mut connection = Connection::open(address).await?;
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic.name.as_str().into(),
                partitions: partitions.iter().map(|number| one(*number, timestamp_ms)).collect(),
            }],
            // Ignored before version 10, and our connection has a deadline of its own.
            timeout_ms: TIMEOUT_MS,
            ..ListOffsetsRequest::default()
        };
        let answer = connection.call(&request).await?;
        let body: ListOffsetsResponse<'_> = answer.read()?;
        for partition in body.topics.iter().flat_map(|topic| &topic.partitions) {
            let subject = format!("{}-{}", topic.name, partition.partition_index);
            ClientError::check(partition.error_code, &subject, None)?;
            let offset = (partition.offset >= 0).then(|| Offset::new(partition.offset));
            found.insert(partition.partition_index, offset);
        }
    }
    match partitions.iter().find(|number| !found.contains_key(number)) {
        Some(missing) => Err(ClientError::Incomplete(format!("{}-{missing}", topic.name))),
        None => Ok(found),
    }
}

fn one(partition_index: i32, timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition { partition_index, timestamp, ..ListOffsetsPartition::default() }
}

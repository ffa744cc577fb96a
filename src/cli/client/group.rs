//! The offsets of a consumer group, fetched and committed as a simple consumer does it: without
//! being a member, which the group only takes while it has none.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::error::ClientError;
use super::metadata::address_of;
use crate::model::Offset;
use crate::wire::ErrorCode;
use crate::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
};

const KEY_TYPE_GROUP: i8 = 0;
/// The generation of a consumer that is no member.
const NO_GENERATION: i32 = -1;
/// A coordinator that has just been made loads its state first.
const TRIES: u32 = 50;
const RETRY: std::time::Duration = std::time::Duration::from_millis(100);

/// A group at its coordinator.
pub(crate) struct Group {
    id: String,
    coordinator: Connection,
}

impl Group {
    /// Finds the group's coordinator.
    pub(crate) async fn open(broker: &mut Connection, id: &str) -> Result<Self, ClientError> {
        let mut tries = 1;
        loop {
            match find(broker, id).await {
                Ok(address) => {
                    let coordinator = Connection::open(&address).await?;
                    return Ok(Self { id: id.to_owned(), coordinator });
                }
                Err(error) if tries < TRIES && loads(&error) => tries += 1,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// What the group has committed for these partitions; absent where it never has.
    pub(crate) async fn committed(
        &mut self,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, Offset>, ClientError> {
        let mut tries = 1;
        loop {
            match self.fetch(topic, partitions).await {
                Err(error) if tries < TRIES && loads(&error) => tries += 1,
                done => return done,
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn fetch(
        &mut self,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, Offset>, ClientError> {
        let wanted = OffsetFetchRequestTopics {
            name: topic.into(),
            partition_indexes: partitions.to_vec(),
            ..OffsetFetchRequestTopics::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: self.id.as_str().into(),
            topics: Some(vec![wanted]),
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
        let answer = self.coordinator.call(&request).await?;
        let body: OffsetFetchResponse<'_> = answer.read()?;
        let subject = format!("group {}", self.id);
        let group = body.groups.first().ok_or_else(|| ClientError::Incomplete(subject.clone()))?;
        ClientError::check(group.error_code, &subject, None)?;
        let mut committed = BTreeMap::new();
        for partition in group.topics.iter().flat_map(|topic| &topic.partitions) {
            ClientError::check(partition.error_code, &subject, None)?;
            if partition.committed_offset >= 0 {
                let offset = Offset::new(partition.committed_offset);
                committed.insert(partition.partition_index, offset);
            }
        }
        Ok(committed)
    }

    /// Commits the next offset to read of each partition.
    pub(crate) async fn commit(
        &mut self,
        topic: &str,
        next: &BTreeMap<i32, Offset>,
    ) -> Result<(), ClientError> {
        let partition = |(number, offset): (&i32, &Offset)| OffsetCommitRequestPartition {
            partition_index: *number,
            committed_offset: offset.get(),
            committed_leader_epoch: -1,
            committed_metadata: Some("".into()),
        };
        let request = OffsetCommitRequest {
            group_id: self.id.as_str().into(),
            generation_id_or_member_epoch: NO_GENERATION,
            topics: vec![OffsetCommitRequestTopic {
                name: topic.into(),
                partitions: next.iter().map(partition).collect(),
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let answer = self.coordinator.call(&request).await?;
        let body: OffsetCommitResponse<'_> = answer.read()?;
        let subject = format!("group {}", self.id);
        for partition in body.topics.iter().flat_map(|topic| &topic.partitions) {
            ClientError::check(partition.error_code, &subject, None)?;
        }
        Ok(())
    }
}

async fn find(broker: &mut Connection, id: &str) -> Result<String, ClientError> {
    let request = FindCoordinatorRequest {
        key_type: KEY_TYPE_GROUP,
        coordinator_keys: vec![id.into()],
        ..FindCoordinatorRequest::default()
    };
    let answer = broker.call(&request).await?;
    let body: FindCoordinatorResponse<'_> = answer.read()?;
    let subject = format!("group {id}");
    let found =
        body.coordinators.first().ok_or_else(|| ClientError::Incomplete(subject.clone()))?;
    ClientError::check(found.error_code, &subject, found.error_message.as_deref())?;
    Ok(address_of(&found.host, found.port))
}

/// Whether the coordinator asks for patience.
fn loads(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator
        )
    )
}

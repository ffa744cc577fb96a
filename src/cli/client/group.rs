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

/// How a group that has members refuses the commit of one that is none.
const HELD_BY_MEMBERS: [ErrorCode; 3] =
    [ErrorCode::UnknownMemberId, ErrorCode::IllegalGeneration, ErrorCode::RebalanceInProgress];

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
            let members = HELD_BY_MEMBERS.iter().any(|c| c.as_i16() == partition.error_code);
            let advice = "its members read by themselves: stop them, or give another --group";
            ClientError::check(partition.error_code, &subject, members.then_some(advice))?;
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::wire::frame::{self, RequestHeader};
    use crate::wire::messages::api_versions::{ApiVersion, ApiVersionsResponse};
    use crate::wire::messages::find_coordinator::Coordinator;
    use crate::wire::messages::offset_commit::{
        OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    };
    use crate::wire::messages::offset_fetch::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
    };
    use crate::wire::{ApiKey, Decoder, Message};

    /// A coordinator of one group, which has committed offset 7 of partition 0 and loads when it
    /// is asked first.
    struct Coordinating {
        port: u16,
        loads: bool,
    }

    impl Coordinating {
        async fn serve(mut self, listener: TcpListener) {
            // One connection to find the coordinator, one to it.
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.expect("accept");
                let port = self.port;
                let loads = std::mem::take(&mut self.loads);
                tokio::spawn(async move { converse(&mut stream, port, loads).await });
            }
        }
    }

    async fn converse(stream: &mut TcpStream, port: u16, mut loads: bool) {
        while let Ok(length) = stream.read_u32().await {
            let mut request = vec![0; length as usize];
            stream.read_exact(&mut request).await.expect("a whole request");
            let mut from = Decoder::over(&request);
            let header = RequestHeader::decode(&mut from).expect("a header");
            let (version, id) = (header.version, header.correlation_id);
            let reply = match header.api {
                ApiKey::ApiVersions => reply(header.api, version, id, &versions()),
                ApiKey::FindCoordinator => {
                    let body = coordinator(port, std::mem::take(&mut loads));
                    reply(header.api, version, id, &body)
                }
                ApiKey::OffsetFetch => reply(header.api, version, id, &committed()),
                ApiKey::OffsetCommit => {
                    let body = OffsetCommitRequest::decode(&mut from, version).expect("a request");
                    assert_eq!(body.generation_id_or_member_epoch, -1);
                    assert_eq!(body.topics[0].partitions[0].committed_offset, 9);
                    reply(header.api, version, id, &taken(ErrorCode::UnknownMemberId))
                }
                other => panic!("{other} was not due"),
            };
            stream.write_all(&reply).await.expect("write");
        }
    }

    fn reply<'a>(api: ApiKey, version: i16, id: i32, body: &impl Message<'a>) -> Bytes {
        frame::response(api, version, id, body).expect("a reply").buf.freeze()
    }

    fn versions() -> ApiVersionsResponse<'static> {
        let apis = [ApiKey::FindCoordinator, ApiKey::OffsetFetch, ApiKey::OffsetCommit];
        let version = |api: ApiKey| ApiVersion {
            api_key: api.as_i16(),
            min_version: api.min_version(),
            max_version: api.max_version(),
        };
        let api_keys = apis.map(version).to_vec();
        ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() }
    }

    fn coordinator(port: u16, loads: bool) -> FindCoordinatorResponse<'static> {
        let code = if loads { ErrorCode::CoordinatorNotAvailable } else { ErrorCode::None };
        let found = Coordinator {
            key: "g".into(),
            host: "127.0.0.1".into(),
            port: i32::from(port),
            error_code: code.as_i16(),
            ..Coordinator::default()
        };
        let coordinators = vec![found];
        FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
    }

    fn committed() -> OffsetFetchResponse<'static> {
        let partition = |partition_index, committed_offset| OffsetFetchResponsePartitions {
            partition_index,
            committed_offset,
            metadata: Some("".into()),
            ..OffsetFetchResponsePartitions::default()
        };
        let topic = OffsetFetchResponseTopics {
            name: "t".into(),
            partitions: vec![partition(0, 7), partition(1, -1)],
            ..OffsetFetchResponseTopics::default()
        };
        let group = OffsetFetchResponseGroup {
            group_id: "g".into(),
            topics: vec![topic],
            ..OffsetFetchResponseGroup::default()
        };
        OffsetFetchResponse { groups: vec![group], ..OffsetFetchResponse::default() }
    }

    fn taken(code: ErrorCode) -> OffsetCommitResponse<'static> {
        let partition =
            OffsetCommitResponsePartition { partition_index: 0, error_code: code.as_i16() };
        let topic = OffsetCommitResponseTopic {
            name: "t".into(),
            partitions: vec![partition],
            ..OffsetCommitResponseTopic::default()
        };
        OffsetCommitResponse { topics: vec![topic], ..OffsetCommitResponse::default() }
    }

    #[tokio::test]
    async fn a_coordinator_that_loads_is_waited_for_and_a_refused_commit_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        tokio::spawn(Coordinating { port: address.port(), loads: true }.serve(listener));
        let mut broker = Connection::open(&address.to_string()).await.expect("connect");
        let mut group = Group::open(&mut broker, "g").await.expect("a coordinator");
        let found = group.committed("t", &[0, 1]).await.expect("offsets");
        assert_eq!(found, BTreeMap::from([(0, Offset::new(7))]), "-1 is no offset");
        let refused = group.commit("t", &BTreeMap::from([(0, Offset::new(9))])).await;
        assert_eq!(
            refused.expect_err("a member holds it").code(),
            Some(ErrorCode::UnknownMemberId)
        );
    }
}

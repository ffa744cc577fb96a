//! What of groups is refused: a bounded number of them, bounded words, and no offset that would not
//! be kept as it was promised.

use icecore::wire::ErrorCode;
use icecore::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use icecore::wire::messages::find_coordinator::FindCoordinatorRequest;
use icecore::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use icecore::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use icecore::wire::messages::list_groups::ListGroupsRequest;
use icecore::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use icecore::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::broker::{Running, bound};
use crate::client::Client;
use crate::log_lines::line_with;

/// A broker with a topic `t` of one partition, whose groups can be asked.
async fn with_groups(settings: &[(&str, &str)]) -> (tempfile::TempDir, Running, Client) {
    let dir = tempfile::tempdir().expect("dir");
    let few = [("offsets.topic.num.partitions", "2")];
    let settings: Vec<_> = few.iter().chain(settings).copied().collect();
    let broker = bound(dir.path(), None, &settings).await;
    broker.ready().await;
    let mut client = broker.client().await;
    assert_eq!(client.create("t", &[]).await, (0, String::new()));
    groups_answer(&broker, &mut client).await;
    (dir, broker, client)
}

/// Waits until groups can be asked.
pub(crate) async fn groups_answer(broker: &Running, client: &mut Client) {
    let find = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    assert_eq!(client.call(4, &find, |answer| answer.coordinators[0].error_code).await, 0);
    broker
        .until("read back", async || {
            let list = ListGroupsRequest::default();
            broker.client().await.call(5, &list, |answer| answer.error_code).await == 0
        })
        .await;
}

/// Commits an offset of a partition of `t`.
async fn commit(client: &mut Client, group: &str, partition: i32, metadata: &str) -> i16 {
    commit_in(client, "t", group, partition, metadata).await
}

/// Commits an offset of a partition.
pub(crate) async fn commit_in(
    client: &mut Client,
    topic: &str,
    group: &str,
    partition: i32,
    metadata: &str,
) -> i16 {
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: 42,
        committed_metadata: Some(metadata.to_owned().into()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.to_owned().into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.to_owned().into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    client.call(9, &request, |answer| answer.topics[0].partitions[0].error_code).await
}

/// The committed offset of partition 0 of `t`.
async fn committed(client: &mut Client, group: &str) -> i64 {
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: group.to_owned().into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    client
        .call(8, &request, |answer| answer.groups[0].topics[0].partitions[0].committed_offset)
        .await
}

fn join(protocols: Vec<JoinGroupRequestProtocol<'_>>) -> JoinGroupRequest<'_> {
    JoinGroupRequest {
        group_id: "joiners".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_group_more_than_the_most_is_refused_and_the_others_go_on() {
    let (_dir, _broker, mut client) = with_groups(&[("group.max.count", "2")]).await;
    for group in ["a", "b"] {
        assert_eq!(commit(&mut client, group, 0, "").await, 0);
    }
    let refused = ErrorCode::GroupMaxSizeReached.as_i16();
    assert_eq!(commit(&mut client, "c", 0, "").await, refused);
    let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: b"m"[..].into() };
    assert_eq!(client.call(5, &join(vec![protocol]), |answer| answer.error_code).await, refused);
    line_with(&["no more consumer groups are taken", "group.max.count"]).await;
    assert_eq!(commit(&mut client, "a", 0, "").await, 0);
    assert_eq!((committed(&mut client, "a").await, committed(&mut client, "c").await), (42, -1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_too_much_to_say_is_refused() {
    let (_dir, _broker, mut client) = with_groups(&[]).await;
    let invalid = ErrorCode::InvalidRequest.as_i16();
    let metadata = vec![7; (1 << 20) + 1];
    let long = JoinGroupRequestProtocol { name: "range".into(), metadata: metadata.into() };
    assert_eq!(client.call(5, &join(vec![long]), |answer| answer.error_code).await, invalid);
    let names = (0..101).map(|number| format!("p{number}"));
    let many =
        names.map(|name| JoinGroupRequestProtocol { name: name.into(), metadata: b"m"[..].into() });
    assert_eq!(client.call(5, &join(many.collect()), |answer| answer.error_code).await, invalid);
    assert_eq!(commit(&mut client, "g", 0, "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_beside_an_offset_that_are_too_long_are_refused() {
    let (_dir, _broker, mut client) = with_groups(&[("offset.metadata.max.bytes", "10")]).await;
    assert_eq!(commit(&mut client, "g", 0, "ten bytes.").await, 0);
    let refused = commit(&mut client, "other", 0, "eleven byte").await;
    assert_eq!(refused, ErrorCode::OffsetMetadataTooLarge.as_i16());
    assert_eq!(
        (committed(&mut client, "g").await, committed(&mut client, "other").await),
        (42, -1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_of_a_partition_that_is_not_there_is_refused() {
    let (_dir, _broker, mut client) = with_groups(&[]).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.as_i16();
    for partition in [1, i32::MAX, -1] {
        assert_eq!(commit(&mut client, "g", partition, "").await, unknown, "{partition}");
    }
    assert_eq!(commit(&mut client, "g", 0, "").await, 0);
}

/// Sets `min.insync.replicas` of `__consumer_offsets`.
async fn demand_replicas(client: &mut Client, count: &str) {
    let config = AlterableConfig {
        name: "min.insync.replicas".into(),
        config_operation: 0,
        value: Some(count.to_owned().into()),
    };
    let resource = AlterConfigsResource {
        resource_type: 2,
        resource_name: "__consumer_offsets".into(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(client.call(1, &request, |answer| answer.responses[0].error_code).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_not_written_where_too_few_replicas_are_in_sync() {
    let (_dir, _broker, mut client) = with_groups(&[]).await;
    assert_eq!(commit(&mut client, "g", 0, "").await, 0);
    demand_replicas(&mut client, "2").await;
    let unavailable = ErrorCode::CoordinatorNotAvailable.as_i16();
    assert_eq!(commit(&mut client, "other", 0, "").await, unavailable);
    let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: b"m"[..].into() };
    let code = client.call(5, &join(vec![protocol]), |answer| answer.error_code).await;
    assert_eq!(code, unavailable);
    assert_eq!(
        (committed(&mut client, "g").await, committed(&mut client, "other").await),
        (42, -1)
    );
    demand_replicas(&mut client, "1").await;
    assert_eq!(commit(&mut client, "other", 0, "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_the_groups_keeps_its_number_of_partitions() {
    let (_dir, _broker, mut client) = with_groups(&[]).await;
    assert_eq!(commit(&mut client, "g", 0, "").await, 0);
    let topic =
        CreatePartitionsTopic { name: "__consumer_offsets".into(), count: 3, assignments: None };
    let request =
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only: false };
    let refused = client.call(3, &request, |answer| {
        let result = &answer.results[0];
        (result.error_code, result.error_message.clone().unwrap_or_default().into_owned())
    });
    let (code, message) = refused.await;
    assert_eq!(code, ErrorCode::InvalidPartitions.as_i16());
    assert!(message.contains("offsets.topic.num.partitions"), "{message}");
    assert_eq!(committed(&mut client, "g").await, 42);
}

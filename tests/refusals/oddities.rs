//! Requests in good form that ask for too much, for nothing, or for the same twice.

use std::time::{Duration, Instant};

use bytes::Bytes;
use icecore::record::{BatchBuilder, Codec, NewRecord};
use icecore::wire::ErrorCode;
use icecore::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use icecore::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use icecore::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use icecore::wire::messages::describe_groups::DescribeGroupsRequest;
use icecore::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use icecore::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use icecore::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};

use crate::broker::{Running, start};
use crate::client::{Client, wanted};

/// Longer than any answer takes that is not waited for.
const LONG: Duration = Duration::from_secs(10);

async fn with_topic(configs: &[(&str, &str)]) -> (tempfile::TempDir, Running, Client) {
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    assert_eq!(client.create("t", configs).await, (0, String::new()));
    (dir, broker, client)
}

/// A batch with one record of this time.
fn made_at(timestamp_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.push(&NewRecord { timestamp_ms, value: Some(b"v"), ..NewRecord::default() });
    builder.build().expect("a batch").bytes().clone()
}

fn fetch(partitions: Vec<FetchPartition>, min_bytes: i32, max_bytes: i32) -> FetchRequest<'static> {
    let topic = FetchTopic { topic: "t".into(), partitions, ..FetchTopic::default() };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 60_000,
        min_bytes,
        max_bytes,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_at_the_ends_of_the_clock_stop_no_partition() {
    let any = [("message.timestamp.after.max.ms", "9223372036854775807")];
    let (_dir, _broker, mut client) = with_topic(&any).await;
    for (offset, time) in (0..).zip([0, i64::MAX, 1, i64::MAX]) {
        let taken = client.produce("t", &made_at(time)).await;
        assert_eq!((taken.error, taken.offset), (0, offset), "{time}: {taken:?}");
    }
    for time in [i64::MIN, i64::MIN + 1] {
        let refused = client.produce("t", &made_at(time)).await;
        assert_eq!(refused.error, ErrorCode::InvalidTimestamp.as_i16(), "{time}: {refused:?}");
    }
    assert_eq!(client.acked("t", b"next").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_time_is_held_to_the_bounds_of_the_topic() {
    let bounds = [("message.timestamp.before.max.ms", "3600000")];
    let (_dir, _broker, mut client) = with_topic(&bounds).await;
    let refused = client.produce("t", &made_at(-2)).await;
    assert_eq!(refused.error, ErrorCode::InvalidTimestamp.as_i16(), "{refused:?}");
    let timeless = client.produce("t", &made_at(-1)).await;
    assert_eq!((timeless.error, timeless.offset), (0, 0), "-1 is no time at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_for_more_than_a_reply_holds_is_answered_with_a_full_one() {
    let (_dir, _broker, mut client) = with_topic(&[]).await;
    client.acked("t", &[7; 1000]).await;
    let began = Instant::now();
    let request = fetch(vec![wanted(0)], i32::MAX, 500);
    let code = client.call(12, &request, |answer| answer.responses[0].partitions[0].error_code);
    assert_eq!(code.await, 0);
    assert!(began.elapsed() < LONG, "it waited for bytes that it could not have sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_of_nothing_is_answered_at_once() {
    let (_dir, _broker, mut client) = with_topic(&[]).await;
    let began = Instant::now();
    let request = FetchRequest { topics: Vec::new(), ..fetch(Vec::new(), 1, 1000) };
    assert_eq!(client.call(12, &request, |answer| answer.responses.len()).await, 0);
    assert!(began.elapsed() < LONG, "it waited for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_fetched_many_times_in_one_request_is_read_once() {
    let (_dir, _broker, mut client) = with_topic(&[]).await;
    client.acked("t", b"once").await;
    let request = fetch(vec![wanted(0); 100_000], 1, 1 << 20);
    let answers = client.call(12, &request, |answer| {
        answer.responses.iter().map(|topic| topic.partitions.len()).sum::<usize>()
    });
    assert_eq!(answers.await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_last_epoch_never_was_is_out_of_range() {
    let (_dir, _broker, mut client) = with_topic(&[]).await;
    client.acked("t", b"v").await;
    let future = FetchPartition { last_fetched_epoch: 99, ..wanted(1) };
    let refused = client.fetch("t", future).await;
    assert_eq!(refused.error, ErrorCode::OffsetOutOfRange.as_i16(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_many_times_in_one_request_is_answered_once() {
    let (_dir, _broker, mut client) = with_topic(&[]).await;
    let topic = || MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
    let topics = (0..1000).map(|_| topic()).collect();
    let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
    assert_eq!(client.call(9, &request, |answer| answer.topics.len()).await, 1);
    let resource = || DescribeConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configuration_keys: None,
    };
    let resources = (0..1000).map(|_| resource()).collect();
    let request = DescribeConfigsRequest { resources, ..DescribeConfigsRequest::default() };
    assert_eq!(client.call(4, &request, |answer| answer.results.len()).await, 1);
    let groups = vec!["g".into(); 1000];
    let request = DescribeGroupsRequest { groups, ..DescribeGroupsRequest::default() };
    assert_eq!(client.call(5, &request, |answer| answer.groups.len()).await, 1);
    let group = || OffsetFetchRequestGroup { group_id: "g".into(), ..Default::default() };
    let groups = (0..100).map(|_| group()).collect();
    let request = OffsetFetchRequest { groups, ..OffsetFetchRequest::default() };
    assert_eq!(client.call(8, &request, |answer| answer.groups.len()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_have_too_many_partitions_together_are_refused_together() {
    let (_dir, _broker, mut client) = with_topic(&[]).await;
    let topic = |name: &'static str| CreatableTopic {
        name: name.into(),
        num_partitions: 5_001,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let topics = vec![topic("a"), topic("b")];
    let request = CreateTopicsRequest { topics, timeout_ms: 5_000, validate_only: true };
    let codes = client.call(7, &request, |answer| {
        answer.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>()
    });
    assert_eq!(codes.await, [ErrorCode::PolicyViolation.as_i16(); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_to_be_deleted_twice_stays() {
    let (_dir, _broker, mut client) = with_topic(&[]).await;
    assert_eq!(client.acked("t", b"kept").await, 0);
    let twice = || DeleteTopicState { name: Some("t".into()), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest {
        topics: vec![twice(), twice()],
        timeout_ms: 5_000,
        ..DeleteTopicsRequest::default()
    };
    let codes = client.call(6, &request, |answer| {
        answer.responses.iter().map(|topic| topic.error_code).collect::<Vec<_>>()
    });
    assert_eq!(codes.await, [ErrorCode::InvalidRequest.as_i16()]);
    assert_eq!(client.values("t", 0).await, [b"kept".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_whose_client_leaves_before_the_answer_is_made_whole() {
    const TAKEN_UP: &str =
        "kafka_network_requestmetrics_requests_total{request=\"CreateTopics\"} 2";
    const ALONE: &str = "kafka_server_socket_server_metrics_connection_count 1";
    let (dir, broker, mut client) = with_topic(&[]).await;
    let tells = async |line: &str| broker.get("/metrics").await.1.lines().any(|one| one == line);
    // As long as another transaction writes, the change stands in its middle.
    let other = rusqlite::Connection::open(dir.path().join("metadata.db")).expect("the metadata");
    other.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    let asked = broker.until("asked", async || tells(TAKEN_UP).await);
    broker.client().await.leave_in_the_middle(("t", "made"), asked).await;
    broker.until("left", async || tells(ALONE).await).await;
    other.execute_batch("ROLLBACK").expect("no transaction");

    broker.until("made", async || broker.get("/v1/partitions").await.1.contains("made")).await;
    assert_eq!(client.acked("made", b"v").await, 0);
    broker.stop().await;
}

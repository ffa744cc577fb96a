//! A read-only server beside the cluster's broker: what it refuses, and what it does not take for true.

use std::net::SocketAddr;

use axum::http::Method;
use icecore::app::StartError;
use icecore::wire::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResource};
use icecore::wire::messages::api::ApiKey;
use icecore::wire::messages::api_versions::ApiVersionsRequest;
use icecore::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use icecore::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use icecore::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use icecore::wire::messages::elect_leaders::ElectLeadersRequest;
use icecore::wire::messages::incremental_alter_configs as incremental;
use icecore::wire::messages::init_producer_id::InitProducerIdRequest;
use icecore::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use icecore::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use icecore::wire::{ErrorCode, frame};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::broker::{Running, bound, bound_to_read};
use crate::client::{Client, batch, wanted};
use crate::log_lines::line_with;
use crate::store::{TIERED, answering, configure_s3, objects, tiered, value};
use crate::toy_s3::{Fault, ToyS3};

/// A broker that tells the store at once what is new.
const TELLING: [(&str, &str); 1] = [("tiering.meta.upload.interval.ms", "100")];
const WORDS: &str = "this is a read-only server";

/// A broker with a topic in the store, and a read-only server beside it.
struct Both {
    broker: Running,
    of_broker: Client,
    reader: Running,
    client: Client,
    _dirs: [TempDir; 2],
}

impl Both {
    /// `TIERED` records are in the store, and known to the server.
    async fn with(topic: &str) -> Self {
        let dirs = [0, 1].map(|_| tempfile::tempdir().expect("dir"));
        let broker = bound(dirs[0].path(), None, &TELLING).await;
        broker.ready().await;
        let mut of_broker = broker.client().await;
        tiered(&broker, &mut of_broker, topic).await;
        let store = format!("file://{}", broker.store_dir().display());
        let reader = bound_to_read(dirs[1].path(), &store, &[]).await;
        reader.ready().await;
        knows(&reader, topic, TIERED).await;
        let client = reader.client().await;
        Self { broker, of_broker, reader, client, _dirs: dirs }
    }
}

/// Waits until a server knows so many records of a topic.
async fn knows(reader: &Running, topic: &str, records: u8) {
    let end = async || {
        let (code, body) = reader.get("/v1/partitions").await;
        assert_eq!(code, 200, "{body}");
        let all: Vec<serde_json::Value> = serde_json::from_str(&body).expect("JSON");
        all.into_iter().find(|one| one["topic"] == topic)?["high_watermark"].as_i64()
    };
    reader.until("up to date", async || end().await == Some(i64::from(records))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_for_a_change_is_refused_in_words_by_a_read_only_server() {
    let topic = "read-only";
    let mut both = Both::with(topic).await;
    let client = &mut both.client;
    let no = ErrorCode::PolicyViolation.as_i16();
    let mut told = Vec::new();
    for acks in [1, -1] {
        let refused = client.produce_with_acks(topic, &batch(b"x"), acks).await;
        assert_eq!((refused.error, refused.offset), (no, -1));
        told.push((no, refused.message));
    }
    told.push(client.create("more", &[]).await);
    for version in [4, 6] {
        let state = DeleteTopicState { name: Some(topic.into()), ..Default::default() };
        let (topics, topic_names) = match version {
            6 => (vec![state], Vec::new()),
            _ => (Vec::new(), vec![topic.into()]),
        };
        let request = DeleteTopicsRequest { topics, topic_names, timeout_ms: 1000 };
        let answered = client.call(version, &request, |answer| {
            let one = &answer.responses[0];
            assert_eq!(one.name.as_deref(), Some(topic));
            (one.error_code, one.error_message.clone().unwrap_or_default().into_owned())
        });
        let (code, message) = answered.await;
        // Version 4 has no room for words.
        told.push((code, if version == 4 { WORDS.to_owned() } else { message }));
    }
    let more = CreatePartitionsTopic { name: topic.into(), count: 9, ..Default::default() };
    let request = CreatePartitionsRequest { topics: vec![more], ..Default::default() };
    told.push(
        client
            .call(3, &request, |answer| {
                let one = &answer.results[0];
                (one.error_code, one.error_message.clone().unwrap_or_default().into_owned())
            })
            .await,
    );
    let resource = AlterConfigsResource {
        resource_type: 2,
        resource_name: topic.into(),
        ..Default::default()
    };
    let request = AlterConfigsRequest { resources: vec![resource], ..Default::default() };
    told.push(
        client
            .call(2, &request, |answer| {
                let one = &answer.responses[0];
                (one.error_code, one.error_message.clone().unwrap_or_default().into_owned())
            })
            .await,
    );
    let resource = incremental::AlterConfigsResource {
        resource_type: 4,
        resource_name: "0".into(),
        ..Default::default()
    };
    let request = incremental::IncrementalAlterConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    told.push(
        client
            .call(1, &request, |answer| {
                let one = &answer.responses[0];
                (one.error_code, one.error_message.clone().unwrap_or_default().into_owned())
            })
            .await,
    );
    for (code, message) in told {
        assert!(code == no && message.contains(WORDS), "{code}: {message}");
    }

    let partition = DeleteRecordsPartition { partition_index: 0, offset: 3 };
    let of_topic = DeleteRecordsTopic { name: topic.into(), partitions: vec![partition] };
    let request = DeleteRecordsRequest { topics: vec![of_topic], timeout_ms: 1000 };
    let code = client.call(2, &request, |answer| answer.topics[0].partitions[0].error_code).await;
    assert_eq!(code, no);
    let request =
        InitProducerIdRequest { producer_id: -1, producer_epoch: -1, ..Default::default() };
    let code = client.call(4, &request, |answer| answer.error_code).await;
    assert_eq!(code, ErrorCode::ClusterAuthorizationFailed.as_i16());
    for api in ["DeleteRecords", "InitProducerId"] {
        line_with(&[api, WORDS]).await;
    }
    let asked = MetadataRequestTopic { name: Some("made-by-a-look".into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![asked]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    let code = client.call(12, &request, |answer| answer.topics[0].error_code).await;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.as_i16());

    let records = batch(b"x");
    let data = PartitionProduceData { index: 0, records: Some(&records) };
    let of_topic =
        TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    let unacked = ProduceRequest { topic_data: vec![of_topic], ..Default::default() };
    client.send_raw(&frame::request(9, 7, None, &unacked).expect("a frame")).await;
    client.closed().await;
    let records: Vec<_> = (0..=TIERED).map(value).collect();
    assert_eq!(both.reader.client().await.values(topic, 0).await, records[..usize::from(TIERED)]);
    assert_eq!(both.of_broker.values(topic, 0).await, records, "the broker's clients go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_leaders_do_is_not_offered_by_a_read_only_server() {
    let mut both = Both::with("not-offered").await;
    let request = ApiVersionsRequest {
        client_software_name: "t".into(),
        client_software_version: "1".into(),
    };
    let offered = async |client: &mut Client| -> Vec<i16> {
        client
            .call(3, &request, |answer| answer.api_keys.iter().map(|one| one.api_key).collect())
            .await
    };
    let (all, read) = (offered(&mut both.of_broker).await, offered(&mut both.client).await);
    let lacks: Vec<_> = all.iter().filter(|key| !read.contains(key)).collect();
    let of_leaders = [
        ApiKey::AlterReplicaLogDirs,
        ApiKey::ElectLeaders,
        ApiKey::AlterPartitionReassignments,
        ApiKey::ListPartitionReassignments,
        ApiKey::DescribeProducers,
    ];
    assert_eq!(lacks, of_leaders.map(ApiKey::as_i16).iter().collect::<Vec<_>>());
    let elect = frame::request(2, 7, None, &ElectLeadersRequest::default()).expect("a frame");
    both.client.send_raw(&elect).await;
    both.client.closed().await;
}

/// Posts JSON; the status line and the body.
async fn post(address: SocketAddr, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn work_on_the_store_is_refused_by_a_read_only_server() {
    let both = Both::with("no-jobs").await;
    for job in [r#"{"job": "gc", "dry_run": true}"#, r#"{"job": "fsck"}"#] {
        let answer = post(both.reader.http, "/v1/tier/jobs", job).await;
        assert!(answer.starts_with("HTTP/1.1 409") && answer.contains(WORDS), "{answer}");
    }
}

/// Why a read-only server over that store did not start.
async fn refused(data_dir: &std::path::Path, store: &str, settings: &[(&str, &str)]) -> String {
    bound_to_read(data_dir, store, settings).await.start_error().await.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_the_cluster_ends_the_start_of_a_read_only_server() {
    let (dir, empty) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let store = format!("file://{}", empty.path().display());
    let why = refused(dir.path(), &store, &[]).await;
    assert!(why.contains("holds no cluster") && why.contains("check the URL"), "{why}");
    let why = refused(dir.path(), &store, &[("cluster.id", "winter")]).await;
    assert!(why.contains("holds no cluster winter"), "{why}");
    assert_eq!(std::fs::read_dir(empty.path()).expect("the store").count(), 0, "nothing was made");
    let missing = empty.path().join("none");
    let why = refused(dir.path(), &format!("file://{}", missing.display()), &[]).await;
    assert!(why.contains("cannot use the folder"), "{why}");
    assert!(!missing.exists());
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    configure_s3(dir.path(), answering("403 Forbidden", denied).await);
    let why = refused(dir.path(), "s3", &[]).await;
    assert!(why.contains("does not allow to read and list"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_waits_for_a_cluster_as_long_as_it_is_told_to() {
    let dirs = [0, 1, 2].map(|_| tempfile::tempdir().expect("dir"));
    let store = format!("file://{}", dirs[0].path().display());
    let wait = "tiering.follow.start.wait.ms";
    let why = refused(dirs[1].path(), &store, &[(wait, "1")]).await;
    assert!(why.contains("holds no cluster"), "{why}");
    let reader = bound_to_read(dirs[1].path(), &store, &[(wait, "60000")]).await;
    let waits = async || {
        let (code, body) = reader.get("/readyz").await;
        code == 503 && body.contains("holds no cluster")
    };
    reader.until("waiting", waits).await;
    let broker = bound(dirs[2].path(), Some(&store), &TELLING).await;
    broker.ready().await;
    reader.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_is_a_brokers_or_a_read_only_servers_and_never_both() {
    let both = Both::with("roles").await;
    let store = format!("file://{}", both.broker.store_dir().display());
    let (of_broker, of_reader) = (both.broker.data_dir.clone(), both.reader.data_dir.clone());
    both.reader.stop().await;
    let other = bound(&of_reader, Some(&store), &[]).await.start_error().await;
    assert!(matches!(other, StartError::OtherRole { .. }), "{other}");
    assert!(other.to_string().contains("of a read-only server: give --data-dir"), "{other}");
    both.broker.stop().await;
    let why = refused(&of_broker, &store, &[]).await;
    assert!(why.contains("of a broker that leads its cluster: give --data-dir"), "{why}");
    bound(&of_broker, None, &[]).await.ready().await;
}

/// Fetches until there is an answer: an error, or records.
async fn answered(client: &mut Client, topic: &str, offset: u8) -> i16 {
    loop {
        let fetched = client.fetch(topic, wanted(i64::from(offset))).await;
        if fetched.error != 0 || !fetched.records.is_empty() {
            return fetched.error;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_gone_is_an_error_of_its_own_or_the_end_of_what_lies_before() {
    let topic = "gone-for-readers";
    let mut both = Both::with(topic).await;
    let objects = objects(&both.broker.store_dir(), topic);
    let client = &mut both.client;
    let storage = ErrorCode::KafkaStorageError.as_i16();
    std::fs::remove_file(&objects[1]).expect("removed");
    assert_eq!(answered(client, topic, 1).await, storage, "a hole is no start of a log");
    for there in [0, 2, 3] {
        assert_eq!(answered(client, topic, there).await, 0, "{there}");
    }
    std::fs::remove_file(&objects[2]).expect("removed");
    std::fs::remove_file(&objects[0]).expect("removed");
    // What was read before is open still, and may be read on.
    let mut fresh = both.reader.client().await;
    let out_of_range = ErrorCode::OffsetOutOfRange.as_i16();
    assert_eq!(answered(&mut fresh, topic, 1).await, out_of_range);
    for gone in [0, 1, 2] {
        assert_eq!(answered(&mut fresh, topic, gone).await, out_of_range, "{gone}");
    }
    assert_eq!(both.reader.status(topic).await["log_start_offset"], 3);
    assert_eq!(fresh.values(topic, 3).await, [value(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_hide_what_there_is_end_nothing_for_a_read_only_server() {
    let topic = "hidden";
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("dir"));
    let toy = ToyS3::start(dirs[0].path()).await;
    std::fs::copy(dirs[0].path().join("icecore.toml"), dirs[1].path().join("icecore.toml"))
        .expect("the same store");
    toy.remember();
    let broker = bound(dirs[0].path(), Some("s3"), &TELLING).await;
    broker.ready().await;
    let mut of_broker = broker.client().await;
    tiered(&broker, &mut of_broker, topic).await;
    // Lists that show nothing, from the first look on, and pages that are no lists.
    let lists = ["list-type", "topics"];
    toy.order(Method::GET, lists, Fault::Outdated, 20);
    toy.order(Method::GET, lists, Fault::Pretend, 3);
    let reader = bound_to_read(dirs[1].path(), "s3", &[]).await;
    reader.ready().await;
    reader
        .until("told that something is hidden", async || {
            reader.get("/readyz").await.1.contains("lists do not show")
        })
        .await;
    knows(&reader, topic, TIERED).await;
    let mut client = reader.client().await;
    let records: Vec<_> = (0..=2 * TIERED).map(value).collect();
    assert!(client.values_at_last(topic, 0).await == records[..usize::from(TIERED)]);

    // What is known stays, while lists show nothing of it.
    toy.order(Method::GET, lists, Fault::Outdated, 20);
    for number in TIERED + 1..=2 * TIERED {
        of_broker.acked(topic, &value(number)).await;
    }
    reader.until("behind", async || toy.unmet() < 20).await;
    assert!(client.values_at_last(topic, 0).await.starts_with(&records[..usize::from(TIERED)]));
    knows(&reader, topic, 2 * TIERED).await;
    assert_eq!(toy.unmet(), 0);
    assert!(client.values_at_last(topic, 0).await == records[..usize::from(2 * TIERED)]);
    let (code, told) = reader.get("/readyz").await;
    assert!(code == 200 && told.contains(WORDS), "{told}");
    reader
        .until("fresh", async || {
            reader.get("/metrics").await.1.contains("icecore_view_age_seconds 0")
        })
        .await;
    reader.stop().await;
    broker.stop().await;
}

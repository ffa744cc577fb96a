//! A topic's own rates, of its uploads and of the readers of its remote tier: they bound that topic and
//! nobody else, and change while the broker runs.

mod client;
#[path = "client/follower.rs"]
mod follower;
#[path = "client/history.rs"]
mod history;

use std::path::Path;
use std::time::{Duration, Instant};

use client::{Broker, Client};
use follower::read_only;
use history::{fetch, list_offset, produce, replay};
use icecore::wire::Records;
use icecore::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use icecore::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use icecore::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use icecore::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

/// No test waits longer for what must happen.
const SOON: Duration = Duration::from_secs(60);
const COPY: &str = "tiering.copy.max.bytes.per.second";
const FETCH: &str = "tiering.fetch.max.bytes.per.second";
/// The first offset.
const EARLIEST: i64 = -2;
/// The first offset on the local disk (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// One segment, of those that the topics here have: what it may hold of records of a thousand bytes.
const SEGMENT: i64 = 1_048;
/// An upkeep that comes round all the time, with one upload at a time.
const OFTEN: [(&str, &str); 3] = [
    ("log.retention.check.interval.ms", "50"),
    ("remote.log.manager.task.interval.ms", "50"),
    ("remote.log.manager.copier.thread.pool.size", "1"),
];

/// A topic of small segments whose local copies go as soon as they are uploaded.
async fn create(
    client: &mut Client,
    name: &'static str,
    settings: &[(&'static str, &'static str)],
) {
    let small =
        [("segment.bytes", "1048576"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
    let config = |(name, value): &(&'static str, &'static str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        configs: small.iter().chain(settings).map(config).collect(),
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
    assert_eq!(client.ask(7, &request).await.topics[0].error_code, 0);
}

async fn alter(
    client: &mut Client,
    topic: &'static str,
    setting: &'static str,
    value: &'static str,
) {
    let config =
        AlterableConfig { name: setting.into(), value: Some(value.into()), ..Default::default() };
    let (resource_type, resource_name) = (2, topic.into());
    let resource = AlterConfigsResource { resource_type, resource_name, configs: vec![config] };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(client.ask(1, &request).await.responses[0].error_code, 0);
}

async fn delete(client: &mut Client, topic: &'static str) {
    let state = DeleteTopicState { name: Some(topic.into()), ..Default::default() };
    let request =
        DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(client.ask(6, &request).await.responses[0].error_code, 0);
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until all sealed segments of a topic with records up to `end` are in the store alone.
async fn wait_for_uploads(client: &mut Client, topic: &'static str, end: i64) {
    let what = format!("{topic} is uploaded");
    wait_until(&what, async || list_offset(client, topic, EARLIEST_LOCAL).await >= end - SEGMENT)
        .await;
}

/// Objects of a topic in the store, which is a folder.
fn objects(store: &Path, topic: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(store) else { return 0 };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => objects(&path, topic),
        false => usize::from(path.display().to_string().contains(&format!("/{topic}"))),
    };
    paths.map(count).sum()
}

/// A broker whose topic `slow` has records, and an upload of them that waits: slower than any test waits for.
async fn with_an_upload_that_waits(data_dir: &Path) -> (Broker, Client) {
    let broker = Broker::start(data_dir, &OFTEN).await;
    let mut client = Client::connect(broker.address).await;
    create(&mut client, "slow", &[(COPY, "1")]).await;
    produce(&mut client, "slow", 0..4_000).await;
    let store = data_dir.join("store");
    // The index goes first and is let through; what follows waits.
    wait_until("an upload begins", async || objects(&store, "slow") > 0).await;
    (broker, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_wait_for_their_topics_rate_hold_up_no_other_topic_and_are_let_go_at_runtime()
{
    let dir = tempfile::tempdir().expect("dir");
    let broker = Broker::start(dir.path(), &OFTEN).await;
    let mut client = Client::connect(broker.address).await;
    // Slower than any test waits for.
    create(&mut client, "slow", &[(COPY, "1")]).await;
    create(&mut client, "fast", &[]).await;
    produce(&mut client, "slow", 0..4_000).await;
    produce(&mut client, "fast", 0..4_000).await;
    wait_for_uploads(&mut client, "fast", 4_000).await;
    assert_eq!(list_offset(&mut client, "slow", EARLIEST_LOCAL).await, 0);

    // Those that wait are let go, and a bound that comes again holds the next.
    alter(&mut client, "slow", COPY, "1GiB").await;
    wait_for_uploads(&mut client, "slow", 4_000).await;
    alter(&mut client, "slow", COPY, "1").await;
    produce(&mut client, "slow", 4_000..8_000).await;
    produce(&mut client, "fast", 4_000..8_000).await;
    wait_for_uploads(&mut client, "fast", 8_000).await;
    assert!(list_offset(&mut client, "slow", EARLIEST_LOCAL).await < 8_000 - 2 * SEGMENT);
    alter(&mut client, "slow", COPY, "-1").await;
    wait_for_uploads(&mut client, "slow", 8_000).await;
    replay(&mut client, "slow", 0..8_000).await;
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topics_uploads_keep_to_its_rate() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = Broker::start(dir.path(), &OFTEN).await;
    let mut client = Client::connect(broker.address).await;
    // Held back until all of it is there.
    create(&mut client, "slow", &[(COPY, "1")]).await;
    produce(&mut client, "slow", 0..7_000).await;
    let began = Instant::now();
    alter(&mut client, "slow", COPY, "2MiB").await;
    wait_for_uploads(&mut client, "slow", 7_000).await;
    let took = began.elapsed();
    // Six segments of nearly a MiB, and the last one is gone when it is let through.
    assert!(took > Duration::from_millis(2_200), "{took:?}");
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_while_its_upload_waits_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("dir");
    let store = dir.path().join("store");
    let (broker, mut client) = with_an_upload_that_waits(dir.path()).await;
    delete(&mut client, "slow").await;
    let of_log = dir.path().join("log/slow-0").display().to_string();
    let open_files = || {
        let all = std::fs::read_dir("/proc/self/fd").expect("open files");
        let files = all.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        files.filter(|file| file.display().to_string().starts_with(&of_log)).count()
    };
    wait_until("no file of it is open", async || open_files() == 0).await;
    wait_until("no object of it is left", async || objects(&store, "slow") == 0).await;

    // One of its name begins anew, without its bound.
    create(&mut client, "slow", &[]).await;
    produce(&mut client, "slow", 0..4_000).await;
    wait_for_uploads(&mut client, "slow", 4_000).await;
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_ends_in_order_while_an_upload_waits_and_goes_on_with_it_at_the_next_start() {
    let dir = tempfile::tempdir().expect("dir");
    let (broker, _) = with_an_upload_that_waits(dir.path()).await;
    broker.end().await;
    let broker = Broker::start(dir.path(), &OFTEN).await;
    let mut client = Client::connect(broker.address).await;
    alter(&mut client, "slow", COPY, "-1").await;
    wait_for_uploads(&mut client, "slow", 4_000).await;
    replay(&mut client, "slow", 0..4_000).await;
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_leaves_the_store_while_an_upload_of_its_partition_waits() {
    let dir = tempfile::tempdir().expect("dir");
    let store = dir.path().join("store");
    let broker = Broker::start(dir.path(), &OFTEN).await;
    let mut client = Client::connect(broker.address).await;
    create(&mut client, "slow", &[]).await;
    produce(&mut client, "slow", 0..4_000).await;
    wait_for_uploads(&mut client, "slow", 4_000).await;
    let uploaded = objects(&store, "slow");
    alter(&mut client, "slow", COPY, "1").await;
    produce(&mut client, "slow", 4_000..8_000).await;
    wait_until("an upload begins", async || objects(&store, "slow") > uploaded).await;
    alter(&mut client, "slow", "retention.bytes", "3000000").await;
    wait_until("what is uploaded goes", async || objects(&store, "slow") == 1).await;
    let start = list_offset(&mut client, "slow", EARLIEST).await;
    assert!(start >= 4_000 - SEGMENT, "{start}");
    alter(&mut client, "slow", "retention.bytes", "-1").await;
    alter(&mut client, "slow", COPY, "-1").await;
    wait_for_uploads(&mut client, "slow", 8_000).await;
    replay(&mut client, "slow", start..8_000).await;
    broker.end().await;
}

/// Two topics whose history is in the store alone.
async fn with_history(client: &mut Client, end: i64) {
    for topic in ["slow", "fast"] {
        create(client, topic, &[]).await;
        produce(client, topic, 0..end).await;
        wait_for_uploads(client, topic, end).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_readers_of_a_topic_keep_to_its_rate_together_and_those_of_another_are_free() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = Broker::start(dir.path(), &OFTEN).await;
    let mut client = Client::connect(broker.address).await;
    with_history(&mut client, 4_000).await;
    alter(&mut client, "slow", FETCH, "2MiB").await;
    let began = Instant::now();
    let address = broker.address;
    let reader = |topic: &'static str| async move {
        let mut client = Client::connect(address).await;
        replay(&mut client, topic, 0..2_500).await;
        began.elapsed()
    };
    let (one, other, free) = tokio::join!(reader("slow"), reader("slow"), reader("fast"));
    // 5 MB in all; the first MiB of it goes at once.
    let both = one.max(other);
    assert!(both > Duration::from_millis(1_700), "{one:?} {other:?}");
    assert!(free < both, "{free:?} beside {both:?}");

    // Slower than any test waits for: a bound counts at once, and so does its end.
    alter(&mut client, "slow", FETCH, "1").await;
    for _ in 0..2 {
        fetch(&mut client, "slow", 0).await;
    }
    assert!(fetch(&mut client, "slow", 0).await.is_empty(), "its wait is over before its turn");
    replay(&mut client, "fast", 0..4_000).await;
    alter(&mut client, "slow", FETCH, "-1").await;
    replay(&mut client, "slow", 0..4_000).await;
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_read_only_server_keep_to_the_rate_that_the_cluster_has_for_the_topic() {
    let dirs = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let telling = [&OFTEN[..], &[("tiering.meta.upload.interval.ms", "100")]].concat();
    let broker = Broker::start(dirs.0.path(), &telling).await;
    let mut client = Client::connect(broker.address).await;
    with_history(&mut client, 4_000).await;
    alter(&mut client, "slow", FETCH, "1").await;
    let followed = [("tiering.follow.interval.ms", "100")];
    let config = read_only(dirs.1.path(), &dirs.0.path().join("store"), &followed);
    let server = Broker::over(config).await;
    let mut reader = Client::connect(server.address).await;
    // What is let through before the bound holds is little.
    wait_until("the bound is known there", async || fetch(&mut reader, "slow", 0).await.is_empty())
        .await;
    replay(&mut reader, "fast", 0..4_000 - SEGMENT).await;
    assert!(fetch(&mut reader, "slow", 0).await.is_empty(), "its wait is over before its turn");

    // It follows the cluster in this as well.
    alter(&mut client, "slow", FETCH, "-1").await;
    wait_until("the end of the bound is known there", async || {
        !fetch(&mut reader, "slow", 0).await.is_empty()
    })
    .await;
    replay(&mut reader, "slow", 0..4_000 - SEGMENT).await;
    server.end().await;
    broker.end().await;
}

/// A fetch of both topics that has room for the records of one partition; how many bytes each gave.
async fn fetch_both(client: &mut Client) -> [usize; 2] {
    let topic = |name: &'static str| FetchTopic {
        topic: name.into(),
        partitions: vec![FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() }],
        ..Default::default()
    };
    let request = FetchRequest {
        max_wait_ms: 1000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic("slow"), topic("fast")],
        ..Default::default()
    };
    let answer = client.ask(11, &request).await;
    let given = |name: &str| {
        let topic = answer.responses.iter().find(|topic| topic.topic == name).expect("the topic");
        assert_eq!(topic.partitions[0].error_code, 0);
        match &topic.partitions[0].records {
            Records::Inline(records) => records.len(),
            _ => 0,
        }
    };
    [given("slow"), given("fast")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_is_answered_with_what_is_ready_while_a_topic_before_it_waits_for_its_rate() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = Broker::start(dir.path(), &OFTEN).await;
    let mut client = Client::connect(broker.address).await;
    with_history(&mut client, 4_000).await;
    alter(&mut client, "slow", FETCH, "1").await;
    for _ in 0..2 {
        fetch(&mut client, "slow", 0).await;
    }
    // Although the one that waits comes first, and would have all the room.
    for _ in 0..3 {
        let given = fetch_both(&mut client).await;
        assert!(given[0] == 0 && given[1] > 500_000, "{given:?}");
    }
    alter(&mut client, "slow", FETCH, "-1").await;
    let given = fetch_both(&mut client).await;
    assert!(given[0] > 500_000, "it is first again: {given:?}");
    broker.end().await;
}

/// A broker whose fetches wait for the remote tier for longer than a test waits for an answer.
async fn start_with_long_waits(data_dir: &Path) -> Broker {
    let wait = ("remote.fetch.max.wait.ms", "600000");
    let settings: Vec<_> = OFTEN.into_iter().chain([wait]).collect();
    Broker::start(data_dir, &settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_at_the_tail_does_not_wait_for_a_replay_in_the_same_fetch_that_waits_for_its_rate()
{
    let dir = tempfile::tempdir().expect("dir");
    let broker = start_with_long_waits(dir.path()).await;
    let mut client = Client::connect(broker.address).await;
    let mut producer = Client::connect(broker.address).await;
    create(&mut client, "slow", &[]).await;
    produce(&mut client, "slow", 0..4_000).await;
    wait_for_uploads(&mut client, "slow", 4_000).await;
    create(&mut client, "live", &[]).await;
    alter(&mut client, "slow", FETCH, "1").await;
    assert!(!fetch(&mut client, "slow", 0).await.is_empty(), "the first one goes at once");
    let topic = |name: &'static str, fetch_offset| {
        let partition =
            FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() };
        FetchTopic { topic: name.into(), partitions: vec![partition], ..Default::default() }
    };
    for offset in (0..500).step_by(50) {
        let request = FetchRequest {
            max_wait_ms: 600_000,
            min_bytes: 1,
            max_bytes: 1 << 24,
            session_epoch: -1,
            topics: vec![topic("slow", 1_000), topic("live", offset)],
            ..Default::default()
        };
        client.send(11, &request).await;
        // As soon as the fetch waits, or before it looks: either way it is to be answered.
        produce(&mut producer, "live", offset..offset + 50).await;
        let answer = client.receive::<FetchRequest<'_>>(11).await;
        let given = |at: usize| match &answer.responses[at].partitions[0].records {
            Records::Inline(records) => records.len(),
            _ => 0,
        };
        assert_eq!(given(0), 0, "it waits for its rate");
        assert!(given(1) > 50_000, "the records at the tail");
    }
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_topics_that_wait_for_their_rates_the_one_whose_turn_comes_first_has_the_room() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = start_with_long_waits(dir.path()).await;
    let mut client = Client::connect(broker.address).await;
    with_history(&mut client, 4_000).await;
    alter(&mut client, "slow", FETCH, "1").await;
    alter(&mut client, "fast", FETCH, "256KiB").await;
    for topic in ["slow", "fast"] {
        assert!(!fetch(&mut client, topic, 0).await.is_empty(), "the first one goes at once");
    }
    // Room for one, and the one without hope comes first.
    let given = fetch_both(&mut client).await;
    assert!(given[0] == 0 && given[1] > 500_000, "{given:?}");
    broker.end().await;
}

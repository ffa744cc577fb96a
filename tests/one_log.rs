//! A client reads both tiers as one log.

mod client;
#[path = "client/history.rs"]
mod history;
#[path = "client/topics.rs"]
mod topics;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::{Broker, Client};
use history::{fetch, list_offset, produce, replay};
use icecore::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use topics::creation;

/// No test waits longer for what must happen.
const SOON: Duration = Duration::from_secs(60);
const TOPIC: &str = "ice";
/// The first offset on the local disk (KIP-405).
const EARLIEST_LOCAL: i64 = -4;

async fn create(connection: &mut Client, settings: &[(&'static str, &'static str)]) {
    let answer = connection.ask(7, &creation(TOPIC, 1, settings)).await;
    assert_eq!(answer.topics[0].error_code, 0);
}

/// Waits until the first offset on the local disk is `wanted` or later.
async fn wait_for_local_start(connection: &mut Client, wanted: i64) {
    let deadline = Instant::now() + SOON;
    while list_offset(connection, TOPIC, EARLIEST_LOCAL).await < wanted {
        assert!(Instant::now() < deadline, "local copies are freed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_a_moment_ago_is_read_although_its_local_copy_is_gone_already() {
    let dir = tempfile::tempdir().expect("dir");
    let settings =
        [("log.retention.check.interval.ms", "50"), ("remote.log.manager.task.interval.ms", "50")];
    let broker = Broker::start(dir.path(), &settings).await;
    let mut connection = Client::connect(broker.address).await;
    let settings =
        [("segment.bytes", "1048576"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
    create(&mut connection, &settings).await;
    let end = 4_000;
    produce(&mut connection, TOPIC, 0..end).await;
    wait_for_local_start(&mut connection, end - 1_048).await;
    replay(&mut connection, TOPIC, 0..end).await;
    // A batch in the middle of the remote tier, from an offset inside it.
    replay(&mut connection, TOPIC, 1_777..end).await;
    broker.end().await;
}

async fn alter(connection: &mut Client, settings: &[(&'static str, &'static str)]) {
    alter_resource(connection, (2, TOPIC.into()), settings).await;
}

async fn alter_resource(
    connection: &mut Client,
    (resource_type, resource_name): (i8, Cow<'static, str>),
    settings: &[(&'static str, &'static str)],
) {
    let config = |(name, value): &(&'static str, &'static str)| AlterableConfig {
        name: (*name).into(),
        value: Some((*value).into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type,
        resource_name,
        configs: settings.iter().map(config).collect(),
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(connection.ask(1, &request).await.responses[0].error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_keeps_to_a_rate_that_is_set_at_runtime_and_goes_on_when_it_is_taken_back() {
    const RATE: &str = "remote.log.manager.fetch.max.bytes.per.second";
    let dir = tempfile::tempdir().expect("dir");
    let settings =
        [("log.retention.check.interval.ms", "50"), ("remote.log.manager.task.interval.ms", "50")];
    let broker = Broker::start(dir.path(), &settings).await;
    let mut connection = Client::connect(broker.address).await;
    let settings =
        [("segment.bytes", "1048576"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
    create(&mut connection, &settings).await;
    let end = 4_000;
    produce(&mut connection, TOPIC, 0..end).await;
    wait_for_local_start(&mut connection, end - 1_048).await;

    let broker_itself = (4, Cow::Borrowed("0"));
    alter_resource(&mut connection, broker_itself.clone(), &[(RATE, "2MiB")]).await;
    let began = Instant::now();
    replay(&mut connection, TOPIC, 0..2_500).await;
    let took = began.elapsed();
    // 2.5 MB; the first MiB of it goes at once.
    assert!(took > Duration::from_millis(600), "{took:?}");

    // Slower than any test waits for.
    alter_resource(&mut connection, broker_itself.clone(), &[(RATE, "1")]).await;
    for _ in 0..2 {
        fetch(&mut connection, TOPIC, 0).await;
    }
    assert!(fetch(&mut connection, TOPIC, 0).await.is_empty(), "its wait is over before its turn");
    alter_resource(&mut connection, broker_itself, &[(RATE, "9223372036854775807")]).await;
    replay(&mut connection, TOPIC, 0..end).await;
    broker.end().await;
}

/// Objects of segments in the store, which is a folder.
fn objects(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: PathBuf| match path.is_dir() {
        true => objects(&path),
        false => usize::from(path.extension().is_some_and(|kind| kind == "log" || kind == "index")),
    };
    entries.map(|entry| count(entry.expect("entry").path())).sum()
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_leaves_the_remote_tier_keeps_what_is_local_and_leaves_nothing_behind() {
    const EARLIEST: i64 = -2;
    let dir = tempfile::tempdir().expect("dir");
    let store = dir.path().join("store");
    let often = [("log.retention.check.interval.ms", "50")];
    let settings = [often[0], ("remote.log.manager.task.interval.ms", "50")];
    let broker = Broker::start(dir.path(), &settings).await;
    let mut connection = Client::connect(broker.address).await;
    let settings_of_topic =
        [("segment.bytes", "1048576"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
    create(&mut connection, &settings_of_topic).await;
    produce(&mut connection, TOPIC, 0..4_000).await;
    wait_for_local_start(&mut connection, 4_000 - 1_048).await;
    let local_start = list_offset(&mut connection, TOPIC, EARLIEST_LOCAL).await;
    assert!(objects(&store) > 0, "segments were uploaded");

    // The setting is taken by a broker that ends before it does anything about it.
    broker.end().await;
    let broker =
        Broker::start(dir.path(), &[("remote.log.manager.task.interval.ms", "3600000")]).await;
    let mut connection = Client::connect(broker.address).await;
    let off = [("remote.storage.enable", "false"), ("remote.log.delete.on.disable", "true")];
    alter(&mut connection, &off).await;
    replay(&mut connection, TOPIC, 0..4_000).await;
    broker.end().await;

    let broker = Broker::start(dir.path(), &settings).await;
    let mut connection = Client::connect(broker.address).await;
    wait_until("the remote tier is cleared", async || objects(&store) == 0).await;
    assert_eq!(list_offset(&mut connection, TOPIC, EARLIEST).await, local_start);
    produce(&mut connection, TOPIC, 4_000..6_000).await;
    replay(&mut connection, TOPIC, local_start..6_000).await;

    alter(&mut connection, &[("remote.storage.enable", "true")]).await;
    wait_until("it tiers again", async || objects(&store) > 0).await;
    replay(&mut connection, TOPIC, local_start..6_000).await;
    broker.end().await;
}

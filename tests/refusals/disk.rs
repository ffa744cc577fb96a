//! A disk that is full, or short of room: producers are refused, readers are served, what is uploaded
//! goes early where the topic wants it so, and nothing acked is lost.

use std::path::Path;
use std::time::{Duration, Instant};

use icecore::wire::ErrorCode;

use crate::broker::{Running, SOON, bound};
use crate::client::{Client, batch};
use crate::groups::{commit_in, groups_answer};
use crate::log_lines::line_with;
use crate::small_disk::SmallDisk;
use crate::store::value;
use crate::toy_s3::ToyS3;

/// The watermarks of the disks here, in bytes.
const LOW: u64 = 8 << 20;
const HIGH: u64 = 12 << 20;
const MARKS: [(&str, &str); 2] =
    [("tiering.disk.free.low.bytes", "8MiB"), ("tiering.disk.free.high.bytes", "12MiB")];
/// Small segments; nothing leaves the disk by retention.
const KEPT: [(&str, &str); 2] = [("segment.bytes", "1048576"), ("retention.ms", "-1")];
const DROPS: (&str, &str) = ("tiering.disk.full.policy", "drop-uploaded-first");
/// Between two tries of a producer, as its client would have it.
const BACKOFF: Duration = Duration::from_millis(50);

/// A broker on a small disk, without uploads that would free it, and without watermarks.
async fn on(disk: &SmallDisk) -> (Running, Client) {
    let settings =
        [("remote.log.storage.system.enable", "false"), ("tiering.disk.free.low.bytes", "0")];
    let broker = bound(disk.path(), None, &settings).await;
    broker.ready().await;
    let client = broker.client().await;
    (broker, client)
}

/// A broker on a small disk with watermarks, whose store has all the room that it wants.
async fn with_marks(disk: &SmallDisk, store: &Path, more: &[(&str, &str)]) -> (Running, Client) {
    let url = format!("file://{}", store.display());
    let broker = bound(disk.path(), Some(&url), &[&MARKS[..], more].concat()).await;
    broker.ready().await;
    let client = broker.client().await;
    (broker, client)
}

/// The same with a store that can be switched off.
async fn with_toy(disk: &SmallDisk, cache: &Path) -> (std::sync::Arc<ToyS3>, Running, Client) {
    let toy = ToyS3::start(disk.path()).await;
    let cache = cache.display().to_string();
    let settings = [("cache.dir", cache.as_str()), ("cache.bytes", "4MiB")];
    let broker = bound(disk.path(), Some("s3"), &[&MARKS[..], &settings].concat()).await;
    broker.ready().await;
    let client = broker.client().await;
    (toy, broker, client)
}

fn storage_error() -> i16 {
    ErrorCode::KafkaStorageError.as_i16()
}

/// Produces values of numbers from `first` on until one is refused; how many were acked.
async fn until_refused(client: &mut Client, topic: &str, first: u8) -> u8 {
    for number in first..first + 100 {
        let produced = client.produce(topic, &batch(&value(number))).await;
        if produced.error != 0 {
            assert_eq!(produced.error, storage_error(), "{produced:?}");
            assert!(produced.message.contains("the disk is full"), "{produced:?}");
            return number - first;
        }
    }
    panic!("the disk is small");
}

/// Produces as a client does that is told to try again.
async fn acked_at_last(client: &mut Client, topic: &str, value: &[u8]) {
    let until = Instant::now() + 3 * SOON;
    loop {
        let produced = client.produce(topic, &batch(value)).await;
        match produced.error {
            0 => return,
            error => assert_eq!(error, storage_error(), "{produced:?}"),
        }
        assert!(Instant::now() < until, "taken in time: {produced:?}");
        tokio::time::sleep(BACKOFF).await;
    }
}

/// A number of `/metrics`.
async fn metric(broker: &Running, name: &str) -> u64 {
    let page = broker.get("/metrics").await.1;
    let line = page.lines().find(|line| line.split(' ').next() == Some(name)).expect("a line");
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

async fn disk_told(broker: &Running) -> serde_json::Value {
    serde_json::from_str(&broker.get("/v1/disk").await.1).expect("json")
}

async fn disk_state(broker: &Running) -> String {
    disk_told(broker).await["state"].as_str().expect("a state").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_producers_serves_readers_and_keeps_what_was_acked() {
    let topic = "full-disk";
    let Some(disk) = SmallDisk::growing(16) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let (broker, mut client) = on(&disk).await;
    assert_eq!(client.create(topic, &[]).await.0, 0);
    let value = vec![b'x'; 512 << 10];
    let mut acked = 0;
    let refused = loop {
        let produced = client.produce(topic, &batch(&value)).await;
        if produced.error != 0 {
            break produced;
        }
        assert_eq!(produced.offset, acked);
        acked += 1;
        assert!(acked < 100, "the disk is small");
    };
    assert_eq!(refused.error, storage_error(), "{refused:?}");
    line_with(&[topic, "No space left on device"]).await;
    let mut other = broker.client().await;
    assert_eq!(other.values(topic, 0).await, vec![value.clone(); usize::try_from(acked).unwrap()]);

    // The disk grows; without a restart the next record is taken, behind the acked ones.
    disk.grow(64);
    broker
        .until("taking records again", async || {
            let mut client = broker.client().await;
            client.produce(topic, &batch(b"room again")).await.error == 0
        })
        .await;
    broker.stop().await;

    let (broker, mut client) = on(&disk).await;
    let mut values = client.values(topic, 0).await;
    assert_eq!(values.pop().expect("the last"), b"room again");
    assert_eq!(values, vec![value; usize::try_from(acked).unwrap()]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_are_refused_at_the_low_watermark_and_go_on_by_themselves_when_space_returns() {
    let (topic, Some(disk)) = ("low-watermark", SmallDisk::mount(48)) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let store = tempfile::tempdir().expect("dir");
    let few = [("offsets.topic.num.partitions", "2")];
    let (broker, mut client) = with_marks(&disk, store.path(), &few).await;
    assert_eq!(client.create(topic, &KEPT).await, (0, String::new()));
    groups_answer(&broker, &mut client).await;
    disk.leave(LOW + (6 << 20));
    // What others take is seen at the next look.
    let free = async || disk_told(&broker).await["free_bytes"].as_u64().expect("free bytes");
    let seen = async || free().await <= LOW + (6 << 20);
    broker.until("seen to be filled", seen).await;
    let acked = until_refused(&mut client, topic, 0).await;
    assert!(acked > 2, "{acked}");
    assert!(disk.free() >= LOW / 2, "what is below is not for producers: {}", disk.free());

    // The rest goes on: readers, offsets, uploads, and whoever looks is told.
    let mut other = broker.client().await;
    assert_eq!(other.values(topic, 0).await.len(), usize::from(acked));
    assert_eq!(commit_in(&mut other, topic, "g", 0, "").await, 0, "offsets are taken");
    let status = async || broker.status(topic).await;
    broker.until("uploaded", async || status().await["pending"]["segments"] == 0).await;
    assert_eq!(status().await["local_log_start_offset"], 0, "nothing goes by itself");
    broker.until("told", async || disk_state(&broker).await == "full").await;
    let (code, told) = broker.get("/readyz").await;
    assert!(code == 200 && told.contains("the disk is short of room"), "{code} {told}");
    broker.until("counted", async || metric(&broker, "icecore_disk_full_state").await == 2).await;
    let refused = metric(&broker, "icecore_disk_refused_batches_total").await;
    assert!(refused >= 1);

    // A producer that was refused tries again, as its client is told to.
    let held_back = async {
        let mut client = broker.client().await;
        acked_at_last(&mut client, topic, b"held back").await;
    };
    let space_returns = async {
        let counted = async || metric(&broker, "icecore_disk_refused_batches_total").await;
        broker.until("refused", async || counted().await > refused).await;
        disk.give_back();
    };
    tokio::join!(held_back, space_returns);
    broker.until("told", async || broker.get("/readyz").await.1 == "ready\n").await;
    client.acked(topic, b"and on").await;
    let mut values = client.values(topic, 0).await;
    assert_eq!(values.pop().expect("the last"), b"and on");
    assert_eq!(values.pop().expect("the last but one"), b"held back");
    assert!(values == (0..acked).map(value).collect::<Vec<_>>());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_uploaded_goes_early_where_the_topic_wants_it_so_and_producers_go_on() {
    let (topic, Some(disk)) = ("drops", SmallDisk::mount(32)) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let store = tempfile::tempdir().expect("dir");
    let (broker, mut client) = with_marks(&disk, store.path(), &[]).await;
    let settings = [&KEPT[..], &[DROPS]].concat();
    assert_eq!(client.create(topic, &settings).await, (0, String::new()));
    // Twice the disk.
    for number in 0..100 {
        acked_at_last(&mut client, topic, &value(number)).await;
    }
    let status = broker.status(topic).await;
    assert!(status["local_log_start_offset"].as_i64() > Some(0), "{status}");
    assert!(status["local"]["bytes"].as_u64() > Some(4 << 20), "no more than it takes: {status}");
    broker
        .until("counted", async || {
            metric(&broker, "icecore_disk_dropped_segments_total").await > 30
        })
        .await;
    assert!(client.values_at_last(topic, 0).await == (0..100).map(value).collect::<Vec<_>>());
    broker.stop().await;
    let (broker, mut client) = with_marks(&disk, store.path(), &[]).await;
    let values = client.values_at_last(topic, 0).await;
    assert!(values == (0..100).map(value).collect::<Vec<_>>(), "after a restart as well");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_not_full_is_sealed_and_uploaded_so_that_it_can_go() {
    let (topic, Some(disk)) = ("sealed-early", SmallDisk::mount(32)) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let store = tempfile::tempdir().expect("dir");
    let (broker, mut client) = with_marks(&disk, store.path(), &[]).await;
    // A segment would hold more than the disk.
    assert_eq!(client.create(topic, &[DROPS]).await, (0, String::new()));
    for number in 0..80 {
        acked_at_last(&mut client, topic, &value(number)).await;
    }
    assert!(client.values_at_last(topic, 0).await == (0..80).map(value).collect::<Vec<_>>());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_store_lacks_goes_while_it_is_out_of_reach_on_a_full_disk() {
    let (topic, Some(disk)) = ("full-and-away", SmallDisk::mount(32)) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let cache = tempfile::tempdir().expect("dir");
    let (toy, broker, mut client) = with_toy(&disk, cache.path()).await;
    let settings = [&KEPT[..], &[DROPS]].concat();
    assert_eq!(client.create(topic, &settings).await, (0, String::new()));
    for number in 0..6 {
        client.acked(topic, &value(number)).await;
    }
    let status = async || broker.status(topic).await;
    broker.until("uploaded", async || status().await["remote"]["segments"] == 5).await;
    toy.switch(false);
    let acked = 6 + until_refused(&mut client, topic, 6).await;
    broker.until("told", async || disk_state(&broker).await == "full").await;
    // All that the store has is gone from the disk, and nothing else.
    broker.until("dropped", async || status().await["local_log_start_offset"] == 5).await;
    let local = broker.client().await.values(topic, 5).await;
    assert!(local == (5..acked).map(value).collect::<Vec<_>>(), "the rest is there and readable");

    toy.switch(true);
    for number in acked..acked + 20 {
        acked_at_last(&mut client, topic, &value(number)).await;
    }
    let values = client.values_at_last(topic, 0).await;
    assert!(values == (0..acked + 20).map(value).collect::<Vec<_>>());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_that_a_full_disk_holds_back_go_on_once_the_store_is_back_and_takes_segments() {
    let (topic, Some(disk)) = ("blocked-and-away", SmallDisk::mount(32)) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let cache = tempfile::tempdir().expect("dir");
    let (toy, broker, mut client) = with_toy(&disk, cache.path()).await;
    let settings = [&KEPT[..], &[("local.retention.bytes", "0")]].concat();
    assert_eq!(client.create(topic, &settings).await, (0, String::new()));
    client.acked(topic, &value(0)).await;
    toy.switch(false);
    let acked = 1 + until_refused(&mut client, topic, 1).await;
    let local = broker.client().await.values(topic, 0).await;
    assert!(local == (0..acked).map(value).collect::<Vec<_>>(), "all of it is on the disk");
    let refused = client.produce(topic, &batch(&value(acked))).await;
    assert_eq!(refused.error, storage_error(), "as long as the store is away: {refused:?}");

    toy.switch(true);
    for number in acked..acked + 20 {
        acked_at_last(&mut client, topic, &value(number)).await;
    }
    let values = client.values_at_last(topic, 0).await;
    assert!(values == (0..acked + 20).map(value).collect::<Vec<_>>());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_ends_and_starts_on_a_full_disk_has_all_that_was_acked() {
    let (topic, Some(disk)) = ("ended-full", SmallDisk::mount(32)) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let store = tempfile::tempdir().expect("dir");
    let (broker, mut client) = with_marks(&disk, store.path(), &[]).await;
    assert_eq!(client.create(topic, &KEPT).await, (0, String::new()));
    let acked = until_refused(&mut client, topic, 0).await;
    // Others take all that was left for uploads, offsets and the end itself, and what the end frees.
    disk.fill();
    broker.stop().await;
    disk.fill();
    let (broker, mut client) = with_marks(&disk, store.path(), &[]).await;
    assert_eq!(until_refused(&mut client, topic, 0).await, 0, "it is full from the start");
    let values = client.values_at_last(topic, 0).await;
    assert!(values == (0..acked).map(value).collect::<Vec<_>>());
    disk.give_back();
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watermarks_that_the_disk_can_never_reach_end_the_start() {
    let Some(disk) = SmallDisk::mount(8) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let error = bound(disk.path(), None, &MARKS).await.start_error().await.to_string();
    let told = format!("tiering.disk.free.high.bytes comes to {HIGH}");
    assert!(error.contains(&told) && error.contains("lower it"), "{error}");
}

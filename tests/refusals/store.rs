//! A store that is away, forbids, or lost or changed what it was given.

use std::path::{Path, PathBuf};
use std::time::Instant;

use icecore::app::StartError;
use icecore::wire::ErrorCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::broker::{Running, SOON, bound, start};
use crate::client::{Client, wanted};
use crate::log_lines::line_with;
use crate::toy_s3::ToyS3;

/// A record that fills half of a smallest segment.
pub(crate) fn value(number: u8) -> Vec<u8> {
    vec![number; 600 << 10]
}

/// Records that are uploaded and gone from the local disk when [`tiered`] is done.
pub(crate) const TIERED: u8 = 4;

/// Small segments, and no local copy of what is uploaded.
const TIERING: [(&str, &str); 2] = [("segment.bytes", "1048576"), ("local.retention.bytes", "0")];

/// Fills a topic until everything but its active segment lies in the store alone.
pub(crate) async fn tiered(broker: &Running, client: &mut Client, topic: &str) {
    assert_eq!(client.create(topic, &TIERING).await, (0, String::new()));
    for number in 0..=TIERED {
        client.acked(topic, &value(number)).await;
    }
    broker
        .until("tiered", async || {
            broker.status(topic).await["local_log_start_offset"] == i64::from(TIERED)
        })
        .await;
}

/// The store of a broker, out of reach: a file is in its folder's place, so that nothing below it can be
/// reached.
pub(crate) struct Away {
    store: PathBuf,
    aside: PathBuf,
}

impl Away {
    pub(crate) fn of(broker: &Running) -> Self {
        let (store, aside) = (broker.store_dir(), broker.data_dir.join("aside"));
        std::fs::rename(&store, &aside).expect("moved away");
        std::fs::write(&store, b"no folder").expect("a file");
        Self { store, aside }
    }

    pub(crate) fn back(self) {
        std::fs::remove_file(&self.store).expect("the file goes");
        std::fs::rename(&self.aside, &self.store).expect("the store is back");
    }
}

/// The log objects of a topic in a folder store, by their base offsets.
pub(crate) fn objects(store: &Path, topic: &str) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![store.to_owned()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let is_log = path.extension().is_some_and(|extension| extension == "log");
            if path.is_dir() {
                open.push(path);
            } else if is_log && path.to_string_lossy().contains(&format!("/{topic}.")) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_gone_is_an_error_for_its_offsets_alone() {
    let (topic, dir) = ("object-gone", tempfile::tempdir().expect("dir"));
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    tiered(&broker, &mut client, topic).await;
    let objects = objects(&broker.store_dir(), topic);
    std::fs::remove_file(&objects[0]).expect("removed");
    let refused = client.fetch(topic, wanted(0)).await;
    assert_eq!(refused.error, ErrorCode::KafkaStorageError.as_i16(), "{refused:?}");
    line_with(&[topic, "a fetch could not be read"]).await;
    assert_eq!(client.values(topic, 1).await.len(), usize::from(TIERED), "the others are read");
    client.acked(topic, b"goes on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_wrong_bytes_is_never_handed_out() {
    let (topic, dir) = ("wrong-bytes", tempfile::tempdir().expect("dir"));
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    tiered(&broker, &mut client, topic).await;
    let objects = objects(&broker.store_dir(), topic);
    let mut bytes = std::fs::read(&objects[0]).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&objects[0], bytes).expect("written");
    let refused = client.fetch(topic, wanted(0)).await;
    assert_eq!(refused.error, ErrorCode::KafkaStorageError.as_i16(), "{refused:?}");
    assert!(refused.records.is_empty());
    line_with(&[topic, "a fetch could not be read"]).await;
    assert_eq!(client.values(topic, 1).await.len(), usize::from(TIERED), "the others are read");
    client.acked(topic, b"goes on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_in_flight_costs_no_ack_and_no_local_byte() {
    let (topic, dir) = ("store-away", tempfile::tempdir().expect("dir"));
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    assert_eq!(client.create(topic, &TIERING).await.0, 0);
    let store = Away::of(&broker);
    for number in 0..=TIERED {
        client.acked(topic, &value(number)).await;
    }
    line_with(&[topic, "tiering failed and is tried again"]).await;
    let status = broker.status(topic).await;
    assert_eq!(status["local_log_start_offset"], 0, "nothing local goes: {status}");
    assert_eq!(client.values(topic, 0).await.len(), usize::from(TIERED) + 1);

    store.back();
    broker
        .until("uploaded", async || {
            broker.status(topic).await["local_log_start_offset"] == i64::from(TIERED)
        })
        .await;
    let values = client.values(topic, 0).await;
    assert_eq!(values, (0..=TIERED).map(value).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiered_read_from_a_store_that_is_away_is_an_error_until_it_is_back() {
    let (topic, dir) = ("read-away", tempfile::tempdir().expect("dir"));
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    tiered(&broker, &mut client, topic).await;
    let store = Away::of(&broker);
    let refused = client.fetch(topic, wanted(0)).await;
    assert_eq!(refused.error, ErrorCode::KafkaStorageError.as_i16(), "{refused:?}");
    let local = client.fetch(topic, wanted(i64::from(TIERED))).await;
    assert_eq!(local.error, 0, "what is local is served: {}", local.error);
    client.acked(topic, b"goes on").await;
    store.back();
    assert_eq!(client.values(topic, 0).await.len(), usize::from(TIERED) + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_down_is_left_alone_told_once_and_caught_up_with() {
    let (topic, dir) = ("store-down", tempfile::tempdir().expect("dir"));
    let toy = ToyS3::start(dir.path()).await;
    let broker = bound(dir.path(), Some("s3"), &[]).await;
    broker.ready().await;
    let mut client = broker.client().await;
    tiered(&broker, &mut client, topic).await;
    toy.switch(false);
    for number in TIERED + 1..=2 * TIERED {
        client.acked(topic, &value(number)).await;
    }
    let until = Instant::now() + SOON;
    for offset in (0..i64::from(TIERED)).cycle() {
        drop(client.fetch(topic, wanted(offset)).await);
        if broker.get("/readyz").await.1.contains("is left alone") {
            break;
        }
        assert!(Instant::now() < until, "not left alone in time");
    }
    line_with(&["the object store fails again and again and is left alone"]).await;
    let (code, told) = broker.get("/readyz").await;
    assert_eq!(code, 200, "a broker without its store serves: {told}");
    assert!(broker.get("/metrics").await.1.contains("icecore_store_failures_total{kind=\"busy\"}"));
    let refused = toy.refused();
    for _ in 0..50 {
        drop(client.fetch(topic, wanted(0)).await);
    }
    assert!(toy.refused() - refused <= 10, "50 fetches cost no 50 requests");
    let local = broker.status(topic).await["local_log_start_offset"].as_i64().expect("a number");
    assert_eq!(client.fetch(topic, wanted(local)).await.error, 0, "what is local is served");

    toy.switch(true);
    broker
        .until("caught up", async || {
            broker.status(topic).await["local_log_start_offset"] == i64::from(2 * TIERED)
        })
        .await;
    line_with(&["the object store answers again", "held_back"]).await;
    assert_eq!(broker.get("/readyz").await.1, "ready\n");
    let values = client.values(topic, 0).await;
    assert_eq!(values, (0..=2 * TIERED).map(value).collect::<Vec<_>>());
}

/// Writes a configuration in `dir` with a store `s3` at a port of this machine.
pub(crate) fn configure_s3(dir: &Path, port: u16) {
    let text = format!(
        "[stores.s3]\nurl = \"s3://bucket/prefix\"\nendpoint = \"http://127.0.0.1:{port}\"\n\
         region = \"us-east-1\"\naccess_key_id = \"k\"\nsecret_access_key = \"s\"\n"
    );
    std::fs::write(dir.join("icecore.toml"), text).expect("written");
}

/// Answers every request with one status and a body, on a port of its own.
pub(crate) async fn answering(status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 16 << 10];
                drop(stream.read(&mut request).await);
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                drop(stream.write_all(answer.as_bytes()).await);
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_out_of_reach_at_the_start_is_waited_for() {
    let dir = tempfile::tempdir().expect("dir");
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    configure_s3(dir.path(), port);
    let broker = bound(dir.path(), Some("s3"), &[]).await;
    line_with(&["waiting for the object store", "s3://bucket/prefix is out of reach"]).await;
    let (code, why) = broker.get("/readyz").await;
    assert_eq!(code, 503);
    assert!(why.contains("out of reach"), "{why}");
    assert_eq!(broker.get("/livez").await.0, 200);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_denies_access_ends_the_start_with_what_to_do() {
    let dir = tempfile::tempdir().expect("dir");
    let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    configure_s3(dir.path(), answering("403 Forbidden", body).await);
    let error = bound(dir.path(), Some("s3"), &[]).await.start_error().await;
    assert!(matches!(error, StartError::Tiering(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("does not allow to write, read and delete"), "{text}");
    // Nothing was made that the right credentials would have to mend.
    assert!(!dir.path().join("manifest.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_exist_ends_the_start_with_what_to_do() {
    let dir = tempfile::tempdir().expect("dir");
    let body = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";
    configure_s3(dir.path(), answering("404 Not Found", body).await);
    let error = bound(dir.path(), Some("s3"), &[]).await.start_error().await;
    let text = error.to_string();
    assert!(text.contains("does not exist") && text.contains("create it"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_emptied_is_refused_at_the_start() {
    let (topic, dir) = ("emptied", tempfile::tempdir().expect("dir"));
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    tiered(&broker, &mut client, topic).await;
    let store = broker.store_dir();
    broker.stop().await;
    let aside = dir.path().join("aside");
    std::fs::rename(&store, &aside).expect("moved away");
    let error = bound(dir.path(), None, &[]).await.start_error().await;
    assert!(error.to_string().contains("do not belong together"), "{error}");
    std::fs::remove_dir_all(&store).ok();
    std::fs::rename(&aside, &store).expect("the store is back");
    let broker = start(dir.path()).await;
    let values = broker.client().await.values(topic, 0).await;
    assert_eq!(values, (0..=TIERED).map(value).collect::<Vec<_>>());
}

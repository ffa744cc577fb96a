//! Files and objects that a later version of icecore wrote: they are named and left as they are.

use std::path::{Path, PathBuf};

use icecore::app::{RestoreOptions, Unwatched, restore};
use icecore::config::{BrokerConfig, Places, Sources};
use icecore::wire::ErrorCode;
use icecore_tiering::TakeOver;
use rusqlite::Connection;

use crate::broker::{Running, bound, start};
use crate::client::wanted;
use crate::log_lines::line_with;
use crate::store::{TIERED, tiered};

/// Notes a migration that this version does not have.
fn migrate_further(database: &Path) {
    let connection = Connection::open(database).expect("a database");
    let noted = connection.execute(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
         VALUES (999, 'what_comes_later', '2030-01-01T00:00:00Z', '1')",
        [],
    );
    assert_eq!(noted.expect("a row"), 1);
}

/// Everything below a folder that ends so, by name.
fn ending(folder: &Path, end: &str) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Changes a byte of a file.
fn patch(file: &Path, position: usize, byte: u8) {
    let mut bytes = std::fs::read(file).expect("read");
    bytes[position] = byte;
    std::fs::write(file, bytes).expect("written");
}

async fn ended(dir: &Path) {
    start(dir).await.stop().await;
}

async fn words_of_refused_start(broker: Running) -> String {
    broker.start_error().await.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_a_later_version_end_the_start_and_stay_as_they_are() {
    for file in ["metadata.db", "manifest.db"] {
        let dir = tempfile::tempdir().expect("dir");
        ended(dir.path()).await;
        let database = dir.path().join(file);
        migrate_further(&database);
        let told = words_of_refused_start(bound(dir.path(), None, &[]).await).await;
        for word in [file, "a later version of icecore", "start that version"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        let connection = Connection::open(&database).expect("a database");
        let last = "SELECT max(version) FROM refinery_schema_history";
        let last: i64 = connection.query_row(last, [], |row| row.get(0)).expect("a row");
        assert_eq!(last, 999);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_a_later_version_ends_the_start() {
    let dir = tempfile::tempdir().expect("dir");
    ended(dir.path()).await;
    let markers = ending(&dir.path().join("store"), "meta/marker.json");
    let [marker] = &markers[..] else { panic!("one marker: {markers:?}") };
    let text = std::fs::read_to_string(marker).expect("read");
    let later = text.replace("\"format\":1", "\"format\":2");
    assert_ne!(later, text);
    std::fs::write(marker, &later).expect("written");
    let told = words_of_refused_start(bound(dir.path(), None, &[]).await).await;
    for word in ["meta/marker.json", "format 2", "a later version of icecore"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(std::fs::read_to_string(marker).expect("read"), later);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_a_later_version_in_the_bucket_is_not_restored_from() {
    let (dir, other) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let broker = start(dir.path()).await;
    let store = broker.store_dir();
    let kept = async || !ending(&store, ".meta").is_empty();
    broker.until("kept in the bucket", kept).await;
    broker.stop().await;
    let snapshots = ending(&store, ".meta");
    for snapshot in snapshots.iter().filter(|path| path.parent().unwrap().ends_with("cluster")) {
        patch(snapshot, 9, 2);
    }
    let places = Places {
        data_dir: Some(other.path().to_owned()),
        store: Some(format!("file://{}", store.display())),
        ..Places::default()
    };
    let config = BrokerConfig::load(&Sources { places, ..Sources::default() }).expect("settings");
    let options = RestoreOptions { cluster_id: None, take_over: TakeOver::Now };
    let told = restore(&config, &options, &Unwatched).await.expect_err("refused").to_string();
    assert!(told.contains("format version 2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_a_later_version_is_an_error_for_its_offsets_alone() {
    let (topic, dir) = ("later-segment", tempfile::tempdir().expect("dir"));
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    tiered(&broker, &mut client, topic).await;
    broker.stop().await;
    let objects = ending(&dir.path().join("store"), ".index");
    let first = objects.iter().find(|path| path.to_string_lossy().contains(topic));
    patch(first.expect("an object"), 9, 2);
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    let refused = client.fetch(topic, wanted(0)).await;
    assert_eq!(refused.error, ErrorCode::KafkaStorageError.as_i16(), "{refused:?}");
    line_with(&[topic, "format version 2"]).await;
    assert_eq!(client.values(topic, 1).await.len(), usize::from(TIERED), "the others are read");
    client.acked(topic, b"goes on").await;
    broker.stop().await;
}

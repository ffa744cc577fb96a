//! The manifest from the store and the local disk.

use std::time::Duration;

use icecore_tiering::{
    CollectOptions, LocalState, Offset, RemoteState, Scope, Segment, Tiering, TopicId,
};

use crate::bad_store::{BadStore, Call, Fault};
use crate::conformance::remove_manifest;
use crate::fixture::{Fixture, key, read_log};

async fn rows(tiering: &Tiering, partition: &icecore_tiering::PartitionKey) -> Vec<Segment> {
    tiering.segments(partition, Offset::ZERO..Offset::MAX, 100).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_as_they_were_with_their_local_files() {
    let fixture = Fixture::new("folder://");
    let long_name = "x".repeat(249);
    for topic in ["t", "Orders_2.eu-west", &long_name] {
        let partition = icecore_tiering::PartitionKey::new(topic, TopicId::random(), 7);
        let tiering = fixture.open().await;
        let mut local = Vec::new();
        for n in 0..4 {
            let made = make_short(&fixture, &partition, n);
            let segment = if n < 3 {
                made.upload(&tiering).await
            } else {
                tiering.record_sealed(&made.segment).await.unwrap();
                made.segment.clone()
            };
            match n {
                0 => tiering.local_gone(&segment).await.unwrap(),
                _ => local.push(made.segment),
            }
        }
        let before = rows(&tiering, &partition).await;
        tiering.close().await;
        drop(tiering);
        remove_manifest(&fixture);
        let tiering = fixture.open().await;
        let report = tiering.reconcile(&Scope::All, &local).await.unwrap();
        let whole = report.partitions.iter().any(|found| found.key == partition);
        assert!(whole, "the whole name, from the header");
        let after = rows(&tiering, &partition).await;
        assert_eq!(after[..3], before[..3]);
        assert_eq!((after[3].local, after[3].remote), (LocalState::Present, RemoteState::None));
        tiering.delete_topic(topic, partition.topic_id).await.unwrap();
        tiering.close().await;
    }
}

fn partition_file(
    partition: &icecore_tiering::PartitionKey,
    n: i64,
) -> icecore_tiering::PartitionKey {
    icecore_tiering::PartitionKey::new("f", partition.topic_id, i32::try_from(n).unwrap())
}

/// The name of the made log file must fit a file system, the topic's need not.
fn make_short(
    fixture: &Fixture,
    partition: &icecore_tiering::PartitionKey,
    n: i64,
) -> crate::fixture::Made {
    let short = partition_file(partition, n);
    let mut made = fixture.make(&short, n * 10, n * 10 + 9, 1_000);
    made.segment.partition = partition.clone();
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_header_costs_details_and_not_the_segment() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let partition = key("t", 0);
    let tiering = fixture.open().await;
    let made = fixture.make(&partition, 0, 9, 1_000);
    let segment = made.upload(&tiering).await;
    tiering.local_gone(&segment).await.unwrap();
    tiering.close().await;
    drop(tiering);
    remove_manifest(&fixture);
    let tiering = fixture.open().await;
    store.order(Call::Get, ".index", Fault::ShortBody, 1);
    let report = tiering.reconcile(&Scope::All, &[]).await.unwrap();
    assert_eq!((report.live, report.damaged.count), (1, 1));
    let row = rows(&tiering, &partition).await.remove(0);
    assert_eq!((row.base, row.end, row.size), (segment.base, segment.end, segment.size));
    assert_eq!((row.segment_id, row.log_crc), (segment.segment_id, None));
    assert!(read_log(&tiering, &row).await == made.log);
    let report = tiering.reconcile(&Scope::All, &[]).await.unwrap();
    assert_eq!(report.damaged.count, 0);
    assert_eq!(rows(&tiering, &partition).await[0].log_crc, segment.log_crc, "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_segments_of_two_leaders_are_read_and_deleted_once_each() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let partition = key("t", 0);
    let old = fixture.make_of_epoch(&partition, 0, 99, 1_000, 1);
    let new = fixture.make_of_epoch(&partition, 40, 59, 2_000, 2);
    // Two brokers, each with a manifest of its own, upload into one store.
    for made in [&old, &new] {
        let tiering = fixture.open().await;
        let segment = made.upload(&tiering).await;
        tiering.local_gone(&segment).await.unwrap();
        tiering.close().await;
        drop(tiering);
        remove_manifest(&fixture);
    }
    let tiering = fixture.open().await;
    tiering.reconcile(&Scope::All, &[]).await.unwrap();
    for (offset, made, cut) in [(0, &old, true), (50, &new, false), (60, &old, true)] {
        let row = tiering.find(&partition, Offset::new(offset)).await.unwrap().unwrap();
        assert_eq!(row.is_cut(), cut);
        assert!(read_log(&tiering, &row).await == made.log, "offset {offset}");
    }
    let retention = icecore_tiering::Retention { log_start: Offset::new(60), ..Default::default() };
    let plan = tiering.plan_expiry(&partition, retention, 0, 0).await.unwrap();
    assert_eq!(plan.segments.len(), 2);
    tiering.expire(&plan).await.unwrap();
    let tail = tiering.find(&partition, Offset::new(60)).await.unwrap().unwrap();
    assert!(read_log(&tiering, &tail).await == old.log, "the shared object is still there");
    tiering.delete_partition(&partition).await.unwrap();
    assert_eq!(store.names().await.len(), 1, "the marker");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_nobody_claims_are_reported_and_never_collected() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let partition = key("t", 0);
    let tiering = fixture.open().await;
    fixture.make(&partition, 0, 9, 1_000).upload(&tiering).await;
    tiering.close().await;
    drop(tiering);
    // A manifest of before: as if restored from a backup.
    let backup = fixture.folder.path().join("backup.db");
    std::fs::copy(&fixture.config.manifest_path, &backup).unwrap();
    let tiering = fixture.open().await;
    let newer = fixture.make(&partition, 10, 19, 1_000);
    let segment = newer.upload(&tiering).await;
    tiering.local_gone(&segment).await.unwrap();
    tiering.close().await;
    drop(tiering);
    remove_manifest(&fixture);
    std::fs::rename(&backup, &fixture.config.manifest_path).unwrap();

    let tiering = fixture.open().await;
    fixture.clock.advance(60_000);
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    let report = tiering.collect_garbage(&options).await.unwrap();
    assert_eq!((report.orphans.count, report.unclaimed.count), (0, 2));
    tiering.reconcile(&Scope::All, &[]).await.unwrap();
    let found = tiering.find(&partition, Offset::new(15)).await.unwrap().unwrap();
    assert!(read_log(&tiering, &found).await == newer.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_of_a_dead_attempt_is_collected_and_foreign_names_are_left() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let partition = key("t", 0);
    let tiering = fixture.open().await;
    let made = fixture.make(&partition, 0, 9, 1_000);
    let segment = made.upload(&tiering).await;
    let name = tiering.object_name(&segment, icecore_tiering::ObjectPart::Log);
    let late = name.replace(&segment.segment_id.to_string(), &"ef".repeat(16));
    let foreign = name.replace(".log", ".txt");
    for name in [&late, &foreign] {
        let name = object_store::path::Path::parse(name).unwrap();
        object_store::ObjectStoreExt::put(&*store.objects, &name, "late".into()).await.unwrap();
    }
    let mut options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    fixture.clock.advance(60_000);
    options.scope = Scope::Partitions(vec![key("other", 0)]);
    let report = tiering.collect_garbage(&options).await.unwrap();
    assert_eq!(report.orphans.count, 0, "another broker's partition");
    options.scope = Scope::All;
    let report = tiering.collect_garbage(&options).await.unwrap();
    assert_eq!(report.orphans.names, [late]);
    assert_eq!(report.foreign.names, std::slice::from_ref(&foreign));
    assert!(store.names().await.contains(&foreign));
    assert!(read_log(&tiering, &segment).await == made.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_does_not_bring_back_what_is_being_deleted() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let partition = key("t", 0);
    let tiering = fixture.open().await;
    for base in [0, 10] {
        let segment = fixture.make(&partition, base, base + 9, 1_000).upload(&tiering).await;
        tiering.local_gone(&segment).await.unwrap();
    }
    store.order(Call::Delete, "", Fault::Unavailable, 100);
    let log_start = Offset::new(10);
    let retention = icecore_tiering::Retention { log_start, ..Default::default() };
    let plan = tiering.plan_expiry(&partition, retention, 0, 0).await.unwrap();
    tiering.expire(&plan).await.unwrap_err();
    tiering.reconcile(&Scope::All, &[]).await.unwrap();
    let states: Vec<_> = rows(&tiering, &partition).await.iter().map(|row| row.remote).collect();
    assert_eq!(states, [RemoteState::Deleting, RemoteState::Live]);
}

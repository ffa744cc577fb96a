//! Death at each step of an upload, a deletion, a collection and a reconcile, then a restart and
//! one collection: nothing is lost, no object is without a row and no row without its objects.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{
    CollectOptions, LocalState, ObjectPart, Offset, PartitionKey, RemoteState, Retention, Scope,
    Step, Tiering,
};

use crate::bad_store::BadStore;
use crate::conformance::remove_manifest;
use crate::death::DieAt;
use crate::fixture::{Fixture, Made, files_under, key, read_log};
use crate::overlap::UploadEndsDuringCollection;

async fn collect(tiering: &Tiering) -> icecore_tiering::CollectReport {
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    tiering.collect_garbage(&options).await.unwrap()
}

/// Rows and objects match, and every segment can be read from somewhere.
async fn nothing_is_left_over(
    tiering: &Tiering,
    partition: &PartitionKey,
    objects: &[String],
    made: &[Made],
) {
    let rows = tiering.segments(partition, Offset::ZERO..Offset::MAX, 100).await.unwrap();
    let mut expected = HashSet::new();
    for row in &rows {
        assert!(matches!(row.remote, RemoteState::None | RemoteState::Live), "{row:?}");
        assert!(row.local == LocalState::Present || row.is_live(), "{row:?}");
        if row.is_live() {
            expected.insert(tiering.object_name(row, ObjectPart::Log));
            expected.insert(tiering.object_name(row, ObjectPart::Index));
            let made = made.iter().find(|made| made.segment.base == row.base).unwrap();
            assert!(read_log(tiering, row).await == made.log);
        }
    }
    let found: HashSet<String> =
        objects.iter().filter(|name| name.contains("/topics/")).cloned().collect();
    assert_eq!(found, expected);
}

async fn store_objects(fixture: &Fixture) -> Vec<String> {
    files_under(&fixture.folder.path().join("store"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_dies_at_any_step_is_finished_or_made_again() {
    let steps = [
        Step::IntentWritten,
        Step::IndexWritten,
        Step::LogPartWritten,
        Step::LogWritten,
        Step::Verified,
        Step::MarkedLive,
    ];
    for step in steps {
        for again_before_collection in [false, true] {
            let mut fixture = Fixture::new("folder://");
            let partition = key("t", 0);
            let made = [fixture.make(&partition, 0, 9, 6_000_000)];
            let death = DieAt::new(step, 1);
            fixture.config.steps = death.clone();
            let tiering = fixture.open().await;
            tiering.record_sealed(&made[0].segment).await.unwrap();
            let died = tiering.offload(&made[0].segment, made[0].parts.clone()).await;
            assert!(died.is_err() && death.died(), "{step:?}");
            drop(tiering);

            fixture.config.steps = Arc::new(icecore_tiering::RunThrough);
            let tiering = fixture.open().await;
            if again_before_collection {
                made[0].upload(&tiering).await;
            }
            fixture.clock.advance(60_000);
            let report = collect(&tiering).await;
            assert_eq!(report.lost.len(), 0);
            let objects = store_objects(&fixture).await;
            nothing_is_left_over(&tiering, &partition, &objects, &made).await;
            let whole = matches!(step, Step::LogWritten | Step::Verified);
            if !again_before_collection {
                assert_eq!(report.completed, u64::from(whole), "{step:?}");
                let broken = !whole && step != Step::MarkedLive;
                assert_eq!(report.abandoned, u64::from(broken), "{step:?}");
            }
            let segment = made[0].upload(&tiering).await;
            assert!(read_log(&tiering, &segment).await == made[0].log, "{step:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_dies_at_any_step_is_finished() {
    for step in [Step::DeletionMarked, Step::LogsDeleted, Step::ObjectsDeleted] {
        for whole_partition in [false, true] {
            let mut fixture = Fixture::new("folder://");
            let partition = key("t", 0);
            let made = [
                fixture.make(&partition, 0, 9, 1_000),
                fixture.make(&partition, 10, 19, 1_000),
                fixture.make(&partition, 20, 29, 1_000),
            ];
            let death = DieAt::new(step, 1);
            fixture.config.steps = death.clone();
            let tiering = fixture.open().await;
            for made in &made {
                let segment = made.upload(&tiering).await;
                tiering.local_gone(&segment).await.unwrap();
            }
            let died = if whole_partition {
                tiering.delete_partition(&partition).await
            } else {
                let log_start = Offset::new(20);
                let retention = Retention { log_start, ..Retention::default() };
                let plan = tiering.plan_expiry(&partition, retention, 0, 0).await.unwrap();
                tiering.expire(&plan).await
            };
            assert!(died.is_err() && death.died(), "{step:?}");
            assert_eq!(tiering.find(&partition, Offset::new(5)).await.unwrap(), None);
            drop(tiering);

            fixture.config.steps = Arc::new(icecore_tiering::RunThrough);
            let tiering = fixture.open().await;
            fixture.clock.advance(60_000);
            collect(&tiering).await;
            let left = tiering.bounds(&partition).await.unwrap().segments;
            assert_eq!(left, if whole_partition { 0 } else { 1 }, "{step:?}");
            let objects = store_objects(&fixture).await;
            nothing_is_left_over(&tiering, &partition, &objects, &made).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_dies_is_made_again() {
    let mut fixture = Fixture::new("folder://");
    let partition = key("t", 0);
    let made = [fixture.make(&partition, 0, 9, 1_000), fixture.make(&partition, 10, 19, 1_000)];
    for (made, step) in made.iter().zip([Step::IndexWritten, Step::LogWritten]) {
        let death = DieAt::new(step, 1);
        fixture.config.steps = death.clone();
        let tiering = fixture.open().await;
        tiering.record_sealed(&made.segment).await.unwrap();
        tiering.offload(&made.segment, made.parts.clone()).await.unwrap_err();
    }
    fixture.clock.advance(60_000);
    for countdown in [1, 2] {
        fixture.config.steps = DieAt::new(Step::GarbageFound, countdown);
        let tiering = fixture.open().await;
        let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
        let _ = tiering.collect_garbage(&options).await;
    }
    fixture.config.steps = Arc::new(icecore_tiering::RunThrough);
    let tiering = fixture.open().await;
    collect(&tiering).await;
    let objects = store_objects(&fixture).await;
    nothing_is_left_over(&tiering, &partition, &objects, &made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_dies_collects_nothing_and_is_made_again() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    let partitions = [key("t", 0), key("t", 1)];
    let tiering = fixture.open().await;
    for partition in &partitions {
        let made = fixture.make(partition, 0, 9, 1_000);
        let segment = made.upload(&tiering).await;
        tiering.local_gone(&segment).await.unwrap();
    }
    tiering.close().await;
    drop(tiering);
    let before = store.names().await;
    remove_manifest(&fixture);
    let death = DieAt::new(Step::StoreRead, 2);
    fixture.config.steps = death.clone();
    let tiering = fixture.open().await;
    assert!(tiering.reconcile(&Scope::All, &[]).await.is_err() && death.died());
    tiering.close().await;
    drop(tiering);

    fixture.config.steps = Arc::new(icecore_tiering::RunThrough);
    fixture.clock.advance(60_000);
    let tiering = fixture.open().await;
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    assert!(tiering.collect_garbage(&options).await.is_err(), "needs a whole reconcile first");
    assert_eq!(store.names().await, before);
    tiering.reconcile(&Scope::All, &[]).await.unwrap();
    collect(&tiering).await;
    assert_eq!(store.names().await, before);
    for partition in &partitions {
        assert_eq!(tiering.bounds(partition).await.unwrap().segments, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_a_collection_would_do_and_does_nothing() {
    let mut fixture = Fixture::new("folder://");
    let partition = key("t", 0);
    let made = [fixture.make(&partition, 0, 9, 6_000_000)];
    fixture.config.steps = DieAt::new(Step::LogPartWritten, 1);
    let tiering = fixture.open().await;
    tiering.record_sealed(&made[0].segment).await.unwrap();
    tiering.offload(&made[0].segment, made[0].parts.clone()).await.unwrap_err();
    drop(tiering);
    fixture.config.steps = Arc::new(icecore_tiering::RunThrough);
    let tiering = fixture.open().await;
    let before = store_objects(&fixture).await;
    let mut options = CollectOptions { min_age: Duration::ZERO, dry_run: true, scope: Scope::All };
    fixture.clock.advance(60_000);
    let dry = tiering.collect_garbage(&options).await.unwrap();
    assert_eq!(dry.abandoned, 1);
    assert_eq!(store_objects(&fixture).await, before);
    options = CollectOptions { min_age: Duration::from_secs(3600), dry_run: false, ..options };
    let young = tiering.collect_garbage(&options).await.unwrap();
    assert_eq!((young.abandoned, young.unfinished.count), (0, 0), "younger than min_age");
    assert_eq!(store_objects(&fixture).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upload_that_ends_during_a_collection_is_not_taken_for_broken_off() {
    let mut fixture = Fixture::new("folder://");
    let partition = key("t", 0);
    let broken = fixture.make(&partition, 0, 9, 100_000);
    let running = fixture.make(&partition, 10, 19, 100_000);
    fixture.config.steps = DieAt::new(Step::IndexWritten, 1);
    let tiering = fixture.open().await;
    tiering.record_sealed(&broken.segment).await.unwrap();
    tiering.offload(&broken.segment, broken.parts.clone()).await.unwrap_err();
    drop(tiering);

    let (steps, upload_waits, ended) = UploadEndsDuringCollection::new();
    fixture.config.steps = steps;
    let tiering = fixture.open().await;
    fixture.clock.advance(60_000);
    let uploading = tiering.clone();
    let upload = tokio::spawn(async move {
        let segment = running.upload(&uploading).await;
        ended.send(()).unwrap();
        (running, segment)
    });
    tokio::task::spawn_blocking(move || upload_waits.recv().unwrap()).await.unwrap();
    let report = collect(&tiering).await;
    assert_eq!((report.abandoned, report.completed), (1, 0));
    let (running, segment) = upload.await.unwrap();
    assert!(segment.is_live() && read_log(&tiering, &segment).await == running.log);
}

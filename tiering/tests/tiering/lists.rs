//! Lists that lie: nothing is deleted and nothing declared lost because a list came back empty,
//! short, stale, cut, or as a web page (which reads as an empty list).

use std::time::Duration;

use icecore_tiering::{CollectOptions, Offset, Scope, Segment, Tiering};

use crate::bad_store::{BadStore, Call, Fault};
use crate::conformance::remove_manifest;
use crate::fixture::{Fixture, Made, key, read_log};

fn collect_all() -> CollectOptions {
    CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All }
}

async fn rows(tiering: &Tiering) -> Vec<Segment> {
    tiering.segments(&key("t", 0), Offset::ZERO..Offset::MAX, 100).await.unwrap()
}

/// Four segments, the first two in the store alone.
async fn four(fixture: &Fixture, tiering: &Tiering) -> Vec<Made> {
    let mut all = Vec::new();
    for n in 0..4 {
        let made = fixture.make(&key("t", 0), n * 10, n * 10 + 9, 1_000);
        let segment = made.upload(tiering).await;
        if n < 2 {
            tiering.local_gone(&segment).await.unwrap();
        }
        all.push(made);
    }
    all
}

/// A collection and a reconcile by such lists change nothing.
async fn changes_nothing(fault: Fault) {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    store.remember().await;
    let made = four(&fixture, &tiering).await;
    let (objects, before) = (store.names().await, rows(&tiering).await);
    fixture.clock.advance(60_000);

    store.order(Call::List, "", fault, 100);
    if let Ok(report) = tiering.collect_garbage(&collect_all()).await {
        assert_eq!((report.lost.len(), report.returned.len()), (0, 0), "{report:?}");
        assert_eq!((report.orphans.count, report.unclaimed.count), (0, 0), "{report:?}");
        assert!(tiering.counters().unlisted > 0, "what the list left out is counted");
    }
    drop(tiering.reconcile(&Scope::All, &[]).await);
    assert_eq!(store.names().await, objects);
    assert_eq!(rows(&tiering).await, before);
    for (made, row) in made.iter().zip(&before) {
        assert!(read_log(&tiering, row).await == made.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lists_and_web_pages_change_nothing() {
    changes_nothing(Fault::Empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_lists_change_nothing() {
    changes_nothing(Fault::ShortBody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_lag_behind_uploads_change_nothing() {
    changes_nothing(Fault::Stale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_cut_change_nothing() {
    changes_nothing(Fault::Cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_denied_change_nothing() {
    changes_nothing(Fault::Denied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_lags_behind_deletions_brings_no_segment_back() {
    for lost in [false, true] {
        let store = BadStore::new();
        let fixture = store.fixture();
        let tiering = fixture.open().await;
        let made = four(&fixture, &tiering).await;
        store.remember().await;
        let log_start = Offset::new(20);
        let retention = icecore_tiering::Retention { log_start, ..Default::default() };
        let plan = tiering.plan_expiry(&key("t", 0), retention, 0, 0).await.unwrap();
        tiering.expire(&plan).await.unwrap();
        let mut before = rows(&tiering).await;
        tiering.close().await;
        drop(tiering);
        if lost {
            remove_manifest(&fixture);
        }
        let tiering = fixture.open().await;
        store.order(Call::List, "", Fault::Stale, 100);
        let local = [made[2].segment.clone(), made[3].segment.clone()];
        tiering.reconcile(&Scope::All, &local).await.unwrap();
        assert_eq!(rows(&tiering).await.len(), 2, "what was deleted stays deleted");
        before.retain(Segment::is_live);
        assert_eq!(rows(&tiering).await, before);
        fixture.clock.advance(60_000);
        let report = tiering.collect_garbage(&collect_all()).await.unwrap();
        assert_eq!((report.lost.len(), report.returned.len()), (0, 0), "{report:?}");
        for (made, row) in made[2..].iter().zip(&before) {
            assert!(read_log(&tiering, row).await == made.log);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_short_list_hid_from_a_rebuild_is_kept_and_comes_back_with_the_next_one() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let made = four(&fixture, &tiering).await;
    let objects = store.names().await;
    remove_manifest_of(tiering, &fixture).await;
    let tiering = fixture.open().await;
    store.order(Call::List, "/0", Fault::ShortBody, 1);
    tiering.reconcile(&Scope::All, &[]).await.unwrap();
    fixture.clock.advance(60_000);
    tiering.collect_garbage(&collect_all()).await.unwrap();
    assert_eq!(store.names().await, objects, "nothing that holds records goes");
    assert_eq!(store.unmet(), 0);
    tiering.reconcile(&Scope::All, &[]).await.unwrap();
    let rows = rows(&tiering).await;
    assert_eq!(rows.len(), 4);
    for (made, row) in made.iter().zip(&rows) {
        assert!(read_log(&tiering, row).await == made.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_a_hole_is_made_once_more_before_a_rebuild_believes_it() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let first = fixture.make(&key("t", 0), 0, 9, 1_000);
    first.upload(&tiering).await;
    let third = fixture.make(&key("t", 0), 20, 29, 1_000);
    third.upload(&tiering).await;
    store.remember().await;
    let second = fixture.make(&key("t", 0), 10, 19, 1_000);
    second.upload(&tiering).await;
    remove_manifest_of(tiering, &fixture).await;
    let tiering = fixture.open().await;
    store.order(Call::List, "/0", Fault::Stale, 1);
    let report = tiering.reconcile(&Scope::All, &[]).await.unwrap();
    assert_eq!((store.unmet(), report.live, report.gaps.count), (0, 3, 0));

    // What no list shows is told.
    store.order(Call::List, "/0", Fault::Stale, 2);
    remove_manifest_of(tiering, &fixture).await;
    let tiering = fixture.open().await;
    let report = tiering.reconcile(&Scope::All, &[]).await.unwrap();
    assert_eq!((store.unmet(), report.live, report.gaps.count), (0, 2, 1));
    assert!(report.gaps.names[0].ends_with(": 10 to 19"), "{:?}", report.gaps);
}

async fn remove_manifest_of(tiering: std::sync::Arc<Tiering>, fixture: &Fixture) {
    tiering.close().await;
    drop(tiering);
    remove_manifest(fixture);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_whose_log_a_short_list_hides_is_not_taken_for_left_over() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 1_000);
    made.upload(&tiering).await;
    let objects = store.names().await;
    tiering.close().await;
    drop(tiering);
    remove_manifest(&fixture);
    let tiering = fixture.open().await;
    // The rebuild sees nothing, and the collection the first of the two objects.
    store.order(Call::List, "/0", Fault::Empty, 1);
    store.order(Call::List, "/0", Fault::ShortBody, 1);
    tiering.reconcile(&Scope::All, &[]).await.unwrap();
    fixture.clock.advance(60_000);
    let report = tiering.collect_garbage(&collect_all()).await.unwrap();
    assert_eq!((report.orphans.count, report.unclaimed.count), (0, 1), "{report:?}");
    assert_eq!(store.names().await, objects);
    tiering.reconcile(&Scope::All, &[]).await.unwrap();
    assert!(read_log(&tiering, &rows(&tiering).await[0]).await == made.log);
}

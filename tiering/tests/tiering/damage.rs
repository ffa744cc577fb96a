//! A store that loses, changes, delays and denies: nothing is lost, and what is wrong has a name.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use icecore_tiering::{
    CollectError, CollectOptions, OffloadError, OpenError, ReadError, RemoteState, Scope,
    StoreError,
};

use crate::bad_store::{BadStore, Call, Fault};
use crate::fixture::{Fixture, bytes_of, files_under, key, read_log};

fn collect_all() -> CollectOptions {
    CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_fetched_again_and_never_handed_out() {
    for (part, fault) in [
        (".index", Fault::ShortBody),
        (".index", Fault::WrongByte),
        (".log", Fault::ShortBody),
        (".log", Fault::WrongByte),
    ] {
        let store = BadStore::new();
        let fixture = store.fixture();
        let tiering = fixture.open().await;
        let made = fixture.make(&key("t", 0), 0, 9, 600_000);
        let segment = made.upload(&tiering).await;
        store.order(Call::Get, part, fault, 1);
        assert!(read_log(&tiering, &segment).await == made.log);
        assert_eq!(tiering.counters().wrong_bytes, 1, "{part} {fault:?}");
        assert_eq!(tiering.counters().read_errors, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_stays_wrong_is_an_error_that_names_it() {
    for (part, fault) in [
        (".index", Fault::WrongByte),
        (".index", Fault::ShortBody),
        (".log", Fault::WrongByte),
        (".log", Fault::ShortBody),
    ] {
        let store = BadStore::new();
        let fixture = store.fixture();
        let tiering = fixture.open().await;
        let made = fixture.make(&key("t", 0), 0, 9, 100_000);
        let segment = made.upload(&tiering).await;
        store.order(Call::Get, part, fault, 2);
        let error = tiering.read(&segment, 0..50).await.unwrap_err();
        let ReadError::Damaged { object, .. } = &error else { panic!("{error}") };
        assert!(object.ends_with(part), "{error}");
        let counters = tiering.counters();
        assert_eq!((counters.wrong_bytes, counters.read_errors), (2, 1), "{part} {fault:?}");
        assert_eq!(bytes_of(&tiering.read(&segment, 0..50).await.unwrap()), made.log[..50]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_and_denied_and_busy_are_told_apart() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let segment = fixture.make(&key("t", 0), 0, 9, 100_000).upload(&tiering).await;
    tiering.index(&segment).await.unwrap();
    store.order(Call::Get, ".log", Fault::NotFound, 1);
    let gone = tiering.read(&segment, 0..1).await.unwrap_err();
    assert!(matches!(&gone, ReadError::Gone { object } if object.ends_with(".log")), "{gone}");
    store.order(Call::Get, ".log", Fault::Denied, 1);
    let denied = tiering.read(&segment, 0..1).await.unwrap_err();
    assert!(matches!(denied, ReadError::Store(StoreError::Denied { .. })), "{denied}");
    assert!(!denied.may_pass());
    store.order(Call::Get, ".log", Fault::Unavailable, 1);
    let busy = tiering.read(&segment, 0..1).await.unwrap_err();
    assert!(busy.may_pass(), "{busy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_the_disk_of_a_folder_store_is_seen_before_a_byte_is_sent() {
    let fixture = Fixture::new("folder://");
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 200_000);
    let segment = made.upload(&tiering).await;
    let folder = fixture.folder.path().join("store");
    let files = files_under(&folder);
    let log = folder.join(files.iter().find(|name| name.ends_with(".log")).unwrap());
    let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.write_all_at(&[!made.log[70_000]], 70_000).unwrap();
    let good = tiering.read(&segment, 0..65_536).await.unwrap();
    assert_eq!(bytes_of(&good), made.log[..65_536]);
    let error = tiering.read(&segment, 65_000..66_000).await.unwrap_err();
    let ReadError::Damaged { object, .. } = &error else { panic!("{error}") };
    assert!(object.ends_with(".log"), "{error}");
    file.set_len(199_999).unwrap();
    let error = tiering.read(&segment, 0..10).await.unwrap_err();
    assert!(error.to_string().contains("199999 bytes where 200000"), "{error}");
    std::fs::remove_file(&log).unwrap();
    let error = tiering.read(&segment, 0..10).await.unwrap_err();
    assert!(matches!(error, ReadError::Gone { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_anywhere_loses_nothing_and_the_next_one_succeeds() {
    let faults = [
        (Call::Put, ".index", Fault::Unavailable),
        (Call::Put, ".index", Fault::FailAfterLanding),
        (Call::Multipart, ".log", Fault::Unavailable),
        (Call::Multipart, ".log", Fault::FailAfterLanding),
        (Call::Part, ".log", Fault::Unavailable),
        (Call::Part, ".log", Fault::FailAfterLanding),
        (Call::Complete, ".log", Fault::Unavailable),
        (Call::Complete, ".log", Fault::FailAfterLanding),
        (Call::Get, ".log", Fault::Unavailable),
        (Call::Get, ".log", Fault::NotFound),
        (Call::Get, ".index", Fault::WrongByte),
        // The first one meets the question for the size, the second one the bytes read back.
        (Call::Get, ".log", Fault::WrongByte),
        (Call::Get, ".log", Fault::ShortBody),
    ];
    for (call, part, fault) in faults {
        let times = match (call, part, fault) {
            (Call::Get, ".log", Fault::WrongByte | Fault::ShortBody) => 2,
            _ => 1,
        };
        let store = BadStore::new();
        let fixture = store.fixture();
        let tiering = fixture.open().await;
        let made = fixture.make(&key("t", 0), 0, 9, 6_000_000);
        tiering.record_sealed(&made.segment).await.unwrap();
        store.order(call, part, fault, times);
        let error = tiering.offload(&made.segment, made.parts.clone()).await.unwrap_err();
        assert!(error.may_pass(), "{call:?} {fault:?}: {error}");
        assert!(tiering.local_gone(&made.segment).await.is_err(), "the local copy must stay");
        let segment = made.upload(&tiering).await;
        let names = store.names().await;
        let objects = names.iter().filter(|name| name.contains("/topics/"));
        assert_eq!(objects.count(), 2, "{call:?} {fault:?}: {names:?}");
        fixture.clock.advance(60_000);
        tiering.collect_garbage(&collect_all()).await.unwrap();
        assert_eq!(store.names().await, names);
        assert!(read_log(&tiering, &segment).await == made.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_changed_under_the_upload_is_refused() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 100_000);
    tiering.record_sealed(&made.segment).await.unwrap();
    store.order(Call::Put, ".log", Fault::Unavailable, 1);
    tiering.offload(&made.segment, made.parts.clone()).await.unwrap_err();
    std::fs::write(&made.parts.log, vec![0; 100_000]).unwrap();
    let row = tiering.segments(&made.segment.partition, made.segment.base..made.segment.end, 1);
    let row = row.await.unwrap().remove(0);
    let error = tiering.offload(&row, made.parts.clone()).await.unwrap_err();
    assert!(error.to_string().contains("not that of an earlier upload"), "{error}");
    std::fs::write(&made.parts.log, vec![0; 99_999]).unwrap();
    let error = tiering.offload(&row, made.parts.clone()).await.unwrap_err();
    assert!(matches!(error, OffloadError::NotTheSegment { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_into_a_silent_store_ends_at_its_deadline() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    fixture.config.store.call_timeout = Duration::from_secs(7);
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 100_000);
    tiering.record_sealed(&made.segment).await.unwrap();
    store.order(Call::Put, ".log", Fault::Hang, 1);
    let began = tokio::time::Instant::now();
    let error = tiering.offload(&made.segment, made.parts.clone()).await.unwrap_err();
    assert!(matches!(error, OffloadError::Store(StoreError::TimedOut { .. })), "{error}");
    assert_eq!(began.elapsed().as_secs(), 7);
    made.upload(&tiering).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_marker_is_recognised_when_its_create_is_answered_as_a_conflict() {
    for fault in [Fault::ExistsAfterLanding, Fault::FailAfterLanding] {
        let store = BadStore::new();
        let fixture = store.fixture();
        store.order(Call::Put, "marker", fault, 1);
        let tiering = fixture.open().await;
        assert!(!tiering.needs_reconcile(), "{fault:?}");
        tiering.collect_garbage(&collect_all()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_may_not_be_written_is_refused_at_the_start_in_words() {
    let store = BadStore::new();
    store.order(Call::Put, "probe", Fault::Denied, 1);
    let Err(error) = store.fixture().try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("does not allow to write, read and delete"), "{error}");
    store.order(Call::Get, "probe", Fault::WrongByte, 1);
    let Err(error) = store.fixture().try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    store.order(Call::Put, "probe", Fault::Unavailable, 1);
    let Err(error) = store.fixture().try_open().await else { panic!("opened") };
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lists_and_a_missing_marker_make_nothing_garbage_and_nothing_lost() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let made = fixture.make(&key("t", 0), 0, 9, 100_000);
    let segment = made.upload(&tiering).await;
    tiering.local_gone(&segment).await.unwrap();
    let before = store.names().await;

    store.order(Call::List, "", Fault::Empty, 100);
    let report = tiering.collect_garbage(&collect_all()).await.unwrap();
    assert_eq!((report.lost.len(), report.returned.len()), (0, 0), "looked up by name");
    let report = tiering.reconcile(&Scope::All, &[]).await.unwrap();
    assert_eq!(report.live, 0);
    let rows = tiering.bounds(&segment.partition).await.unwrap();
    assert_eq!(rows.segments, 1, "a row that the list does not confirm stays");

    store.order(Call::Get, "marker", Fault::NotFound, 1);
    let refused = tiering.collect_garbage(&collect_all()).await;
    assert!(matches!(refused, Err(CollectError::Vouch(_))), "{refused:?}");
    store.order(Call::Get, "marker", Fault::NotFound, 1);
    assert!(tiering.reconcile(&Scope::All, &[]).await.is_err());
    assert_eq!(store.names().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_segment_whose_objects_vanish_goes_up_again_or_is_reported_lost() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let kept = fixture.make(&key("kept", 0), 0, 9, 1_000);
    let gone = fixture.make(&key("gone", 0), 0, 9, 1_000);
    kept.upload(&tiering).await;
    let row = gone.upload(&tiering).await;
    tiering.local_gone(&row).await.unwrap();
    for name in store.names().await.into_iter().filter(|name| name.ends_with(".log")) {
        let name = object_store::path::Path::from(name);
        object_store::ObjectStoreExt::delete(&*store.objects, &name).await.unwrap();
    }
    let report = tiering.collect_garbage(&collect_all()).await.unwrap();
    assert_eq!(report.returned.len(), 1);
    assert_eq!(report.returned[0].partition, kept.segment.partition);
    assert_eq!(report.lost.len(), 1);
    assert_eq!(report.lost[0].partition, gone.segment.partition);
    let rows = tiering.segments(&kept.segment.partition, kept.segment.base..kept.segment.end, 1);
    assert_eq!(rows.await.unwrap()[0].remote, RemoteState::None);
    kept.upload(&tiering).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_deletion_goes_on_where_it_stopped() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let partition = key("t", 0);
    for n in 0..5 {
        fixture.make(&partition, n * 10, n * 10 + 9, 1_000).upload(&tiering).await;
    }
    store.order(Call::Delete, ".log", Fault::Unavailable, 9);
    store.order(Call::Delete, ".index", Fault::FailAfterLanding, 1);
    let mut tries = 1;
    while tiering.delete_partition(&partition).await.is_err() {
        assert_eq!(tiering.bounds(&partition).await.unwrap().segments, 0, "out of sight at once");
        tries += 1;
        assert!(tries < 10);
        // The store is left alone for a while after so many failures.
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    assert!(tries > 1, "the faults were met");
    assert_eq!(store.names().await.len(), 1, "the marker");
}

#[tokio::test(start_paused = true)]
async fn no_call_of_any_kind_outlives_its_deadline() {
    let calls = [
        (Call::Put, ".index"),
        (Call::Multipart, ".log"),
        (Call::Part, ".log"),
        (Call::Complete, ".log"),
        (Call::Get, ".log"),
        (Call::Get, ".index"),
        (Call::Delete, ".log"),
        (Call::List, "topics"),
    ];
    for (call, part) in calls {
        let store = BadStore::new();
        let mut fixture = store.fixture();
        fixture.config.store.call_timeout = Duration::from_secs(7);
        let tiering = fixture.open().await;
        let made = fixture.make(&key("t", 0), 0, 9, 6_000_000);
        tiering.record_sealed(&made.segment).await.unwrap();
        store.order(call, part, Fault::Hang, 100);
        let began = tokio::time::Instant::now();
        match call {
            Call::Delete => {
                made.upload(&tiering).await;
                tiering.delete_partition(&made.segment.partition).await.unwrap_err();
            }
            Call::List => drop(tiering.collect_garbage(&collect_all()).await.unwrap_err()),
            _ => drop(tiering.offload(&made.segment, made.parts.clone()).await.unwrap_err()),
        }
        // Two tries of a delete, or a call and the abort of its upload; bytes take their own time.
        assert!(began.elapsed() <= Duration::from_secs(20), "{call:?} {:?}", began.elapsed());
        assert!(tiering.counters().timeouts >= 1, "{call:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_beside_uploads_and_deletions_takes_nothing_that_is_in_use() {
    let store = BadStore::new();
    let mut fixture = store.fixture();
    fixture.config.part_bytes = 65_536;
    let tiering = fixture.open().await;
    fixture.clock.advance(60_000);
    let mut uploads = tokio::task::JoinSet::new();
    for n in 0..40 {
        let made =
            fixture.make(&key("t", n % 4), i64::from(n) * 10, i64::from(n) * 10 + 9, 200_000);
        let tiering = tiering.clone();
        uploads.spawn(async move {
            let segment = made.upload(&tiering).await;
            tiering.local_gone(&segment).await.unwrap();
            (made, segment)
        });
    }
    let mut done = Vec::new();
    while done.len() < 40 {
        let report = tiering.collect_garbage(&collect_all()).await.unwrap();
        assert_eq!((report.orphans.names, report.lost), (Vec::new(), Vec::new()));
        assert_eq!((report.abandoned, report.completed), (0, 0));
        while let Some(uploaded) = uploads.try_join_next() {
            done.push(uploaded.unwrap());
        }
        tokio::task::yield_now().await;
    }
    for (made, segment) in &done {
        assert!(read_log(&tiering, segment).await == made.log);
    }
}

/// Counts what it lets through.
struct Counted(std::sync::atomic::AtomicU64);

#[async_trait::async_trait]
impl icecore_tiering::Pace for Counted {
    async fn admit(&self, bytes: u64) {
        self.0.fetch_add(bytes, std::sync::atomic::Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_uploaded_byte_asks_the_pace_first() {
    for size in [1_000, 11_000_000] {
        let store = BadStore::new();
        let mut fixture = store.fixture();
        let pace = std::sync::Arc::new(Counted(0.into()));
        fixture.config.pace = pace.clone();
        let tiering = fixture.open().await;
        let segment = fixture.make(&key("t", 0), 0, 9, size).upload(&tiering).await;
        let name = tiering.object_name(&segment, icecore_tiering::ObjectPart::Index);
        let name = object_store::path::Path::from(name);
        let index = object_store::ObjectStoreExt::head(&*store.objects, &name).await.unwrap().size;
        assert_eq!(pace.0.load(std::sync::atomic::Ordering::SeqCst), index + segment.size);
    }
}

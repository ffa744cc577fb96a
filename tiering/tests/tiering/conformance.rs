//! What every store must do for us, the same calls against each: [`segment_tests!`] makes a test of
//! each promise for one store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use icecore_tiering::{
    CollectOptions, LocalState, MetaKind, Offset, OwnerError, OwnerIdentity, ReadError,
    RemoteState, Retention, RunThrough, Scope, Segment, Step, TakeOver,
};

use crate::death::DieAt;
use crate::fixture::{Fixture, bytes_of, key, read_log};

/// What is left of a store when all topics are deleted.
const ONLY_THE_MARKER: [&str; 1] = ["cluster-1/meta/marker.json"];

/// The whole life of segments in one store. `fixture` must lead to the same store every time it
/// is opened.
pub(crate) async fn a_store_keeps_serves_expires_rebuilds_and_forgets_segments(fixture: &Fixture) {
    let tiering = fixture.open().await;
    let partition = key("orders", 3);
    // One put, several parts, and a gap before the last one.
    let made = [
        fixture.make(&partition, 0, 99, 300_001),
        fixture.make(&partition, 100, 199, 11_500_000),
        fixture.make(&partition, 300, 399, 65_536),
    ];
    let mut live = Vec::new();
    for made in &made {
        assert!(tiering.local_gone(&made.segment).await.is_err(), "not recorded");
        tiering.record_sealed(&made.segment).await.unwrap();
        assert!(tiering.local_gone(&made.segment).await.is_err(), "not live");
        live.push(made.upload(&tiering).await);
        tiering.offload(&made.segment, made.parts.clone()).await.expect("again is no work");
        tiering.local_gone(&made.segment).await.unwrap();
    }
    look_up(&tiering, &live).await;
    for (made, segment) in made.iter().zip(&live) {
        let index = tiering.index(segment).await.unwrap();
        assert_eq!(index.offset_index, made.parts.offset_index);
        assert_eq!(index.producer_snapshot, made.parts.producer_snapshot);
        assert_eq!(index.leader_epochs, made.parts.leader_epochs);
        assert_eq!(index.txn_index.len(), 0);
        assert!(read_log(&tiering, segment).await == made.log, "the same bytes");
        ranges(&tiering, segment, &made.log).await;
    }

    let before = rows(&tiering, &partition).await;
    tiering.close().await;
    drop(tiering);
    remove_manifest(fixture);
    let tiering = fixture.open().await;
    assert!(tiering.needs_reconcile());
    let report = tiering.reconcile(&Scope::All, &[]).await.unwrap();
    let found: Vec<_> = report.partitions.iter().map(|found| &found.key).collect();
    assert_eq!(found, [&partition]);
    assert_eq!(rows(&tiering, &partition).await, before, "the same rows from the store alone");
    assert!(!tiering.needs_reconcile());
    assert!(read_log(&tiering, &live[1]).await == made[1].log);

    let retention = Retention { log_start: Offset::new(150), ..Retention::default() };
    let plan = tiering.plan_expiry(&partition, retention, 0, 0).await.unwrap();
    let report = tiering.expire(&plan).await.unwrap();
    assert_eq!((report.segments, report.bytes), (1, 300_001));
    assert_eq!(tiering.find(&partition, Offset::new(5)).await.unwrap(), None);
    assert!(matches!(tiering.index(&live[0]).await, Err(ReadError::Gone { .. })));

    let report = tiering.delete_topic("orders", partition.topic_id).await.unwrap();
    assert_eq!(report.segments, 2);
    assert!(rows(&tiering, &partition).await.is_empty());
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: true, scope: Scope::All };
    fixture.clock.advance(60_000);
    let report = tiering.collect_garbage(&options).await.unwrap();
    assert_eq!(report.orphans.names, [] as [&str; 0], "nothing is left");
    assert_eq!(report.unfinished.names, [] as [&str; 0]);
    assert_eq!(report.unclaimed.names, [] as [&str; 0]);
    tiering.close().await;
    assert_eq!(fixture.names().await, ONLY_THE_MARKER);
}

/// Uploads that died at each of their steps: readers never see a part of one, and one collection
/// removes all that they left.
pub(crate) async fn what_torn_uploads_left_is_collected(fixture: &mut Fixture) {
    let partition = key("torn", 0);
    let steps = [Step::IndexWritten, Step::LogPartWritten, Step::LogWritten];
    for (n, step) in (0..).zip(steps) {
        let made = fixture.make(&partition, n * 10, n * 10 + 9, 6_000_000);
        let death = DieAt::new(step, 1);
        fixture.config.steps = death.clone();
        let tiering = fixture.open().await;
        tiering.record_sealed(&made.segment).await.unwrap();
        tiering.offload(&made.segment, made.parts.clone()).await.unwrap_err();
        assert!(death.died());
        assert_eq!(tiering.find(&partition, made.segment.base).await.unwrap(), None, "{step:?}");
        tiering.close().await;
    }
    fixture.config.steps = Arc::new(RunThrough);
    let tiering = fixture.open().await;
    fixture.clock.advance(60_000);
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    let report = tiering.collect_garbage(&options).await.unwrap();
    assert_eq!((report.abandoned, report.completed), (2, 1), "{report:?}");
    assert_eq!(report.lost.len(), 0);
    // What lies in parts has no name in some stores, and temporary names in others.
    let again = tiering.collect_garbage(&options).await.unwrap();
    let left = [again.orphans.count, again.unfinished.count, again.unclaimed.count];
    assert_eq!(left, [0, 0, 0], "{again:?}");
    tiering.delete_topic("torn", partition.topic_id).await.unwrap();
    tiering.close().await;
    assert_eq!(fixture.names().await, ONLY_THE_MARKER);
}

async fn look_up(tiering: &icecore_tiering::Tiering, live: &[Segment]) {
    let partition = &live[0].partition;
    let find = |offset| tiering.find(partition, Offset::new(offset));
    assert_eq!(find(0).await.unwrap().unwrap().base, Offset::ZERO);
    assert_eq!(find(99).await.unwrap().unwrap().base, Offset::ZERO);
    assert_eq!(find(150).await.unwrap().unwrap().base, Offset::new(100));
    assert_eq!(find(200).await.unwrap(), None, "a gap");
    assert_eq!(find(400).await.unwrap(), None, "past the end");
    let next = tiering.next_after(partition, Offset::new(200)).await.unwrap().unwrap();
    assert_eq!(next.base, Offset::new(300));
    assert_eq!(tiering.next_after(partition, Offset::new(300)).await.unwrap(), None);
    let by_time = |timestamp| tiering.find_by_time(partition, timestamp);
    assert_eq!(by_time(0).await.unwrap().unwrap().base, Offset::ZERO);
    assert_eq!(by_time(99_001).await.unwrap().unwrap().base, Offset::new(100));
    assert_eq!(by_time(399_001).await.unwrap(), None);
    let bounds = tiering.bounds(partition).await.unwrap();
    assert_eq!(
        (bounds.first_offset, bounds.end_offset),
        (Some(Offset::ZERO), Some(Offset::new(399)))
    );
    assert_eq!((bounds.segments, bounds.bytes), (3, 300_001 + 11_500_000 + 65_536));
    assert_eq!((bounds.first_timestamp_ms, bounds.max_timestamp_ms), (0, 399_000));
    let other = key("others", 3);
    assert_eq!(tiering.find(&other, Offset::ZERO).await.unwrap(), None);
    assert_eq!(tiering.bounds(&other).await.unwrap().first_offset, None);
}

async fn ranges(tiering: &icecore_tiering::Tiering, segment: &Segment, log: &[u8]) {
    let size = segment.size;
    for (start, end) in [(0, 1), (size - 1, size), (65_535, 65_536), (size / 2, size / 2 + 7)] {
        let slices = tiering.read(segment, start..end).await.unwrap();
        assert_eq!(bytes_of(&slices), log[start as usize..end as usize], "{start}..{end}");
    }
    for (start, end) in [(0, 0), (5, 4), (0, size + 1), (size, size + 1), (u64::MAX, 0)] {
        let refused = tiering.read(segment, start..end).await;
        assert!(matches!(refused, Err(ReadError::Range { .. })), "{start}..{end}");
    }
}

async fn rows(
    tiering: &icecore_tiering::Tiering,
    partition: &icecore_tiering::PartitionKey,
) -> Vec<Segment> {
    let rows = tiering.segments(partition, Offset::ZERO..Offset::MAX, 1000).await.unwrap();
    let expected = (LocalState::Gone, RemoteState::Live);
    assert!(rows.iter().all(|row| (row.local, row.remote) == expected));
    rows
}

pub(crate) fn remove_manifest(fixture: &Fixture) {
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", fixture.config.manifest_path.display());
        if std::path::Path::new(&file).exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
}

/// Snapshots are numbered, created once and read back; of two brokers one owns the store.
pub(crate) async fn a_store_keeps_snapshots_and_has_one_owner(fixture: &Fixture) {
    const THINGS: MetaKind = MetaKind::new("things");
    let tiering = fixture.open().await;
    assert_eq!(tiering.newest_meta(THINGS).await.unwrap().newest, None);
    for number in 1..=6_u64 {
        let payload = Bytes::from(format!("state {number}"));
        assert_eq!(tiering.put_meta(THINGS, payload.clone()).await.unwrap(), number);
        let newest = tiering.newest_meta(THINGS).await.unwrap().newest.unwrap();
        assert_eq!((newest.number, newest.payload), (number, payload));
    }
    let identity = |name: &str| OwnerIdentity { instance: name.into(), holder: name.into() };
    let own = |name, take_over| tiering.own(identity(name), take_over, &|_, _| ());
    let mut first = own("a", TakeOver::Never).await.unwrap();
    for _ in 0..5 {
        first.renew_now().await.unwrap();
    }
    assert!(matches!(own("b", TakeOver::Never).await, Err(OwnerError::Held { .. })));
    let second = own("b", TakeOver::Now).await.unwrap();
    assert!(matches!(first.renew_now().await, Err(OwnerError::Held { .. })));
    assert!(tiering.put_meta(THINGS, Bytes::new()).await.is_err(), "one process, now deposed");
    drop(second);
    tiering.close().await;
}

/// One test for each promise about segments and snapshots, on a fixture that `$fixture` gives.
macro_rules! segment_tests {
    ($fixture:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn segments_are_kept_served_expired_rebuilt_and_forgotten() {
            let fixture = $fixture;
            $crate::conformance::a_store_keeps_serves_expires_rebuilds_and_forgets_segments(
                &fixture,
            )
            .await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn what_torn_uploads_left_is_collected() {
            let mut fixture = $fixture;
            $crate::conformance::what_torn_uploads_left_is_collected(&mut fixture).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn snapshots_are_kept_and_the_store_has_one_owner() {
            let fixture = $fixture;
            $crate::conformance::a_store_keeps_snapshots_and_has_one_owner(&fixture).await;
        }
    };
}
pub(crate) use segment_tests;

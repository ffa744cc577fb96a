//! Callers that leave: what becomes of their changes, and what an end waits for.

use std::pin::pin;
use std::sync::mpsc;

use futures::poll;
use tokio::sync::oneshot;

use super::model_test::{partition, segment};
use super::*;
use crate::clock::SystemClock;
use crate::segment::{LocalState, RemoteState};

fn open(folder: &tempfile::TempDir) -> Manifest {
    Manifest::open(&folder.path().join("manifest.db"), Arc::new(SystemClock)).unwrap()
}

/// Live rows of the partition, `count` of them.
async fn live(manifest: &Manifest, count: i64) -> Vec<Segment> {
    let live = |base| Segment {
        local: LocalState::Gone,
        remote: RemoteState::Live,
        ..segment(base, base + 9)
    };
    let rows: Vec<_> = (0..count).map(|n| live(n * 10)).collect();
    manifest.add_live(&partition(), rows.clone()).await.unwrap();
    rows
}

/// A change that is under way until the sender is dropped.
async fn under_way(manifest: &Manifest) -> mpsc::Sender<()> {
    let (began, begun) = oneshot::channel();
    let (gate, closed) = mpsc::channel();
    let work = move |_: &_| {
        began.send(()).unwrap();
        assert!(closed.recv().is_err(), "nothing is sent");
        Ok(())
    };
    {
        let mut call = pin!(manifest.writer.call((), work));
        assert!(poll!(&mut call).is_pending());
        begun.await.unwrap();
    }
    gate
}

#[tokio::test]
async fn an_end_makes_what_is_waited_for_and_leaves_the_rest_to_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = open(&folder);
    let rows = live(&manifest, 20).await;
    let gate = under_way(&manifest).await;
    {
        let mut expiry = pin!(manifest.change_all(rows.clone(), Change::BeginDelete));
        assert!(poll!(&mut expiry).is_pending(), "it is queued, and its caller leaves");
    }
    let sealed = segment(200, 209);
    let mut waits = pin!(manifest.insert_sealed(&sealed));
    assert!(poll!(&mut waits).is_pending());
    let mut close = pin!(manifest.close());
    assert!(poll!(&mut close).is_pending());
    drop(gate);
    close.await;
    waits.await.unwrap();

    let manifest = open(&folder);
    let totals = manifest.totals().await.unwrap();
    assert_eq!((totals.local_only.segments, totals.live_only.segments), (1, 20));
    manifest.change_all(rows, Change::BeginDelete).await.unwrap();
    assert_eq!(manifest.totals().await.unwrap().deleting.segments, 20, "it is made again");
}

#[tokio::test]
async fn a_row_that_changed_is_not_found_any_more_also_when_its_caller_left_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = open(&folder);
    live(&manifest, 2).await;
    let (id, first) = (partition().id(), Offset::ZERO);
    assert!(manifest.find(&partition(), first).await.unwrap().is_some());
    let (began, begun) = oneshot::channel();
    let (gate, closed) = mpsc::channel::<()>();
    let work = move |conn: &_| {
        began.send(()).unwrap();
        assert!(closed.recv().is_err(), "nothing is sent");
        change::apply(conn, id, first, None, &Change::BeginDelete, 1, "t-1").map(drop)
    };
    {
        let mut call = pin!(manifest.writer.call(manifest.cache.forget_after(vec![id]), work));
        assert!(poll!(&mut call).is_pending());
        begun.await.unwrap();
    }
    drop(gate);
    // Changes are made in their order: when this one is, the other one is too.
    manifest.insert_sealed(&segment(100, 109)).await.unwrap();
    assert_eq!(manifest.find(&partition(), first).await.unwrap(), None);
}

#[tokio::test]
async fn a_partition_of_many_rows_is_dropped_whole() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = open(&folder);
    live(&manifest, 2500).await;
    for n in 2500..2510 {
        manifest.insert_sealed(&segment(n * 10, n * 10 + 9)).await.unwrap();
    }
    manifest.drop_partition(&partition()).await.unwrap();
    let totals = manifest.totals().await.unwrap();
    assert_eq!((totals.deleting.segments, totals.local_only.segments), (2500, 0));
}

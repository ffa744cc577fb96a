//! A jump by time finds the row that a walk over all rows finds, whatever their timestamps are, and
//! whatever has changed in between.

use std::sync::Arc;

use proptest::prelude::*;

use super::model_test::{partition, segment};
use super::*;
use crate::clock::SystemClock;
use crate::segment::{LocalState, RemoteState};

/// Some more than it takes for times to be kept.
const ROWS: usize = times::ROWS_MIN as usize + 70;
/// Offsets of a row.
const SPAN: i64 = 10;

fn live(row: usize, max_timestamp_ms: i64) -> Segment {
    let base = i64::try_from(row).unwrap() * SPAN;
    let (local, remote) = (LocalState::Gone, RemoteState::Live);
    Segment { max_timestamp_ms, local, remote, ..segment(base, base + SPAN - 1) }
}

/// Timestamps as they may come: ascending more or less, equal, without order, one far in the future, none.
fn timestamps() -> impl Strategy<Value = Vec<i64>> {
    let noise = || proptest::collection::vec(0..40_i64, ROWS);
    let numbered = |noise: Vec<i64>, step: i64| {
        let late = |(row, noise): (usize, i64)| i64::try_from(row).unwrap() * step + noise;
        noise.into_iter().enumerate().map(late).collect::<Vec<_>>()
    };
    prop_oneof![
        noise().prop_map(move |noise| numbered(noise, 10)),
        noise().prop_map(move |noise| numbered(noise, 1)),
        noise(),
        Just(vec![7; ROWS]),
        Just(vec![-1; ROWS]),
        noise().prop_map(move |noise| numbered(noise, -3)),
        (noise(), 0..ROWS).prop_map(move |(noise, outlier)| {
            let mut all = numbered(noise, 10);
            all[outlier] = 1_000_000;
            all
        }),
    ]
}

/// Asks for times before, between and after all, each often enough that what is kept is asked too.
async fn compare(manifest: &Manifest, rows: &[Segment]) {
    let mut times: Vec<_> = rows.iter().step_by(29).map(|row| row.max_timestamp_ms).collect();
    times.extend([i64::MIN, -1, 0, 1_000_000, 1_000_001, i64::MAX]);
    for _ in 0..3 {
        for time in times.iter().flat_map(|time| [*time, time.saturating_add(1)]) {
            let expected = rows.iter().find(|row| row.max_timestamp_ms >= time);
            let found = manifest.find_by_time(&partition(), time).await.unwrap();
            assert_eq!(found.as_ref(), expected, "time {time}");
        }
    }
    let is_kept = manifest.cache.times(partition().id()).is_some();
    assert_eq!(is_kept, rows.len() as u64 >= times::ROWS_MIN);
}

async fn run(timestamps: Vec<i64>, gone: Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.db");
    let manifest = Manifest::open(&path, Arc::new(SystemClock)).unwrap();
    let mut rows: Vec<_> = timestamps.iter().enumerate().map(|(row, at)| live(row, *at)).collect();
    let pieces = PieceChange { pieces: rows.clone(), ..PieceChange::default() };
    manifest.replace_live(&partition(), pieces).await.unwrap();
    compare(&manifest, &rows).await;
    for row in gone {
        let row = rows.remove(row % rows.len());
        let gone = manifest.change(&partition(), row.base, None, Change::BeginDelete).await;
        gone.unwrap();
    }
    compare(&manifest, &rows).await;
    let new = live(ROWS, 500);
    manifest.add_live(&partition(), vec![new.clone()]).await.unwrap();
    rows.push(new);
    compare(&manifest, &rows).await;
    manifest.change_all(rows.split_off(40), Change::BeginDelete).await.unwrap();
    compare(&manifest, &rows).await;
    manifest.drop_partition(&partition()).await.unwrap();
    compare(&manifest, &[]).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_jump_by_time_finds_what_a_walk_over_all_rows_finds(
        timestamps in timestamps(), gone in proptest::collection::vec(0..ROWS, 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(timestamps, gone));
    }
}

#[tokio::test]
async fn times_that_were_looked_up_while_their_partition_changed_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.db");
    let manifest = Manifest::open(&path, Arc::new(SystemClock)).unwrap();
    let id = partition().id();
    let (cache, times) = (&manifest.cache, || Some(times::Times::of(vec![(Offset::ZERO, 7)])));
    assert_eq!(cache.asked(id), None, "one alone is not worth it");
    let ticket = cache.asked(id).expect("a ticket");
    assert_eq!(cache.asked(id), None, "one at a time");
    manifest.insert_sealed(&segment(0, 9)).await.unwrap();
    manifest.change(&partition(), Offset::ZERO, None, Change::Forget).await.unwrap();
    cache.remember_times(id, ticket, times());
    assert!(cache.times(id).is_none());
    assert_eq!(cache.asked(id), None);
    let failed = cache.asked(id).expect("a ticket");
    cache.remember_times(id, failed, None);
    assert_eq!(cache.asked(id), None);
    let again = cache.asked(id).expect("a ticket, since the last one failed");
    cache.remember_times(id, failed, times());
    assert!(cache.times(id).is_none());
    cache.remember_times(id, again, times());
    assert!(cache.times(id).is_some());
}

//! The manifest against a model: random changes, refused or done alike, with restarts in between.
//! A failing case prints its seed and its shrunk steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::SystemClock;
use crate::ids::{LeaderEpoch, TopicId};
use crate::segment::{LocalState, RemoteState};

#[derive(Clone, Debug)]
enum Action {
    Seal { base: i64, long: bool },
    Change { base: i64, change: Kind, stale: bool },
    DropPartition,
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Begin,
    Abandon,
    GoLive,
    LocalGone,
    Forget,
    BeginDelete,
    Deleted,
    ObjectsMissing,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let base = || (0..5_i64).prop_map(|slot| slot * 10);
    let kind = prop_oneof![
        3 => Just(Kind::Begin),
        1 => Just(Kind::Abandon),
        3 => Just(Kind::GoLive),
        2 => Just(Kind::LocalGone),
        1 => Just(Kind::Forget),
        2 => Just(Kind::BeginDelete),
        2 => Just(Kind::Deleted),
        1 => Just(Kind::ObjectsMissing),
    ];
    let seal = (base(), any::<bool>()).prop_map(|(base, long)| Action::Seal { base, long });
    let change = (base(), kind, proptest::bool::weighted(0.1))
        .prop_map(|(base, change, stale)| Action::Change { base, change, stale });
    let action = prop_oneof![
        4 => seal,
        12 => change,
        1 => Just(Action::DropPartition),
        1 => Just(Action::Reopen),
    ];
    proptest::collection::vec(action, 1..60)
}

/// What a row should be, told in the simplest way.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    end: i64,
    local: bool,
    remote: RemoteState,
    attempt: SegmentId,
}

#[derive(Default)]
struct Model(BTreeMap<i64, Known>);

impl Model {
    fn seal(&mut self, base: i64, end: i64, attempt: SegmentId) -> bool {
        let fresh = Known { end, local: true, remote: RemoteState::None, attempt };
        match self.0.get(&base) {
            None => drop(self.0.insert(base, fresh)),
            Some(known) if known.remote == RemoteState::None => {
                self.0.insert(base, fresh);
            }
            Some(known) => {
                return known.local && known.remote != RemoteState::Deleting && known.end == end;
            }
        }
        true
    }

    fn overlaps_live(&self, base: i64, end: i64) -> bool {
        let other = |(at, known): (&i64, &Known)| {
            *at != base && known.remote == RemoteState::Live && *at <= end && base <= known.end
        };
        self.0.iter().any(other)
    }

    fn change(&mut self, base: i64, kind: Kind, fresh: SegmentId) -> bool {
        use RemoteState::{Deleting, Live, None, Uploading};
        let Some(known) = self.0.get(&base).cloned() else { return false };
        let blocked = self.overlaps_live(base, known.end);
        let Known { local, remote, .. } = known;
        let next = |local, remote| Some(Known { local, remote, ..known.clone() });
        let after = match (kind, local, remote) {
            (Kind::Begin, true, None | Uploading) if !blocked => {
                Some(Known { attempt: fresh, remote: Uploading, ..known.clone() })
            }
            (Kind::Abandon, true, Uploading) => next(true, None),
            (Kind::GoLive, true, Uploading) if !blocked => next(true, Live),
            (Kind::LocalGone, true, Live | Deleting) => next(false, remote),
            (Kind::LocalGone | Kind::Forget, false, _) => next(false, remote),
            (Kind::Forget, true, None) => Option::None,
            (Kind::Forget, true, Uploading | Deleting) => next(false, Deleting),
            (Kind::BeginDelete, _, Live | Uploading | Deleting) => next(local, Deleting),
            (Kind::Deleted, true, Deleting) => next(true, None),
            (Kind::Deleted, false, Deleting) => Option::None,
            (Kind::ObjectsMissing, true, Live) => next(true, None),
            _ => return false,
        };
        match after {
            Some(after) => drop(self.0.insert(base, after)),
            Option::None => drop(self.0.remove(&base)),
        }
        true
    }

    fn drop_partition(&mut self) {
        self.0.retain(|_, known| known.remote != RemoteState::None);
        for known in self.0.values_mut() {
            (known.local, known.remote) = (false, RemoteState::Deleting);
        }
    }

    fn find(&self, offset: i64) -> Option<i64> {
        let holds = |(base, known): &(&i64, &Known)| {
            known.remote == RemoteState::Live && **base <= offset && offset <= known.end
        };
        self.0.iter().find(holds).map(|(base, _)| *base)
    }
}

pub(super) fn partition() -> PartitionKey {
    PartitionKey::new("t", TopicId::from_bytes([5; 16]), 1)
}

pub(super) fn segment(base: i64, end: i64) -> Segment {
    let span = (Offset::new(base), Offset::new(end));
    let epochs = vec![(LeaderEpoch::new(2), span.0)];
    Segment::sealed(partition(), span, (base, end), 7, LeaderEpoch::new(2), epochs, 9)
}

fn change_of(kind: Kind, attempt: SegmentId) -> Change {
    match kind {
        Kind::Begin => Change::BeginUpload { attempt, log_crc: 1 },
        Kind::Abandon => Change::AbandonUpload,
        Kind::GoLive => Change::GoLive,
        Kind::LocalGone => Change::LocalGone,
        Kind::Forget => Change::Forget,
        Kind::BeginDelete => Change::BeginDelete,
        Kind::Deleted => Change::Deleted,
        Kind::ObjectsMissing => Change::ObjectsMissing,
    }
}

async fn step(manifest: &Manifest, model: &mut Model, action: &Action) {
    match action {
        Action::Seal { base, long } => {
            let sealed = segment(*base, base + if *long { 14 } else { 9 });
            let done = manifest.insert_sealed(&sealed).await.is_ok();
            assert_eq!(done, model.seal(*base, sealed.end.get(), sealed.segment_id), "{action:?}");
        }
        Action::Change { base, change, stale } => {
            let known = model.0.get(base).map(|known| known.attempt);
            let attempt = if *stale { Some(SegmentId::random()) } else { known };
            let fresh = SegmentId::random();
            let work = change_of(*change, fresh);
            let done = manifest.change(&partition(), Offset::new(*base), attempt, work).await;
            let expected = !stale && model.change(*base, *change, fresh);
            assert_eq!(done.is_ok(), expected, "{action:?}: {done:?}");
        }
        Action::DropPartition => {
            manifest.drop_partition(&partition()).await.unwrap();
            model.drop_partition();
        }
        Action::Reopen => {}
    }
}

async fn compare(manifest: &Manifest, model: &Model) {
    let all = RowRange { from: Offset::ZERO, to: Offset::MAX, remote: None, limit: 100 };
    let rows = manifest.rows(&partition(), all).await.unwrap();
    let found: BTreeMap<i64, Known> = rows
        .iter()
        .map(|row| {
            let (end, attempt) = (row.end.get(), row.segment_id);
            let local = row.local == LocalState::Present;
            (row.base.get(), Known { end, local, remote: row.remote, attempt })
        })
        .collect();
    assert_eq!(found, model.0);
    for offset in (0..70).step_by(3) {
        let found = manifest.find(&partition(), Offset::new(offset)).await.unwrap();
        assert_eq!(found.map(|row| row.base.get()), model.find(offset), "offset {offset}");
    }
    let live: Vec<_> = rows.iter().filter(|row| row.is_live()).collect();
    assert!(live.windows(2).all(|pair| pair[0].end < pair[1].base), "no overlap");
    let bounds = manifest.bounds(&partition()).await.unwrap();
    assert_eq!(bounds.segments, live.len() as u64);
    assert_eq!(bounds.first_offset, live.first().map(|row| row.base));
    assert_eq!(bounds.end_offset, live.last().map(|row| row.end));
    assert_eq!(bounds.bytes, live.iter().map(|row| row.size).sum::<u64>());
    let latest = live.iter().map(|row| row.max_timestamp_ms).max();
    assert_eq!(bounds.max_timestamp_ms, latest.unwrap_or(-1));
    let first = live.first().map(|row| row.first_timestamp_ms);
    assert_eq!(bounds.first_timestamp_ms, first.unwrap_or(-1));
    let totals = manifest.totals().await.unwrap();
    let gone = live.iter().filter(|row| row.local == LocalState::Gone).count() as u64;
    assert_eq!(totals.live_only.segments, gone);
    assert_eq!(totals.live_and_local.segments, live.len() as u64 - gone);
    assert_eq!(sums(manifest).await, added_up(&rows));
}

type Sums = BTreeMap<i64, (u64, u64)>;

/// The sums that the manifest keeps, by state.
async fn sums(manifest: &Manifest) -> Sums {
    let kept = manifest.sums().await.unwrap().into_iter();
    let of =
        |sum: TopicSum| (row::remote_number(sum.remote), (sum.count.segments, sum.count.bytes));
    kept.map(of).collect()
}

fn added_up(rows: &[Segment]) -> Sums {
    let mut sums = Sums::new();
    for segment in rows {
        let (segments, bytes) = sums.entry(row::remote_number(segment.remote)).or_default();
        (*segments, *bytes) = (*segments + 1, *bytes + segment.size);
    }
    sums
}

async fn run(actions: Vec<Action>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.db");
    let open = || Manifest::open(&path, Arc::new(SystemClock)).unwrap();
    let (mut manifest, mut model) = (open(), Model::default());
    for action in &actions {
        step(&manifest, &mut model, action).await;
        if matches!(action, Action::Reopen) {
            manifest.close().await;
            manifest = open();
        }
        compare(&manifest, &model).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_manifest_does_what_the_model_does(actions in actions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(actions));
    }
}

#[tokio::test]
async fn a_change_that_fails_leaves_the_others_of_its_group_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.db");
    let manifest = Arc::new(Manifest::open(&path, Arc::new(SystemClock)).unwrap());
    let inserts = (0..200_i64).map(|n| {
        let manifest = Arc::clone(&manifest);
        let mut sealed = segment(n * 10, n * 10 + 9);
        sealed.size = if n % 7 == 0 { 0 } else { 1 };
        tokio::spawn(async move { manifest.insert_sealed(&sealed).await.is_ok() })
    });
    let inserts: Vec<_> = inserts.collect();
    for (n, insert) in inserts.into_iter().enumerate() {
        assert_eq!(insert.await.unwrap(), n % 7 != 0);
    }
    manifest.close().await;
    assert!(matches!(manifest.insert_sealed(&segment(0, 9)).await, Err(ManifestError::Closed)));
    let manifest = Manifest::open(&path, Arc::new(SystemClock)).unwrap();
    let totals = manifest.totals().await.unwrap();
    assert_eq!((totals.local_only.segments, totals.local_only.bytes), (171, 171));
}

#[tokio::test]
async fn a_change_of_many_rows_happens_to_all_or_to_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.db");
    let manifest = Manifest::open(&path, Arc::new(SystemClock)).unwrap();
    let rows = [segment(0, 9), segment(10, 19)];
    for row in &rows {
        manifest.insert_sealed(row).await.unwrap();
    }
    let attempt = SegmentId::random();
    let begin = Change::BeginUpload { attempt, log_crc: 5 };
    manifest.change(&partition(), Offset::ZERO, None, begin).await.unwrap();
    let uploading = Segment { segment_id: attempt, ..rows[0].clone() };
    let both = vec![uploading, rows[1].clone()];
    // The first may be deleted, the second has nothing to delete.
    assert!(manifest.change_all(both, Change::BeginDelete).await.is_err());
    assert_eq!(manifest.totals().await.unwrap().uploading.segments, 1);
}

#[tokio::test]
async fn rows_of_all_states_are_counted_and_unfinished_ones_found_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.db");
    let manifest = Manifest::open(&path, Arc::new(SystemClock)).unwrap();
    for n in 0..4 {
        manifest.insert_sealed(&segment(n * 10, n * 10 + 9)).await.unwrap();
    }
    let key = partition();
    let change = |base, change| manifest.change(&key, Offset::new(base), None, change);
    for base in [10, 20, 30] {
        let begin = Change::BeginUpload { attempt: SegmentId::random(), log_crc: 5 };
        change(base, begin).await.unwrap();
    }
    change(20, Change::GoLive).await.unwrap();
    change(30, Change::BeginDelete).await.unwrap();
    let totals = manifest.totals().await.unwrap();
    let counts = [totals.local_only, totals.uploading, totals.live_and_local, totals.deleting];
    assert!(counts.iter().all(|count| (count.segments, count.bytes) == (1, 7)), "{totals:?}");
    let unfinished = |state, partition| Unfinished {
        state,
        changed_before_ms: i64::MAX,
        partition,
        limit: 10,
        skip: 0,
    };
    let found = manifest.unfinished(unfinished(RemoteState::Uploading, None)).await.unwrap();
    assert_eq!(found.iter().map(|row| row.base.get()).collect::<Vec<_>>(), [10]);
    assert_eq!(found[0].log_crc, Some(5));
    let other = Some((TopicId::from_bytes([9; 16]), 1));
    let found = manifest.unfinished(unfinished(RemoteState::Deleting, other)).await.unwrap();
    assert_eq!(found.len(), 0);
    let covers = |base, end| manifest.covers(&key, Offset::new(base), Offset::new(end));
    assert!(covers(0, 39).await.unwrap() && !covers(35, 40).await.unwrap());
}

#[tokio::test]
async fn a_manifest_of_an_earlier_version_gets_its_sums_when_it_is_opened() {
    for earlier in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.db");
        let manifest = Manifest::open(&path, Arc::new(SystemClock)).unwrap();
        for n in 0..3 {
            manifest.insert_sealed(&segment(n * 10, n * 10 + 9)).await.unwrap();
        }
        manifest.close().await;
        back_to(earlier, &rusqlite::Connection::open(&path).unwrap());
        let manifest = Manifest::open(&path, Arc::new(SystemClock)).unwrap();
        assert_eq!(sums(&manifest).await, Sums::from([(0, (3, 21))]), "from version {earlier}");
        let begin = Change::BeginUpload { attempt: SegmentId::random(), log_crc: 5 };
        manifest.change(&partition(), Offset::new(10), None, begin).await.unwrap();
        assert_eq!(sums(&manifest).await, Sums::from([(0, (2, 14)), (1, (1, 7))]));
    }
}

/// How an earlier version left its file: as it was made by its own migrations, and with a note of them alone.
fn back_to(version: i64, connection: &rusqlite::Connection) {
    let first = "DROP TRIGGER segment_added; DROP TRIGGER segment_removed; \
                 DROP TRIGGER segment_changed; DROP TRIGGER segment_moved; DROP TABLE sums; \
                 DROP INDEX segments_unfinished_in_partition;";
    connection.execute_batch(first).unwrap();
    if version == 2 {
        let second = include_str!("../../../migrations/manifest/V2__sums.sql");
        connection.execute_batch(second).unwrap();
    }
    let note = "DELETE FROM refinery_schema_history WHERE version > ?1";
    connection.execute(note, [version]).unwrap();
}

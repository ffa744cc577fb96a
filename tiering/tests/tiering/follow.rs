//! A process that only reads a store which another one owns, and goes along with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use icecore_tiering::{
    CollectOptions, Follow, MetaKind, NotOwner, ObjectPart, Offset, OpenError, OwnerIdentity,
    Retention, Scope, Segment, StoreError, TakeOver, Tiering,
};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::bad_store::{BadStore, Call, Fault};
use crate::fixture::{Fixture, Made, key, read_log};

/// From an offset on, and over no hole.
fn from(next: i64) -> Follow {
    Follow { next: Offset::new(next), over_holes: false }
}

async fn bases(tiering: &Tiering) -> Vec<i64> {
    let rows = tiering.segments(&key("t", 0), Offset::ZERO..Offset::MAX, 100).await.unwrap();
    rows.iter().map(|row| row.base.get()).collect()
}

/// The owner's tiering, and the reader's with a manifest of its own.
struct Both {
    owned: Fixture,
    read: Fixture,
    owner: Arc<Tiering>,
    reader: Arc<Tiering>,
}

impl Both {
    async fn over(store: &BadStore) -> Self {
        let (owned, mut read) = (store.fixture(), store.fixture());
        read.config.store.read_only = true;
        let owner = owned.open().await;
        let reader = read.open().await;
        Self { owned, read, owner, reader }
    }

    /// Uploads a segment of ten offsets, which is in the store alone from then on.
    async fn upload(&self, base: i64) -> (Made, Segment) {
        let made = self.owned.make(&key("t", 0), base, base + 9, 1_000);
        let segment = made.upload(&self.owner).await;
        self.owner.local_gone(&segment).await.unwrap();
        (made, segment)
    }

    /// Ends what lies below an offset, as retention does.
    async fn expire_below(&self, log_start: i64) {
        let retention = Retention { log_start: Offset::new(log_start), ..Retention::default() };
        let plan = self.owner.plan_expiry(&key("t", 0), retention, 0, 0).await.unwrap();
        self.owner.expire(&plan).await.unwrap();
    }

    async fn follow(&self, next: i64) -> (i64, Option<(i64, i64)>) {
        let followed = self.reader.follow(&key("t", 0), from(next)).await.unwrap();
        let hole = followed.hole.map(|(first, last)| (first.get(), last.get()));
        (followed.next.get(), hole)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_takes_in_what_the_owner_uploads_and_reads_it() {
    let store = BadStore::new();
    let both = Both::over(&store).await;
    assert_eq!(both.follow(0).await, (0, None), "nothing is there yet");
    let mut all = Vec::new();
    for base in [0, 10, 20, 30] {
        all.push(both.upload(base).await.0);
    }
    assert_eq!(both.follow(0).await, (40, None));
    all.push(both.upload(40).await.0);
    let followed = both.reader.follow(&key("t", 0), from(40)).await.unwrap();
    assert_eq!((followed.segments, followed.next.get(), followed.leader_epoch.get()), (1, 50, 3));
    for made in &all {
        let row = both.reader.find(&key("t", 0), made.segment.base).await.unwrap().unwrap();
        assert!(read_log(&both.reader, &row).await == made.log);
    }
    // Its manifest outlives it, and it goes on behind what it knows.
    let Both { read, reader, .. } = both;
    reader.close().await;
    drop(reader);
    let again = read.open().await;
    assert_eq!(bases(&again).await, [0, 10, 20, 30, 40]);
    assert_eq!(again.follow(&key("t", 0), from(50)).await.unwrap().segments, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_reader_can_be_asked_for_changes_the_store() {
    let store = BadStore::new();
    let both = Both::over(&store).await;
    let (made, segment) = both.upload(0).await;
    let before = store.names().await;
    both.follow(0).await;
    let reader = &both.reader;
    let put = reader.put_meta(MetaKind::new("cluster"), Bytes::from_static(b"x")).await;
    assert!(put.unwrap_err().to_string().contains("to be read only"));
    let identity = OwnerIdentity { instance: "r".into(), holder: "a reader".into() };
    for take_over in [TakeOver::Never, TakeOver::Now] {
        let owned = reader.own(identity.clone(), take_over, &|_, _| ()).await;
        assert!(owned.is_err(), "{take_over:?}");
    }
    let other = both.owned.make(&key("t", 0), 10, 19, 1_000);
    reader.record_sealed(&other.segment).await.unwrap();
    reader.offload(&other.segment, other.parts.clone()).await.unwrap_err();
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    both.read.clock.advance(60_000);
    drop(reader.collect_garbage(&options).await);
    reader.delete_topic("t", key("t", 0).topic_id).await.unwrap_err();
    assert_eq!(store.names().await, before);
    let create = both.read.store().await;
    let name = Path::parse("x").unwrap();
    for refused in [
        create.put(&name, Bytes::new()).await,
        create.create(&name, Bytes::new()).await,
        create.delete(vec![name.clone()]).await,
        create.multipart(&name).await.map(drop),
    ] {
        let read_only =
            matches!(refused, Err(StoreError::NotOwner { reason: NotOwner::ReadOnly, .. }));
        assert!(read_only, "{refused:?}");
    }
    assert!(read_log(&both.owner, &segment).await == made.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_the_cluster_gets_no_marker_from_a_reader() {
    let store = BadStore::new();
    let mut read = store.fixture();
    read.config.store.read_only = true;
    let refused = read.try_open().await.err();
    assert!(matches!(refused, Some(OpenError::Mismatch { .. })), "{refused:?}");
    assert!(store.names().await.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    let mut nowhere = Fixture::new("folder://");
    nowhere.config.store =
        icecore_tiering::StoreSettings::new(format!("file://{}", missing.display()));
    nowhere.config.store.read_only = true;
    let refused = nowhere.try_open().await.err().unwrap().to_string();
    assert!(refused.contains("cannot use the folder"), "{refused}");
    assert!(!missing.exists(), "a reader makes no folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_shows_behind_a_hole_waits_until_the_hole_is_filled_or_is_said_to_be_real() {
    for fills in [true, false] {
        let store = BadStore::new();
        let both = Both::over(&store).await;
        both.upload(0).await;
        both.follow(0).await;
        let (_, hidden) = both.upload(10).await;
        both.upload(20).await;
        let name = both.owner.object_name(&hidden, ObjectPart::Log);
        let name = Path::parse(name).unwrap();
        let log = store.objects.get(&name).await.unwrap().bytes().await.unwrap();
        store.objects.delete(&name).await.unwrap();
        for _ in 0..3 {
            assert_eq!(both.follow(10).await, (10, Some((10, 19))), "however often it is seen");
            assert_eq!(bases(&both.reader).await, [0]);
        }
        if fills {
            store.objects.put(&name, log.into()).await.unwrap();
            assert_eq!(both.follow(10).await, (30, None));
            assert_eq!(bases(&both.reader).await, [0, 10, 20]);
        } else {
            let over = Follow { over_holes: true, ..from(10) };
            let followed = both.reader.follow(&key("t", 0), over).await.unwrap();
            assert_eq!((followed.next.get(), followed.segments), (30, 1));
            assert!(followed.hole.is_some(), "it is told of");
            assert_eq!(bases(&both.reader).await, [0, 20]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_broker_says_that_the_log_starts_there_is_no_hole_before_it() {
    let store = BadStore::new();
    let both = Both::over(&store).await;
    for base in [0, 10, 20] {
        both.upload(base).await;
    }
    both.expire_below(20).await;
    assert_eq!(both.follow(0).await, (0, Some((0, 19))), "as far as the reader knows");
    assert_eq!(both.follow(20).await, (30, None));
    assert_eq!(bases(&both.reader).await, [20]);
}

/// A reader that follows by such lists knows what it knew, and later the rest.
async fn ends_nothing(fault: Fault) {
    let store = BadStore::new();
    let both = Both::over(&store).await;
    both.upload(0).await;
    both.upload(10).await;
    both.follow(0).await;
    store.remember().await;
    both.upload(20).await;
    both.upload(30).await;
    store.order(Call::List, "topics", fault, 3);
    for _ in 0..3 {
        if let Ok(followed) = both.reader.follow(&key("t", 0), from(20)).await {
            assert!(followed.next.get() <= 40, "{followed:?}");
        }
        let known = bases(&both.reader).await;
        assert!(known.starts_with(&[0, 10]) && [0, 10, 20, 30].starts_with(&known), "{known:?}");
    }
    assert_eq!(store.unmet(), 0);
    let next = bases(&both.reader).await.len() as i64 * 10;
    assert_eq!(both.follow(next).await, (40, None));
    assert_eq!(bases(&both.reader).await, [0, 10, 20, 30]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_empty_short_old_or_cut_end_nothing() {
    for fault in [Fault::Empty, Fault::ShortBody, Fault::Stale, Fault::Cut, Fault::Denied] {
        ends_nothing(fault).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_history_begins_is_asked_of_the_store_by_name_and_of_this_store_alone() {
    let store = BadStore::new();
    let both = Both::over(&store).await;
    for base in [0, 10, 20, 30] {
        both.upload(base).await;
    }
    both.follow(0).await;
    let first = async || both.reader.first_there(&key("t", 0)).await;
    assert_eq!(first().await.unwrap(), Some(Offset::ZERO));
    both.expire_below(20).await;
    assert_eq!(bases(&both.reader).await, [0, 10, 20, 30], "nothing goes by itself");
    assert_eq!(first().await.unwrap(), Some(Offset::new(20)));
    // A store that denies, or is another one, says nothing.
    store.order(Call::Get, ".log", Fault::Denied, 1);
    first().await.unwrap_err();
    store.order(Call::Get, "marker.json", Fault::NotFound, 1);
    assert!(first().await.unwrap_err().to_string().contains("no marker object"));

    assert_eq!(both.reader.withdraw_below(&key("t", 0), Offset::new(20)).await.unwrap(), 2);
    assert_eq!(bases(&both.reader).await, [20, 30]);
    both.owner.delete_topic("t", key("t", 0).topic_id).await.unwrap();
    assert_eq!(first().await.unwrap(), None, "all of it is gone, by name");
    both.reader.withdraw_below(&key("t", 0), Offset::MAX).await.unwrap();
    assert_eq!(bases(&both.reader).await, [] as [i64; 0]);
}

//! Snapshots of what the caller keeps beside segments.

use bytes::Bytes;
use icecore_tiering::{MetaError, MetaKind, Tiering};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use crate::bad_store::{BadStore, Call, Fault};

const THINGS: MetaKind = MetaKind::new("things");

async fn newest(tiering: &Tiering) -> Option<(u64, Bytes)> {
    let found = tiering.newest_meta(THINGS).await.unwrap();
    found.newest.map(|snapshot| (snapshot.number, snapshot.payload))
}

async fn things(store: &BadStore) -> Vec<String> {
    let names = store.names().await;
    names.into_iter().filter(|name| name.contains("/meta/things/")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_snapshot_counts_and_a_few_older_ones_stay() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    assert_eq!(newest(&tiering).await, None);
    for number in 1..=9_u64 {
        let payload = Bytes::from(format!("state {number}"));
        assert_eq!(tiering.put_meta(THINGS, payload.clone()).await.unwrap(), number);
        assert_eq!(newest(&tiering).await, Some((number, payload)));
    }
    assert_eq!(things(&store).await.len(), 4 + 1, "four of them, and the anchor");
    tiering.close().await;
    drop(tiering);

    // Another start goes on with the numbers, and other kinds have their own.
    let tiering = fixture.open().await;
    assert_eq!(tiering.put_meta(THINGS, Bytes::new()).await.unwrap(), 10);
    assert_eq!(tiering.put_meta(MetaKind::new("others"), Bytes::new()).await.unwrap(), 1);
    assert_eq!(things(&store).await.len(), 4 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_told_of_and_the_one_before_it_counts() {
    let store = BadStore::new();
    let tiering = store.fixture().open().await;
    for state in ["one", "two", "three"] {
        tiering.put_meta(THINGS, state.into()).await.unwrap();
    }
    let names = things(&store).await;
    let newest_name = Path::from(names.last().unwrap().as_str());
    let mut bytes = store.objects.get(&newest_name).await.unwrap().bytes().await.unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    store.objects.put(&newest_name, PutPayload::from(bytes)).await.unwrap();
    let found = tiering.newest_meta(THINGS).await.unwrap();
    assert_eq!(found.newest.unwrap().payload, "two");
    assert_eq!(found.damaged.len(), 1);
    assert!(found.damaged[0].contains(&names[2]), "{:?}", found.damaged);

    store.objects.put(&newest_name, PutPayload::from("<html>log in</html>")).await.unwrap();
    assert_eq!(newest(&tiering).await.unwrap().1, "two");
    // The next one is above the damaged one.
    assert_eq!(tiering.put_meta(THINGS, "four".into()).await.unwrap(), 4);
    assert_eq!(newest(&tiering).await.unwrap().1, "four");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_outcome_is_unknown_is_looked_up() {
    for fault in [Fault::FailAfterLanding, Fault::ExistsAfterLanding] {
        let store = BadStore::new();
        let tiering = store.fixture().open().await;
        store.order(Call::Put, "/meta/things/", fault, 1);
        assert_eq!(tiering.put_meta(THINGS, "it".into()).await.unwrap(), 1, "{fault:?}: ours");
        assert_eq!(newest(&tiering).await, Some((1, "it".into())));
    }
    let store = BadStore::new();
    let tiering = store.fixture().open().await;
    store.order(Call::Put, "/meta/things/", Fault::Unavailable, 1);
    let error = tiering.put_meta(THINGS, "it".into()).await.unwrap_err();
    assert!(error.to_string().contains("busy or out of reach"), "{error}");
    assert_eq!(newest(&tiering).await, None);
    assert_eq!(tiering.put_meta(THINGS, "it".into()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_never_overwrite_each_other() {
    let store = BadStore::new();
    let (one, two) = (store.fixture(), store.fixture());
    let (one, two) = (one.open().await, two.open().await);
    for round in 0..5 {
        let (payload, other) = (format!("one {round}"), format!("two {round}"));
        let (first, second) = tokio::join!(
            one.put_meta(THINGS, payload.clone().into()),
            two.put_meta(THINGS, other.clone().into())
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_ne!(first, second);
        let last = if first > second { payload } else { other };
        assert_eq!(newest(&one).await, Some((first.max(second), last.into())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_no_snapshot_is_only_said_of_the_right_store() {
    let store = BadStore::new();
    let tiering = store.fixture().open().await;
    tiering.put_meta(THINGS, "it".into()).await.unwrap();
    store.order(Call::Get, "marker.json", Fault::NotFound, 1);
    let error = tiering.newest_meta(THINGS).await.unwrap_err();
    assert!(matches!(error, MetaError::Vouch(_)), "{error}");
    store.order(Call::Get, "/meta/things/", Fault::Unavailable, 1);
    assert!(matches!(tiering.newest_meta(THINGS).await, Err(MetaError::Store(_))));
    // A body that was cut is asked for again by nobody: it is damaged, and told.
    store.order(Call::Get, "/meta/things/00000000000000000001", Fault::ShortBody, 1);
    let found = tiering.newest_meta(THINGS).await.unwrap();
    assert!(found.newest.is_none() && found.damaged.len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_snapshot_is_written_behind_a_newer_one_when_a_list_is_empty() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    for _ in 0..9 {
        tiering.put_meta(THINGS, "old".into()).await.unwrap();
    }
    drop(tiering);
    let tiering = fixture.open().await;
    store.order(Call::List, "/meta/things", Fault::Empty, 2);
    assert!(tiering.newest_meta(THINGS).await.is_err(), "there are some");
    assert!(tiering.put_meta(THINGS, "new".into()).await.is_err(), "it would not count");
    assert_eq!(tiering.put_meta(THINGS, "new".into()).await.unwrap(), 10);
    assert_eq!(newest(&tiering).await, Some((10, "new".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_snapshot_counts_also_when_a_list_lags_behind_it() {
    let store = BadStore::new();
    let tiering = store.fixture().open().await;
    for faulty in [Fault::Stale, Fault::Empty] {
        store.remember().await;
        let number = tiering.put_meta(THINGS, "new".into()).await.unwrap();
        store.order(Call::List, "/meta/things", faulty, 1);
        assert_eq!(newest(&tiering).await, Some((number, "new".into())), "{faulty:?}");
        assert_eq!(store.unmet(), 0);
    }
}

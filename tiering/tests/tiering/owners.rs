//! Two brokers and one store: one of them owns it, and the other one knows.

use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{
    CollectOptions, NotOwner, Offset, OwnerError, OwnerIdentity, Ownership, Scope, TakeOver,
    Tiering,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bad_store::{BadStore, Call, Fault};
use crate::fixture::{Fixture, key};

fn identity(name: &str) -> OwnerIdentity {
    OwnerIdentity { instance: name.into(), holder: format!("broker {name}") }
}

async fn own(
    tiering: &Arc<Tiering>,
    name: &str,
    take_over: TakeOver,
) -> Result<Ownership, OwnerError> {
    tiering.own(identity(name), take_over, &|_, _| ()).await
}

async fn collect(tiering: &Tiering) -> Result<(), String> {
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    tiering.collect_garbage(&options).await.map(drop).map_err(|error| error.to_string())
}

/// Both see the same objects, each with a manifest of its own.
async fn two(store: &BadStore) -> (Fixture, Fixture, Arc<Tiering>, Arc<Tiering>) {
    let (one, two) = (store.fixture(), store.fixture());
    let (first, second) = (one.open().await, two.open().await);
    second.reconcile(&Scope::All, &[]).await.unwrap();
    (one, two, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_owner_is_not_replaced_and_one_that_ended_in_order_is() {
    let store = BadStore::new();
    let (_one, _two, first, second) = two(&store).await;
    let owner = own(&first, "a", TakeOver::Never).await.unwrap();
    let refused = own(&second, "b", TakeOver::Never).await.err().unwrap().to_string();
    assert!(refused.contains("belongs to another broker: broker a"), "{refused}");
    // The same disk goes on at once, whatever it left.
    drop(owner);
    let owner = own(&first, "a", TakeOver::Never).await.unwrap();
    owner.release().await.unwrap();
    let refused = own(&second, "b", TakeOver::Never).await;
    assert!(matches!(refused, Err(OwnerError::Held { .. })), "its disk knows nothing of it");
    own(&second, "b", TakeOver::WhenFree).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_silent_is_replaced_after_all_that_it_began_has_ended() {
    let store = BadStore::new();
    let (_one, _two, first, second) = two(&store).await;
    let owner = own(&first, "a", TakeOver::Never).await.unwrap();
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(owner.keep(stop.clone()));
    // As long as it renews it is not replaced.
    let watched = own(&second, "b", TakeOver::WhenFree).await;
    assert!(matches!(watched, Err(OwnerError::Held { .. })));
    assert_eq!(first.check_owner(), Ok(()));
    keeping.abort();
    drop(keeping.await);

    let began = Instant::now();
    let owner = own(&second, "b", TakeOver::WhenFree).await.unwrap();
    // 60 s in which it may begin something, 60 s until that has ended, and a margin.
    assert!(began.elapsed() >= Duration::from_secs(150), "{:?}", began.elapsed());
    assert_eq!(second.check_owner(), Ok(()));
    assert_eq!(first.check_owner(), Err(NotOwner::Unsure));
    owner.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_owner_notices_and_neither_deletes_nor_uploads() {
    let store = BadStore::new();
    let (one, two, first, second) = two(&store).await;
    let mut owner = own(&first, "a", TakeOver::Never).await.unwrap();
    let partition = key("t", 0);
    let segment = one.make(&partition, 0, 9, 1_000).upload(&first).await;

    let new_owner = own(&second, "b", TakeOver::Now).await.unwrap();
    second.reconcile(&Scope::All, &[]).await.unwrap();
    // Objects that the first one's manifest does not know, and would take for garbage.
    let other = two.make(&partition, 10, 19, 1_000).upload(&second).await;
    let before = store.names().await;
    let deposed = owner.renew_now().await.unwrap_err().to_string();
    assert!(deposed.contains("belongs to another broker: broker b"), "{deposed}");
    assert!(matches!(first.check_owner(), Err(NotOwner::Deposed { .. })));

    let refused = collect(&first).await;
    let plan = first
        .plan_expiry(
            &partition,
            icecore_tiering::Retention { ms: None, bytes: None, log_start: Offset::new(10) },
            0,
            0,
        )
        .await
        .unwrap();
    assert_eq!(plan.segments.len(), 1);
    let error = first.expire(&plan).await.unwrap_err().to_string();
    assert!(error.contains("another broker took over: broker b"), "{error}");
    assert!(first.delete_topic("t", partition.topic_id).await.is_err());
    let made = one.make(&partition, 20, 29, 1_000);
    first.record_sealed(&made.segment).await.unwrap();
    assert!(first.offload(&made.segment, made.parts.clone()).await.is_err());
    let after: Vec<_> =
        store.names().await.into_iter().filter(|name| !name.contains("/meta/")).collect();
    let before: Vec<_> = before.into_iter().filter(|name| !name.contains("/meta/")).collect();
    assert_eq!(after, before, "{refused:?}");
    for segment in [&segment, &other] {
        assert!(second.read(segment, 0..10).await.is_ok());
    }
    new_owner.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_stops_changes_and_lets_them_through_when_it_is_back() {
    let store = BadStore::new();
    let fixture = store.fixture();
    let tiering = fixture.open().await;
    let owner = own(&tiering, "a", TakeOver::Never).await.unwrap();
    store.order(Call::Put, "/meta/owner/", Fault::Unavailable, 45);
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(owner.keep(stop.clone()));
    tokio::time::sleep(Duration::from_secs(65)).await;
    assert_eq!(tiering.check_owner(), Err(NotOwner::Unsure));
    tokio::time::sleep(Duration::from_secs(65)).await;
    assert_eq!(tiering.check_owner(), Ok(()), "the same owner, without a restart");
    stop.cancel();
    keeping.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_outcome_is_unknown_is_looked_up() {
    for fault in [Fault::FailAfterLanding, Fault::ExistsAfterLanding] {
        let store = BadStore::new();
        let tiering = store.fixture().open().await;
        let mut owner = own(&tiering, "a", TakeOver::Never).await.unwrap();
        for _ in 0..3 {
            store.order(Call::Put, "/meta/owner/", fault, 1);
            owner.renew_now().await.unwrap();
        }
        // One that lands after it was given up is its own as well.
        store.order(Call::Put, "/meta/owner/", Fault::FailAfterLanding, 1);
        store.order(Call::Get, "/meta/owner/", Fault::Unavailable, 1);
        owner.renew_now().await.unwrap_err();
        owner.renew_now().await.unwrap();
        assert_eq!(tiering.check_owner(), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_seen_although_the_list_of_its_records_lies() {
    let store = BadStore::new();
    let (_one, _two, first, second) = two(&store).await;
    let mut owner = own(&first, "a", TakeOver::Never).await.unwrap();
    for renewals in [0, 8] {
        for _ in 0..renewals {
            owner.renew_now().await.unwrap();
        }
        for fault in [Fault::Empty, Fault::ShortBody] {
            store.order(Call::List, "/meta/owner", fault, 1);
            let owned = own(&second, "b", TakeOver::Never).await;
            assert!(owned.is_err(), "{renewals} {fault:?}");
            owner.renew_now().await.unwrap();
        }
    }
}

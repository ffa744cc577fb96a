//! Several processes and one cache: what each is given, and who owns it next.

use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use super::Turn;
use super::fixture_test::{
    NORMAL, Process, SOON, Stranger, ask, bytes_of, content, fill, keep, key, two, until,
};
use super::frame::OwnerSays;
use crate::cache::{CHUNK_BYTES, CacheClass, Lookup};

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_lent_what_the_owner_has_and_the_owner_has_what_a_guest_brings() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    assert_eq!(owner.fetched(0..8).await, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(guest.fetched(0..12).await, [8, 9, 10, 11]);
    assert_eq!(owner.fetched(0..12).await, [0; 0]);
    let third = Process::new(folder.path(), 64).await;
    assert_eq!(third.fetched(0..12).await, [0; 0]);
    assert_eq!(owner.cache.guests(), 2);
    let counted = guest.counted();
    assert_eq!((counted.shared_hits, counted.guest_fallbacks), (8, 0));
    assert_eq!(third.counted().shared_hits, 12);
    assert_eq!((owner.counted().guest_refusals, owner.counted().wrong_chunks), (0, 0));
    // What was lent a moment ago is not asked for again.
    assert!(matches!(guest.cache.get(&key(7), NORMAL), Lookup::Ready(_)));
    drop(third);
    until("a guest less", || owner.cache.guests() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_chunks_are_given_and_taken_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 256).await;
    let mut claim = guest.claim(0, 10).await;
    assert_eq!(claim.count(), 10);
    for chunk in 0..4 {
        keep(&mut claim, chunk).await;
    }
    // What is behind them is still on its way.
    let Turn::Here(found) = owner.cache.turn(key(0), 10, NORMAL).await else { panic!("not there") };
    assert_eq!(found.len(), 4);
    drop(found);
    let late = owner.claim(20, 5).await;
    let early = guest.claim(15, 10).await;
    assert_eq!((late.count(), early.count()), (5, 5), "up to what another one brings");
    drop(claim);
    assert_eq!(owner.claim(4, 20).await.count(), 11, "what was given up, up to the guest's");
    assert_eq!(guest.claim(1000, 1000).await.count(), 256, "as many as a question may be about");
    assert_eq!(owner.counted().guest_refusals, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_guests_hold_is_not_counted_on_by_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    assert_eq!(owner.fetched(0..2).await, [0, 1]);
    let lent = [guest.read(0).await.0, guest.read(1).await.0];
    assert_eq!(owner.cache.slots(), 62);
    drop(guest);
    until("a guest less", || owner.cache.guests() == 0).await;
    assert_eq!(owner.cache.slots(), 62, "they are read from all the same");
    drop(lent);
    until("all of them are free", || owner.cache.slots() == 64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_a_chunk_that_another_process_brings_waits_and_is_given_it() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    for (brings, waits) in [(&owner, &guest), (&guest, &owner)] {
        let chunk = if brings.cache.is_guest() { 1 } else { 2 };
        let mut claim = brings.claim(chunk, 1).await;
        let (waited, ()) = tokio::join!(waits.read(chunk), async {
            until("it waits", || owner.waiters(chunk) == 1).await;
            keep(&mut claim, chunk).await;
        });
        assert!(!waited.1, "it was fetched once");
    }
    let third = Process::new(folder.path(), 64).await;
    let claim = guest.claim(5, 1).await;
    let (waited, ()) = tokio::join!(third.read(5), async {
        until("it waits", || owner.waiters(5) == 1).await;
        drop(claim);
    });
    assert!(waited.1, "what is given up is somebody else's turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_leaves_in_the_middle_of_a_flight_leaves_it_to_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    let (mut stranger, _) = Stranger::welcomed(folder.path()).await;
    stranger.says(&ask(1, 3, 4)).await;
    assert_eq!(stranger.hears().await, Some(OwnerSays::Yours { ask: 1, count: 4 }));
    let began = Instant::now();
    let (by_owner, by_guest, ()) = tokio::join!(owner.read(3), guest.read(4), async {
        until("both wait", || [3, 4].map(|chunk| owner.waiters(chunk)) == [1; 2]).await;
        drop(stranger);
    });
    assert!(by_owner.1 && by_guest.1 && began.elapsed() < SOON);
    assert_eq!(owner.counted().guest_fallbacks + guest.counted().guest_fallbacks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_hangs_in_the_middle_of_a_flight_is_passed_over_with_all_that_it_was_to_bring()
{
    let folder = tempfile::tempdir().unwrap();
    let hasty = Duration::from_millis(5);
    let owner = Process::patient(folder.path(), 64, hasty).await;
    let guest = Process::new(folder.path(), 64).await;
    let (mut stranger, _) = Stranger::welcomed(folder.path()).await;
    for (number, chunk) in [(1, 0), (2, 10)] {
        stranger.says(&ask(number, chunk, 4)).await;
        let yours = OwnerSays::Yours { ask: number, count: 4 };
        assert_eq!(stranger.hears().await, Some(yours));
    }
    assert_eq!(owner.claim(1, 9).await.count(), 9, "up to what else is on its way");
    assert_eq!(guest.claim(10, 9).await.count(), 9);
    assert_eq!(owner.counted().guest_fallbacks, 2);
    assert_eq!(owner.fetched(0..14).await.len(), 14);
    // It wakes up, and brings what is there already.
    stranger.says(&fill(3, 0, content(0))).await;
    assert!(matches!(stranger.hears().await, Some(OwnerSays::Filled { ask: 3, .. })));
    drop(stranger);
    assert_eq!(guest.fetched(0..14).await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_becomes_owner_when_the_owner_ends_and_has_all_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    let third = Process::new(folder.path(), 64).await;
    assert_eq!(owner.fetched(0..10).await.len(), 10);
    assert_eq!(guest.fetched(10..20).await.len(), 10);
    let lent = guest.read(3).await.0;
    drop(owner);
    let owns = || [&guest, &third].map(|process| !process.cache.is_guest());
    until("a next owner", || owns() != [false; 2]).await;
    let (next, other) = if owns()[0] { (&guest, &third) } else { (&third, &guest) };
    until("a guest of it", || next.cache.guests() == 1).await;
    assert!(bytes_of(&lent) == content(3));
    assert_eq!(next.fetched(0..20).await, [0; 0]);
    until("a way to it", || other.cache.room_slots() == 64).await;
    assert_eq!(other.fetched(0..20).await, [0; 0]);
    assert_eq!(other.fetched(20..25).await.len(), 5);
    assert_eq!(next.fetched(20..25).await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_a_guest_reads_is_written_over_by_nobody_whatever_becomes_of_owners() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 16).await;
    assert_eq!(owner.fetched(0..16).await.len(), 16);
    let lent = [guest.read(0).await.0, guest.read(1).await.0];
    let unchanged = |when: &str| {
        (0..)
            .zip(&lent)
            .for_each(|(chunk, pin)| assert!(bytes_of(pin) == content(chunk), "{when}"));
    };
    owner.fetched(20..60).await;
    unchanged("the owner has turned the rest over");
    drop(owner);
    until("a next owner", || !guest.cache.is_guest()).await;
    guest.fetched(60..100).await;
    unchanged("another owner has turned the rest over");
    // It knows of what it lent itself as a guest by its locks alone.
    let third = Process::new(folder.path(), 16).await;
    third.fetched(100..140).await;
    unchanged("a guest of it has turned the rest over");
    drop(lent);
    let slab = folder.path().join("slab-0000");
    let first = || {
        let mut bytes = vec![0; 1000];
        std::fs::File::open(&slab).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        bytes == content(0)[..1000]
    };
    assert!(first(), "slot 0 was kept");
    let deadline = Instant::now() + SOON;
    for chunk in 200.. {
        guest.read(chunk).await;
        if !first() {
            break;
        }
        assert!(Instant::now() < deadline, "the slot is used again in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_was_told_last_stays_in_its_place_to_the_end_of_an_owner() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Process::new(folder.path(), 16).await;
    assert_eq!(owner.fetched(0..16).await.len(), 16);
    let (mut stranger, _) = Stranger::welcomed(folder.path()).await;
    stranger.says(&ask(1, 0, 1)).await;
    let Some(OwnerSays::Here { places, .. }) = stranger.hears().await else { panic!("not there") };
    // It has not come to lock the slot when the owner ends, in which a chunk or two still land.
    let cache = owner.own();
    drop(owner);
    assert_eq!(stranger.hears().await, None);
    for chunk in 100..140 {
        let slot = cache.reserve().await.unwrap();
        slot.fill(key(chunk), NORMAL, content(chunk)).await.unwrap();
    }
    let mut bytes = vec![0; 1000];
    let slab = std::fs::File::open(folder.path().join("slab-0000")).unwrap();
    slab.read_exact_at(&mut bytes, u64::from(places[0].slot) * CHUNK_BYTES).unwrap();
    assert!(bytes == content(0)[..1000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_shrinks_under_a_reader_leaves_it_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    assert_eq!(owner.fetched(0..64).await.len(), 64);
    let lent = guest.read(60).await.0;
    drop(owner);
    drop(guest);
    let small = Process::new(folder.path(), 16).await;
    assert!(!small.cache.is_guest());
    small.fetched(100..120).await;
    drop(small);
    let large = Process::new(folder.path(), 64).await;
    large.fetched(200..264).await;
    assert!(bytes_of(&lent) == content(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_reads_of_a_topic_to_pass_drives_out_nothing_of_others() {
    for (class, left) in [(CacheClass::Pass, true), (NORMAL, false)] {
        let folder = tempfile::tempdir().unwrap();
        let (owner, guest) = two(folder.path(), 64).await;
        assert_eq!(owner.fetched(0..40).await.len(), 40);
        assert_eq!(guest.fetched_as(class, 100..300).await.len(), 200);
        assert_eq!(owner.fetched(0..40).await.is_empty(), left, "{class:?}");
        assert_eq!(guest.counted().guest_fallbacks, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_reads_of_a_topic_to_keep_stays_whoever_scans() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, guest) = two(folder.path(), 64).await;
    // Some it brings, some are there and only used by it.
    assert_eq!(owner.fetched(0..10).await.len(), 10);
    assert_eq!(guest.fetched_as(CacheClass::Keep, 0..30).await.len(), 20);
    assert_eq!(owner.fetched(100..300).await.len(), 200);
    assert_eq!(guest.fetched(300..400).await.len(), 100);
    assert_eq!(guest.fetched_as(CacheClass::Keep, 0..30).await, [0; 0]);
    drop(owner);
    until("the guest is the owner", || !guest.cache.is_guest()).await;
    assert_eq!(guest.fetched(400..500).await.len(), 100);
    assert_eq!(guest.fetched_as(CacheClass::Keep, 0..30).await, [0; 0]);
}

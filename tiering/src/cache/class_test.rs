//! What the class of a topic does for its chunks, and for those of others.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::fixture_test::{Opened, key, settings};
use super::policy::KEPT_UNUSED_MAX;
use super::reuse_test::{
    AGAIN_AFTER, HOT, SLOTS, chunk, read, read_all, read_as, read_hot_set, warm,
};
use super::slots::Slots;
use super::{CacheClass, CacheSettings};
use crate::clock::Clock;

const KEEP: CacheClass = CacheClass::Keep;
const PASS: CacheClass = CacheClass::Pass;

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// How many of the first `chunks` of a segment there are. It counts as no use.
fn there(slots: &Slots, segment: u8, chunks: u32) -> u32 {
    (0..chunks).filter(|n| slots.has(&chunk(segment, *n))).count() as u32
}

/// Reads the first `chunks` of a segment as a topic of that class has them.
fn read_all_as(class: CacheClass, slots: &mut Slots, segment: u8, chunks: u32, now: u32) -> u32 {
    (0..chunks).filter(|n| read_as(class, slots, chunk(segment, *n), now)).count() as u32
}

#[test]
fn a_scan_of_a_topic_to_pass_leaves_what_others_use_again_and_most_of_what_they_used_once() {
    let once = SLOTS - HOT - 24;
    for (class, left) in [(PASS, once - SLOTS / 20), (CacheClass::Normal, 0)] {
        let mut slots = warm();
        assert_eq!(read_all(&mut slots, 2, once, 63), 0);
        assert_eq!(read_all_as(class, &mut slots, 3, 70 * SLOTS, 64), 0, "it is longer");
        let had = there(&slots, 2, once);
        assert!(had >= left && (left > 0 || had == 0), "{had} of {once} with {class:?}");
        assert_eq!(read_hot_set(&mut slots, 100), HOT);
    }
}

#[test]
fn readers_that_are_close_together_share_the_chunks_of_a_topic_to_pass() {
    let mut slots = warm();
    read_all(&mut slots, 2, SLOTS, 63);
    let mut fetched = 0;
    // The second one is 20 chunks behind the first.
    for step in 0..10_020_u32 {
        for behind in [0, 20] {
            let at = step.checked_sub(behind).filter(|at| *at < 10_000);
            let had = at.is_none_or(|at| read_as(PASS, &mut slots, chunk(3, at), 64 + step / 400));
            fetched += u32::from(!had);
        }
    }
    assert_eq!(fetched, 10_000);
    assert_eq!(read_hot_set(&mut slots, 200), HOT);
}

#[test]
fn what_was_passed_on_is_the_first_to_go_when_nobody_has_used_it_for_a_while() {
    let mut slots = warm();
    read_all(&mut slots, 2, SLOTS, 63);
    read_all_as(PASS, &mut slots, 3, SLOTS, 64);
    let (passed, others) = (slots.standings().passing, there(&slots, 2, SLOTS));
    assert!(passed > 40, "{passed} are there for readers behind");
    read_all(&mut slots, 4, passed, 64 + AGAIN_AFTER);
    assert_eq!((slots.standings().passing, there(&slots, 2, SLOTS)), (0, others));
}

#[test]
fn a_chunk_to_pass_that_waits_for_its_reader_does_not_go_before_those_of_others() {
    let mut slots = Slots::new(SLOTS, AGAIN_AFTER);
    // Fetched ahead, into a cache that is full of what was used once.
    read_all(&mut slots, 2, SLOTS, 0);
    for n in 0..100 {
        let taken = slots.take(0).unwrap();
        slots.admit(taken.slot, &chunk(3, n), PASS, 0);
        let filled = slots.fill(taken.slot, chunk(3, n), 1, true);
        slots.release(filled.slot);
    }
    read_all(&mut slots, 4, SLOTS - 100, 1);
    assert_eq!(read_all_as(PASS, &mut slots, 3, 100, 2), 100);
}

#[test]
fn what_is_kept_outlives_any_scan_and_what_others_use_again_after_a_single_use() {
    let mut slots = Slots::new(SLOTS, AGAIN_AFTER);
    assert_eq!(read_all_as(KEEP, &mut slots, 9, 600, 0), 0);
    for round in 0..5 {
        let now = 10 + round * 60;
        read_all(&mut slots, 1, HOT, now);
        assert_eq!(read_all(&mut slots, 10 + round as u8, 10 * SLOTS, now + 1), 0);
        assert_eq!(there(&slots, 9, 600), 600, "round {round}");
    }
    assert_eq!(read_all_as(KEEP, &mut slots, 9, 600, 1000), 600);
}

#[test]
fn a_topic_to_keep_that_is_larger_than_its_part_leaves_others_theirs() {
    let mut slots = warm();
    // What others use again beyond the quarter that is theirs gives way; the rest does not.
    let theirs = SLOTS * 3 / 20;
    for round in 0..10 {
        let now = 100 + round * 60;
        assert_eq!(read_all_as(KEEP, &mut slots, 9, 3 * SLOTS, now), 0, "it turns over");
        assert!(slots.standings().kept <= SLOTS * 3 / 4);
        let had = read_all(&mut slots, 1, theirs, now + 1);
        assert!(round < 2 || had == theirs, "{had} of {theirs} in round {round}");
    }
    assert!(slots.fresh() >= SLOTS / 20, "and newcomers have room");
}

#[test]
fn a_class_that_changes_counts_from_the_next_use_of_a_chunk() {
    let mut slots = Slots::new(SLOTS, AGAIN_AFTER);
    read_all_as(KEEP, &mut slots, 9, 100, 0);
    read_all_as(PASS, &mut slots, 8, 40, 0);
    // The one is kept no longer, the other no longer passed on; half of each is not used again.
    read_all(&mut slots, 9, 50, 10);
    read_all_as(KEEP, &mut slots, 8, 20, 10);
    read_all(&mut slots, 2, 10 * SLOTS, 40);
    assert_eq!((there(&slots, 9, 50), there(&slots, 9, 100)), (0, 50));
    assert_eq!((there(&slots, 8, 20), there(&slots, 8, 40)), (20, 20));
}

#[test]
fn a_kept_chunk_that_nobody_used_for_a_week_gives_way_before_what_is_used() {
    let mut slots = Slots::new(SLOTS, AGAIN_AFTER);
    read_all_as(KEEP, &mut slots, 9, 100, 0);
    read_all_as(KEEP, &mut slots, 9, 40, 60);
    read_all(&mut slots, 2, SLOTS - 100, KEPT_UNUSED_MAX - 1);
    read_all(&mut slots, 3, 60, KEPT_UNUSED_MAX);
    assert_eq!((there(&slots, 9, 40), there(&slots, 9, 100)), (40, 40));
    assert_eq!(there(&slots, 2, SLOTS - 100), SLOTS - 100);
    read(&mut slots, chunk(3, 60), KEPT_UNUSED_MAX);
    assert_eq!(there(&slots, 2, SLOTS - 100), SLOTS - 101, "the others were used since");
}

fn open(folder: &Path, clock: &Arc<Hands>) -> Opened {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Opened::with(CacheSettings { clock, ..settings(folder, 8) }).unwrap()
}

/// Which of the chunks the cache has. It counts as no use.
fn which(opened: &Opened, chunks: std::ops::Range<u32>) -> Vec<u32> {
    chunks.filter(|chunk| opened.cache.has(&key(*chunk))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands(AtomicI64::new(1_000_000)));
    let opened = open(folder.path(), &clock);
    for (class, chunks) in [(KEEP, 1..3), (PASS, 3..5), (CacheClass::Normal, 5..9)] {
        for chunk in chunks {
            opened.fill_as(class, chunk).await.unwrap();
            assert!(opened.has_as(class, chunk).await);
        }
    }
    drop(opened);
    let opened = open(folder.path(), &clock);
    let count = |class| opened.cache.chunks_of(class);
    assert_eq!(CacheClass::ALL.map(count), [4, 2, 2]);
    clock.0.fetch_add(30_000, Ordering::SeqCst);
    for chunk in 10..12 {
        opened.fill(chunk).await.unwrap();
    }
    assert_eq!(which(&opened, 0..10), [1, 2, 5, 6, 7, 8], "what passes has gone first");
    for chunk in 12..50 {
        opened.fill(chunk).await.unwrap();
    }
    assert_eq!(which(&opened, 0..10), [1, 2]);
    assert!(opened.has_as(KEEP, 1).await && opened.has_as(KEEP, 2).await);
    assert_eq!(opened.counters().wrong_chunks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_shrinks_keeps_no_more_than_the_part_of_the_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands(AtomicI64::new(1_000_000)));
    let opened = open(folder.path(), &clock);
    for chunk in 0..6 {
        opened.fill_as(KEEP, chunk).await.unwrap();
    }
    drop(opened);
    let clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let small = CacheSettings { clock, ..settings(folder.path(), 4) };
    let opened = Opened::with(small).unwrap();
    assert_eq!((opened.cache.chunks_of(KEEP), which(&opened, 0..6)), (3, vec![0, 1, 2, 3]));
    for chunk in 10..20 {
        opened.fill(chunk).await.unwrap();
    }
    assert_eq!(which(&opened, 0..6), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_to_pass_that_a_waiting_reader_was_handed_counts_as_used() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands(AtomicI64::new(1_000_000)));
    let opened = open(folder.path(), &clock);
    for chunk in 0..8 {
        opened.fill(chunk).await.unwrap();
    }
    for chunk in 10..40 {
        let pin = opened.fill_as(PASS, chunk).await.unwrap();
        opened.cache.used(&key(chunk), PASS);
        drop(pin);
    }
    assert_eq!(which(&opened, 0..10).len(), 6, "two are enough for it");
}

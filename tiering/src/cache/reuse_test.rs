//! Whether the cache keeps what is worth keeping: readers in simulated time over the slots alone.

use super::slots::Slots;
use super::{CHUNK_BYTES, CacheClass, ChunkKey};
use crate::ids::SegmentId;

/// 256 MiB.
pub(super) const SLOTS: u32 = 1024;
pub(super) const AGAIN_AFTER: u32 = 30;
/// Chunks of the hot set.
pub(super) const HOT: u32 = 500;

pub(super) fn chunk(segment: u8, n: u32) -> ChunkKey {
    ChunkKey { segment: SegmentId::from_bytes([segment; 16]), chunk: n }
}

/// A reader's use of a chunk: from the cache, else fetched. Tells whether the cache had it.
pub(super) fn read(slots: &mut Slots, key: ChunkKey, now: u32) -> bool {
    read_as(CacheClass::Normal, slots, key, now)
}

pub(super) fn read_as(class: CacheClass, slots: &mut Slots, key: ChunkKey, now: u32) -> bool {
    if let Some(found) = slots.get(&key, class, now) {
        slots.release(found.slot);
        return true;
    }
    let taken = slots.take(now).unwrap();
    slots.admit(taken.slot, &key, class, now);
    let filled = slots.fill(taken.slot, key, CHUNK_BYTES as u32, true);
    slots.release(filled.slot);
    // Fetched ahead of the reader, who comes now.
    let found = slots.get(&key, class, now).unwrap();
    slots.release(found.slot);
    false
}

/// Reads the first `chunks` of a segment. Gives how many of them the cache had.
pub(super) fn read_all(slots: &mut Slots, segment: u8, chunks: u32, now: u32) -> u32 {
    (0..chunks).filter(|n| read(slots, chunk(segment, *n), now)).count() as u32
}

/// Groups read the hot set side by side, each chunk several times within two seconds.
pub(super) fn read_hot_set(slots: &mut Slots, now: u32) -> u32 {
    let had = read_all(slots, 1, HOT, now);
    for at in [now, now + 1, now + 2] {
        assert_eq!(read_all(slots, 1, HOT, at), HOT);
    }
    had
}

/// A cache that knows the hot set as such, at 63 s.
pub(super) fn warm() -> Slots {
    let mut slots = Slots::new(SLOTS, AGAIN_AFTER);
    assert_eq!(read_hot_set(&mut slots, 0), 0);
    assert_eq!(read_hot_set(&mut slots, 60), HOT, "there is room for it");
    slots
}

#[test]
fn a_scan_of_seventy_times_the_cache_costs_the_hot_set_not_one_chunk() {
    let mut slots = warm();
    let mut scanned = 0;
    for now in 63..663 {
        for _ in 0..125 {
            assert!(!read(&mut slots, chunk(2, scanned), now), "each chunk of a scan is new");
            scanned += 1;
        }
        if now % 60 == 0 {
            assert_eq!(read_hot_set(&mut slots, now), HOT, "at {now} s");
        }
    }
    assert!(scanned > 70 * SLOTS);
}

#[test]
fn groups_that_scan_side_by_side_leave_the_hot_set_alone_and_share_their_chunks() {
    let mut slots = warm();
    let (groups, chunks) = (8, 10_000_u32);
    let mut fetched = 0;
    // Each group is half a second, 20 chunks, behind the one before it.
    for step in 0..chunks + groups * 20 {
        for group in 0..groups {
            let at = step.checked_sub(group * 20).filter(|at| *at < chunks);
            let Some(at) = at else { continue };
            fetched += u32::from(!read(&mut slots, chunk(2, at), 63 + step / 40));
        }
    }
    assert_eq!(fetched, chunks, "one fetch for all groups");
    assert_eq!(read_hot_set(&mut slots, 1000), HOT);
}

#[test]
fn a_second_group_that_replays_the_same_year_later_leaves_the_hot_set_alone() {
    let mut slots = warm();
    for pass in 0..2 {
        for n in 0..25_000 {
            assert!(!read(&mut slots, chunk(2, n), 63 + pass * 1000 + n / 50));
        }
    }
    assert_eq!(read_hot_set(&mut slots, 2000), HOT);
}

#[test]
fn what_comes_back_soon_after_it_was_dropped_stays_the_second_time() {
    let mut slots = Slots::new(SLOTS, AGAIN_AFTER);
    read_all(&mut slots, 2, SLOTS, 0);
    read_all(&mut slots, 1, 100, 1);
    // A scan of the cache's size drives them out; they return.
    read_all(&mut slots, 3, SLOTS, 10);
    assert_eq!(read_all(&mut slots, 1, 100, 40), 0);
    read_all(&mut slots, 4, 10 * SLOTS, 50);
    let had = read_all(&mut slots, 1, 100, 60);
    assert!(had > 80, "{had} of 100; the rest was forgotten");
}

#[test]
fn a_hot_set_that_nobody_uses_any_more_gives_way_to_a_new_one() {
    let mut slots = Slots::new(SLOTS, AGAIN_AFTER);
    read_all(&mut slots, 1, 900, 0);
    assert_eq!(read_all(&mut slots, 1, 900, 40), 900);
    for round in 0..20 {
        read_all(&mut slots, 2, 100, 100 + round * 40);
        for n in 0..750 {
            read(&mut slots, chunk(3, round * 750 + n), 110 + round * 40);
        }
    }
    assert_eq!(read_all(&mut slots, 2, 100, 2000), 100);
}

//! What lies in which slot, in memory. Pure: no file, no thread, no clock.
//!
//! At most 72 bytes for each slot, all of them taken when the cache is opened.
//!
//! Invariant: a key is found in exactly the slot that was filled or restored with it last, and only
//! as long as that slot's bytes are its bytes: it is taken out of the table before its slot is given
//! out again.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use hashbrown::HashTable;

use super::policy::{Policy, Taken};
use super::standing::{Standing, Standings};
use super::{CacheClass, ChunkKey};
use crate::ids::SegmentId;

/// A slot with a chunk, held for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) slot: u32,
    pub(super) len: u32,
    /// Whether the bytes were compared with their checksum, or written, by this process.
    pub(super) checked: bool,
    /// Whether the chunk stands another way by this use.
    pub(super) is_moved: bool,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    key: ChunkKey,
    len: u32,
    checked: bool,
}

#[derive(Debug)]
pub(super) struct Slots {
    policy: Policy,
    kept: Vec<Kept>,
    by_key: HashTable<u32>,
    hasher: RandomState,
    held_bytes: u64,
}

impl Slots {
    pub(super) fn new(slots: u32, again_after: u32) -> Self {
        let nothing = ChunkKey { segment: SegmentId::from_bytes([0; 16]), chunk: 0 };
        Self {
            policy: Policy::new(slots, again_after),
            kept: vec![Kept { key: nothing, len: 0, checked: false }; slots as usize],
            by_key: HashTable::with_capacity(slots as usize),
            hasher: RandomState::new(),
            held_bytes: 0,
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.kept.len() as u32
    }

    /// Those that newcomers can have without pushing out what is to stay.
    pub(super) fn fresh(&self) -> u32 {
        self.policy.fresh()
    }

    /// How many there are of each standing.
    pub(super) fn standings(&self) -> Standings {
        self.policy.standings()
    }

    pub(super) fn has(&self, key: &ChunkKey) -> bool {
        self.find(key).is_some()
    }

    /// The segments of the chunks that lie in some slots.
    pub(super) fn segments_in(&self, slots: Range<u32>) -> impl Iterator<Item = SegmentId> {
        let key = |slot: u32| &self.kept[slot as usize].key;
        slots.filter(move |slot| self.holds(*slot, key(*slot))).map(move |slot| key(slot).segment)
    }

    /// The length of all chunks that can be found.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Holds the slot of a chunk and notes the use.
    pub(super) fn get(&mut self, key: &ChunkKey, class: CacheClass, now: u32) -> Option<Found> {
        let slot = self.find(key)?;
        self.policy.hold(slot);
        let is_moved = self.policy.touch(slot, class, now);
        let Kept { len, checked, .. } = self.kept[slot as usize];
        Some(Found { slot, len, checked, is_moved })
    }

    /// A slot to fill. The chunk that gave way, if one did, is not found from here on.
    pub(super) fn take(&mut self, now: u32) -> Option<Taken> {
        let Self { policy, kept, hasher, .. } = self;
        let taken = policy.take(now, |slot| hasher.hash_one(kept[slot as usize].key))?;
        if taken.evicted {
            self.remove(taken.slot);
        }
        Some(taken)
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        self.policy.give_back(slot);
    }

    /// How a chunk of a class will stand in the reserved slot.
    pub(super) fn admit(
        &mut self,
        slot: u32,
        key: &ChunkKey,
        class: CacheClass,
        now: u32,
    ) -> Standing {
        self.policy.admit(slot, self.hasher.hash_one(key), class, now)
    }

    /// The reserved slot holds the chunk: it is found from here on, and held once. When another slot
    /// has it already, that one is held instead, and the reserved one is empty again.
    pub(super) fn fill(&mut self, slot: u32, key: ChunkKey, len: u32, is_checked: bool) -> Found {
        if let Some(other) = self.find(&key) {
            self.policy.hold(other);
            let Kept { len, checked, .. } = self.kept[other as usize];
            if checked {
                self.policy.give_back(slot);
                return Found { slot: other, len, checked, is_moved: false };
            }
            self.forget(other);
            self.release(other);
        }
        self.policy.fill(slot);
        self.insert(slot, Kept { key, len, checked: is_checked });
        Found { slot, len, checked: is_checked, is_moved: false }
    }

    /// Keeps a slot from being given out that somebody else reads from: it counts as held.
    pub(super) fn hold_left(&mut self, slot: u32) {
        self.policy.hold_left(slot);
    }

    /// Takes up a chunk of an earlier run. No: another slot has it, or this one is not empty.
    pub(super) fn restore(
        &mut self,
        slot: u32,
        key: ChunkKey,
        len: u32,
        standing: Standing,
    ) -> bool {
        if self.find(&key).is_some() {
            return false;
        }
        self.policy.restore(slot, standing);
        self.insert(slot, Kept { key, len, checked: false });
        true
    }

    /// The bytes of a held slot are right.
    pub(super) fn set_checked(&mut self, slot: u32) {
        self.kept[slot as usize].checked = true;
    }

    /// Whether the bytes of a chunk are known to be right; `None` when it is not found in this slot.
    pub(super) fn is_checked(&self, slot: u32, key: &ChunkKey) -> Option<bool> {
        self.holds(slot, key).then(|| self.kept[slot as usize].checked)
    }

    /// The chunks of these slots are not found any more. Gives how many there were.
    pub(super) fn forget_all(&mut self, slots: Range<u32>) -> usize {
        let mut forgotten = 0;
        for slot in slots.start..slots.end.min(self.count()) {
            if self.holds(slot, &self.kept[slot as usize].key) {
                self.policy.hold(slot);
                self.forget(slot);
                self.release(slot);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// The chunk of a held slot is not found any more. No: it was not before either.
    pub(super) fn forget(&mut self, slot: u32) -> bool {
        let found = self.holds(slot, &self.kept[slot as usize].key);
        if found {
            self.remove(slot);
            self.policy.forget(slot);
        }
        found
    }

    /// Lets go of a held slot. True when nobody holds it any more.
    pub(super) fn release(&mut self, slot: u32) -> bool {
        self.policy.release(slot)
    }

    /// How a chunk stands, if it is found in this slot.
    pub(super) fn standing_in(&self, slot: u32, key: &ChunkKey) -> Option<Standing> {
        self.holds(slot, key).then(|| self.policy.standing(slot)).flatten()
    }

    fn holds(&self, slot: u32, key: &ChunkKey) -> bool {
        self.find(key) == Some(slot)
    }

    fn find(&self, key: &ChunkKey) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.by_key.find(hash, |slot| self.kept[*slot as usize].key == *key).copied()
    }

    fn insert(&mut self, slot: u32, kept: Kept) {
        let Self { kept: all, by_key, hasher, .. } = self;
        self.held_bytes += u64::from(kept.len);
        all[slot as usize] = kept;
        let hash = hasher.hash_one(kept.key);
        by_key.insert_unique(hash, slot, |slot| hasher.hash_one(all[*slot as usize].key));
    }

    /// Takes the slot's key out of the table.
    fn remove(&mut self, slot: u32) {
        let Kept { key, len, .. } = self.kept[slot as usize];
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.by_key.find_entry(hash, |other| *other == slot) {
            entry.remove();
            self.held_bytes -= u64::from(len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(chunk: u32) -> ChunkKey {
        ChunkKey { segment: SegmentId::from_bytes([7; 16]), chunk }
    }

    fn filled(slots: &mut Slots, chunk: u32) -> Found {
        let taken = slots.take(0).unwrap();
        slots.admit(taken.slot, &key(chunk), CacheClass::Normal, 0);
        slots.fill(taken.slot, key(chunk), 10 + chunk, true)
    }

    #[test]
    fn a_slot_costs_at_most_72_bytes_of_memory() {
        for count in [4096, 1 << 20, 1_200_000] {
            let slots = Slots::new(count, 30);
            let bytes = slots.kept.capacity() * size_of::<Kept>()
                + slots.by_key.allocation_size()
                + slots.policy.memory_bytes();
            let each = bytes as f64 / f64::from(count);
            println!("{count} slots: {each:.1} bytes each");
            assert!(each <= 72.0);
        }
    }

    #[test]
    fn a_chunk_that_two_downloads_bring_is_kept_once() {
        let mut slots = Slots::new(4, 30);
        let first = filled(&mut slots, 1);
        let second = filled(&mut slots, 1);
        assert_eq!(first, second);
        assert_eq!(slots.held_bytes(), 11);
        assert!(!slots.release(first.slot), "the other still holds it");
        assert!(slots.release(first.slot));
        let free: Vec<_> = (0..3).map(|_| slots.take(0).unwrap().evicted).collect();
        assert_eq!(free, [false; 3]);
    }

    #[test]
    fn a_download_takes_the_place_of_a_chunk_that_nobody_has_checked() {
        let mut slots = Slots::new(4, 30);
        assert!(slots.restore(2, key(1), 99, Standing::Probation));
        assert!(!slots.restore(3, key(1), 99, Standing::Probation), "it is there already");
        let found = filled(&mut slots, 1);
        assert_eq!((found.slot, found.len), (0, 11));
        assert_eq!(slots.is_checked(0, &key(1)), Some(true));
        assert_eq!(slots.is_checked(2, &key(1)), None);
        assert_eq!(slots.held_bytes(), 11);
    }

    #[test]
    fn a_slot_that_somebody_else_reads_is_not_given_out_whatever_is_in_it() {
        let mut slots = Slots::new(4, 30);
        assert!(slots.restore(1, key(1), 99, Standing::Probation));
        slots.hold_left(1);
        slots.hold_left(2);
        let given = |slots: &mut Slots| {
            std::iter::from_fn(|| slots.take(0)).map(|taken| taken.slot).collect::<Vec<_>>()
        };
        assert_eq!(given(&mut slots), [0, 3]);
        assert!(slots.has(&key(1)), "what is in it is of use all the same");
        assert!(slots.release(2) && slots.release(1));
        assert_eq!(given(&mut slots), [2, 1]);
    }

    #[test]
    fn the_chunks_of_a_file_that_fails_are_not_found_and_their_holders_keep_their_slots() {
        let mut slots = Slots::new(6, 30);
        for chunk in 0..6 {
            filled(&mut slots, chunk);
        }
        for slot in 1..6 {
            assert!(slots.release(slot));
        }
        assert_eq!(slots.forget_all(0..3), 3);
        assert_eq!(slots.forget_all(0..3), 0);
        let found: Vec<_> =
            (0..6).filter(|n| slots.get(&key(*n), CacheClass::Normal, 0).is_some()).collect();
        assert_eq!(found, [3, 4, 5]);
        let free: Vec<_> = std::iter::from_fn(|| slots.take(0)).map(|taken| taken.slot).collect();
        assert_eq!(free, [1, 2], "slot 0 is held");
        slots.release(0);
        assert_eq!(slots.take(0).map(|taken| taken.slot), Some(0));
        assert_eq!(slots.held_bytes(), 13 + 14 + 15);
    }
}

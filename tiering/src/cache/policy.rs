//! Which slot gives way. Slots are numbers here: no key, no byte, no clock.
//!
//! Two classes. A new chunk is on *probation*; a chunk that is used a second time, at least
//! `again_after` after its first use, is *protected*. Room is made from probation, longest unused
//! first, as long as the protected have no more than nine tenths. So one pass over any amount of
//! history turns over a tenth of a full cache, and what is used again and again stays.
//!
//! - Uses come in bursts: a reader asks for one chunk several times within seconds, and groups
//!   replay the same bytes side by side. The time between first and second use tells a burst from a
//!   return.
//! - To be filled is no use: chunks are fetched ahead of readers that may never come.
//! - A chunk that was dropped and is fetched again returns to what was known of it ([`Ghost`]).
//!
//! Invariants: a slot is in a queue exactly when nobody holds it and it is empty or filled; a held
//! or reserved slot is never given out; every slot is empty, reserved, filled or forgotten.

use super::ghost::Ghost;
use super::list::{Links, List};

/// The part of the slots that probation has for sure: one in so many.
const PROBATION_PART: u32 = 10;
/// The first use of a chunk that was not used yet.
const UNUSED: u32 = u32::MAX;

/// How much a chunk is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Used once, or not yet.
    Probation,
    /// Came back after a while.
    Protected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Empty,
    /// Given out to be filled.
    Reserved(Class),
    Filled(Class),
    /// Its chunk is not wanted any more, but somebody still holds the slot.
    Forgotten,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    stage: Stage,
    holds: u32,
    /// In seconds of the caller's clock, or [`UNUSED`].
    first_use: u32,
}

/// A slot to fill, and whether a chunk gave way for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) slot: u32,
    pub(super) evicted: bool,
}

/// The queues of all slots.
#[derive(Debug)]
pub(super) struct Policy {
    slots: Vec<Slot>,
    links: Vec<Links>,
    empty: List,
    probation: List,
    protected: List,
    /// Slots that hold protected chunks, in the queue or not.
    protected_count: u32,
    protected_max: u32,
    again_after: u32,
    ghost: Ghost,
}

impl Policy {
    /// All slots empty. `again_after` is in seconds.
    pub(super) fn new(slots: u32, again_after: u32) -> Self {
        let slot = Slot { stage: Stage::Empty, holds: 0, first_use: UNUSED };
        let mut links = vec![Links::default(); slots as usize];
        let mut empty = List::new();
        (0..slots).for_each(|slot| empty.push_back(&mut links, slot));
        Self {
            slots: vec![slot; slots as usize],
            links,
            empty,
            probation: List::new(),
            protected: List::new(),
            protected_count: 0,
            protected_max: slots - (slots / PROBATION_PART).max(1),
            again_after,
            ghost: Ghost::new(slots as usize),
        }
    }

    /// A slot that nobody holds, reserved from here on: an empty one, else the least worth. `hash`
    /// tells the hash of the chunk in a filled slot.
    pub(super) fn take(&mut self, hash: impl FnOnce(u32) -> u64) -> Option<Taken> {
        if let Some(slot) = self.empty.pop_front(&mut self.links) {
            self.slots[slot as usize].stage = Stage::Reserved(Class::Probation);
            return Some(Taken { slot, evicted: false });
        }
        let order = match self.protected_count > self.protected_max {
            true => [&mut self.protected, &mut self.probation],
            false => [&mut self.probation, &mut self.protected],
        };
        let slot = order.into_iter().find_map(|queue| queue.pop_front(&mut self.links))?;
        let first_use = self.slots[slot as usize].first_use;
        if first_use != UNUSED {
            self.ghost.remember(hash(slot), first_use);
        }
        self.restage(slot, Stage::Reserved(Class::Probation));
        Some(Taken { slot, evicted: true })
    }

    /// A reserved slot that is not filled after all.
    pub(super) fn give_back(&mut self, slot: u32) {
        self.restage(slot, Stage::Empty);
        self.empty.push_back(&mut self.links, slot);
    }

    /// Decides the class of the chunk that a reserved slot is about to hold.
    pub(super) fn admit(&mut self, slot: u32, hash: u64, now: u32) -> Class {
        let known = self.ghost.recall(hash);
        let class = match known {
            Some(first) if now.saturating_sub(first) >= self.again_after => Class::Protected,
            _ => Class::Probation,
        };
        self.slots[slot as usize].first_use = known.unwrap_or(UNUSED);
        self.restage(slot, Stage::Reserved(class));
        class
    }

    /// The reserved slot holds its chunk now, and its filler holds it.
    pub(super) fn fill(&mut self, slot: u32) {
        let Stage::Reserved(class) = self.slots[slot as usize].stage else {
            debug_assert!(false, "slot {slot} is filled unreserved");
            return;
        };
        self.restage(slot, Stage::Filled(class));
        self.slots[slot as usize].holds = 1;
    }

    /// An empty slot turns out to hold a chunk of an earlier run.
    pub(super) fn restore(&mut self, slot: u32, class: Class) {
        debug_assert_eq!(self.slots[slot as usize].stage, Stage::Empty);
        self.empty.remove(&mut self.links, slot);
        self.slots[slot as usize].first_use = UNUSED;
        self.restage(slot, Stage::Filled(class));
        self.queue(class).push_back(slot);
    }

    /// Keeps a filled slot out of the queues until it is released as often as it was held.
    pub(super) fn hold(&mut self, slot: u32) {
        let Slot { stage, holds, .. } = &mut self.slots[slot as usize];
        *holds += 1;
        if *holds == 1
            && let Stage::Filled(class) = *stage
        {
            self.queue(class).remove(slot);
        }
    }

    /// Keeps a slot out of the queues that somebody else reads from, whatever is in it now.
    pub(super) fn hold_left(&mut self, slot: u32) {
        if self.slots[slot as usize].stage != Stage::Empty {
            return self.hold(slot);
        }
        self.empty.remove(&mut self.links, slot);
        self.slots[slot as usize].holds = 1;
        self.restage(slot, Stage::Forgotten);
    }

    /// Lets go of a held slot. True when nobody holds it any more.
    pub(super) fn release(&mut self, slot: u32) -> bool {
        let Slot { stage, holds, .. } = &mut self.slots[slot as usize];
        debug_assert!(*holds > 0, "slot {slot} is released unheld");
        *holds = holds.saturating_sub(1);
        if *holds > 0 {
            return false;
        }
        match *stage {
            Stage::Filled(class) => self.queue(class).push_back(slot),
            Stage::Forgotten => self.give_back(slot),
            Stage::Empty | Stage::Reserved(_) => debug_assert!(false, "slot {slot} was held"),
        }
        true
    }

    /// Notes a use of a held slot. Gives true when it made the chunk protected.
    pub(super) fn touch(&mut self, slot: u32, now: u32) -> bool {
        let Slot { stage, first_use, .. } = &mut self.slots[slot as usize];
        if *first_use == UNUSED {
            *first_use = now.min(UNUSED - 1);
            return false;
        }
        let again = now.saturating_sub(*first_use) >= self.again_after;
        if !again || *stage != Stage::Filled(Class::Probation) {
            return false;
        }
        self.restage(slot, Stage::Filled(Class::Protected));
        true
    }

    /// The chunk of a held slot is not wanted any more.
    pub(super) fn forget(&mut self, slot: u32) {
        debug_assert!(self.slots[slot as usize].holds > 0, "slot {slot} is forgotten unheld");
        self.restage(slot, Stage::Forgotten);
    }

    /// Slots that hold protected chunks.
    pub(super) fn protected(&self) -> u32 {
        self.protected_count
    }

    /// The class of the chunk in a slot, if one is in it.
    pub(super) fn class(&self, slot: u32) -> Option<Class> {
        match self.slots[slot as usize].stage {
            Stage::Filled(class) => Some(class),
            _ => None,
        }
    }

    /// What all of it takes.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.links.capacity() * size_of::<Links>()
            + self.ghost.memory_bytes()
    }

    fn restage(&mut self, slot: u32, stage: Stage) {
        let protects = |stage| {
            matches!(stage, Stage::Filled(Class::Protected) | Stage::Reserved(Class::Protected))
        };
        let before = std::mem::replace(&mut self.slots[slot as usize].stage, stage);
        self.protected_count -= u32::from(protects(before));
        self.protected_count += u32::from(protects(stage));
    }

    fn queue(&mut self, class: Class) -> Queue<'_> {
        let list = match class {
            Class::Probation => &mut self.probation,
            Class::Protected => &mut self.protected,
        };
        Queue { list, links: &mut self.links }
    }
}

/// A queue with the array that it is threaded through.
struct Queue<'a> {
    list: &'a mut List,
    links: &'a mut [Links],
}

impl Queue<'_> {
    fn push_back(self, slot: u32) {
        self.list.push_back(self.links, slot);
    }

    fn remove(self, slot: u32) {
        self.list.remove(self.links, slot);
    }
}

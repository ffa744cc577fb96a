//! Which slot gives way. Slots are numbers here: no key, no byte, no clock.
//!
//! Each chunk has a [`Standing`]. A new chunk is on *probation*; a chunk that is used a second time, at
//! least `again_after` after its first use, is *protected*. Room is made from probation, longest
//! unused first, as long as the protected have no more than nine tenths. So one pass over any amount
//! of history turns over a tenth of a full cache, and what is used again and again stays.
//!
//! - Uses come in bursts: a reader asks for one chunk several times within seconds, and groups
//!   replay the same bytes side by side. The time between first and second use tells a burst from a
//!   return.
//! - To be filled is no use: chunks are fetched ahead of readers that may never come.
//! - A chunk that was dropped and is fetched again returns to what was known of it ([`Ghost`]).
//!
//! That is the law for topics of the class `normal`. The two others ([`CacheClass`]):
//!
//! - `keep`: a chunk is *kept* from its fill on. The kept have three quarters at most; past that
//!   the one that is longest unused goes on probation, as a new one.
//! - `pass`: a chunk waits for its first use on probation, as every newcomer does, and is *passing*
//!   after it. Nothing is remembered of one that was dropped.
//!
//! Room is made from the first of these that has a slot, longest unused first:
//!
//! 1. the passing, while they are more than a twentieth, or unused for `again_after`: until then they
//!    are there for readers that are close behind;
//! 2. a kept chunk that nobody used for [`KEPT_UNUSED_MAX`]: what is never read again, of a deleted
//!    topic say, does not stay for ever;
//! 3. the protected, while they and the kept are more than nine tenths;
//! 4. probation; 5. the passing; 6. the protected; 7. the kept.
//!
//! So the kept go when nothing else is left, others have a quarter for sure, and newcomers of all
//! classes a tenth; what a reader of a `pass` topic moves is that tenth.
//!
//! Invariants: a slot is in a queue exactly when nobody holds it and it is empty or filled; a held
//! or reserved slot is never given out; every slot is empty, reserved, filled or forgotten;
//! `kept <= kept_max`.

use super::CacheClass;
use super::ghost::Ghost;
use super::list::{Links, List};
use super::standing::{Standing, Standings};

/// The part of the slots that probation has for sure: one in so many.
const PROBATION_PART: u32 = 10;
/// The part of the slots that the passing have for sure as long as they are used: one in so many.
const PASSING_PART: u32 = 20;
/// The part of the slots that others than the kept have for sure: one in so many.
const OTHERS_PART: u32 = 4;
/// Seconds after which a kept chunk that nobody uses is kept no longer: a week.
pub(super) const KEPT_UNUSED_MAX: u32 = 7 * 24 * 3600;
/// The first use of a chunk that was not used yet.
const UNUSED: u32 = u32::MAX;
/// In which order chunks give way, when none of them has more than its part.
const ORDER: [Standing; 4] =
    [Standing::Probation, Standing::Passing, Standing::Protected, Standing::Kept];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Empty,
    /// Given out to be filled.
    Reserved(Standing),
    Filled(Standing),
    /// Its chunk is not wanted any more, but somebody still holds the slot.
    Forgotten,
}

impl Stage {
    fn standing(self) -> Option<Standing> {
        match self {
            Self::Reserved(standing) | Self::Filled(standing) => Some(standing),
            Self::Empty | Self::Forgotten => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    stage: Stage,
    holds: u32,
    /// In seconds of the caller's clock, or [`UNUSED`]: the first use of the chunk; of one that is
    /// kept or passing, its last.
    since: u32,
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
    kept: List,
    passing: List,
    /// Slots by the standing of what they hold, in a queue or not.
    standings: Standings,
    protected_max: u32,
    kept_max: u32,
    passing_max: u32,
    again_after: u32,
    ghost: Ghost,
}

impl Policy {
    /// All slots empty. `again_after` is in seconds.
    pub(super) fn new(slots: u32, again_after: u32) -> Self {
        let slot = Slot { stage: Stage::Empty, holds: 0, since: UNUSED };
        let mut links = vec![Links::default(); slots as usize];
        let mut empty = List::new();
        (0..slots).for_each(|slot| empty.push_back(&mut links, slot));
        let part = |one_in: u32| (slots / one_in).max(1);
        Self {
            slots: vec![slot; slots as usize],
            links,
            empty,
            probation: List::new(),
            protected: List::new(),
            kept: List::new(),
            passing: List::new(),
            standings: Standings::default(),
            protected_max: slots - part(PROBATION_PART),
            kept_max: slots - part(OTHERS_PART),
            passing_max: part(PASSING_PART),
            again_after,
            ghost: Ghost::new(slots as usize),
        }
    }

    /// A slot that nobody holds, reserved from here on: an empty one, else the least worth. `hash`
    /// tells the hash of the chunk in a filled slot.
    pub(super) fn take(&mut self, now: u32, hash: impl FnOnce(u32) -> u64) -> Option<Taken> {
        if let Some(slot) = self.empty.pop_front(&mut self.links) {
            self.restage(slot, Stage::Reserved(Standing::Probation));
            return Some(Taken { slot, evicted: false });
        }
        let above = self.above_its_part(now);
        let slot = above.into_iter().chain(ORDER).find_map(|standing| self.pop(standing))?;
        let Slot { stage, since, .. } = self.slots[slot as usize];
        if since != UNUSED && stage != Stage::Filled(Standing::Passing) {
            self.ghost.remember(hash(slot), since);
        }
        self.restage(slot, Stage::Reserved(Standing::Probation));
        Some(Taken { slot, evicted: true })
    }

    /// The chunks that have more than they may, and give way before others.
    fn above_its_part(&self, now: u32) -> Option<Standing> {
        let is_unused = |queue: &List, seconds: u32| {
            let since = queue.front().map(|slot| self.slots[slot as usize].since);
            since.is_some_and(|since| now.saturating_sub(since) >= seconds)
        };
        let Standings { protected, kept, .. } = self.standings;
        if self.passing.len() > self.passing_max || is_unused(&self.passing, self.again_after) {
            Some(Standing::Passing)
        } else if is_unused(&self.kept, KEPT_UNUSED_MAX) {
            Some(Standing::Kept)
        } else {
            (protected + kept > self.protected_max).then_some(Standing::Protected)
        }
    }

    fn pop(&mut self, standing: Standing) -> Option<u32> {
        let queue = match standing {
            Standing::Probation => &mut self.probation,
            Standing::Protected => &mut self.protected,
            Standing::Kept => &mut self.kept,
            Standing::Passing => &mut self.passing,
        };
        queue.pop_front(&mut self.links)
    }

    /// A reserved slot that is not filled after all.
    pub(super) fn give_back(&mut self, slot: u32) {
        self.restage(slot, Stage::Empty);
        self.empty.push_back(&mut self.links, slot);
    }

    /// Decides how the chunk stands that a reserved slot is about to hold.
    pub(super) fn admit(&mut self, slot: u32, hash: u64, class: CacheClass, now: u32) -> Standing {
        let known = self.ghost.recall(hash);
        let standing = match (class, known) {
            (CacheClass::Keep, _) => self.kept_if_room(Standing::Probation),
            (CacheClass::Pass, _) => Standing::Passing,
            (CacheClass::Normal, Some(first)) if self.is_return(first, now) => Standing::Protected,
            (CacheClass::Normal, _) => Standing::Probation,
        };
        self.slots[slot as usize].since = match standing {
            Standing::Kept => at(now),
            Standing::Passing => UNUSED,
            Standing::Probation | Standing::Protected => known.unwrap_or(UNUSED),
        };
        self.restage(slot, Stage::Reserved(standing));
        standing
    }

    /// The reserved slot holds its chunk now, and its filler holds it.
    pub(super) fn fill(&mut self, slot: u32) {
        let Stage::Reserved(standing) = self.slots[slot as usize].stage else {
            debug_assert!(false, "slot {slot} is filled unreserved");
            return;
        };
        self.restage(slot, Stage::Filled(standing));
        self.slots[slot as usize].holds = 1;
    }

    /// An empty slot turns out to hold a chunk of an earlier run, which counts as used at the time 0.
    pub(super) fn restore(&mut self, slot: u32, standing: Standing) {
        debug_assert_eq!(self.slots[slot as usize].stage, Stage::Empty);
        self.empty.remove(&mut self.links, slot);
        let (standing, since) = match standing {
            Standing::Kept if self.standings.kept >= self.kept_max => (Standing::Probation, UNUSED),
            Standing::Kept | Standing::Passing => (standing, 0),
            Standing::Probation | Standing::Protected => (standing, UNUSED),
        };
        self.slots[slot as usize].since = since;
        self.restage(slot, Stage::Filled(standing));
        self.queue(slot, standing).push_back(slot);
    }

    /// Keeps a filled slot out of the queues until it is released as often as it was held.
    pub(super) fn hold(&mut self, slot: u32) {
        let Slot { stage, holds, .. } = &mut self.slots[slot as usize];
        *holds += 1;
        if *holds == 1
            && let Stage::Filled(standing) = *stage
        {
            self.queue(slot, standing).remove(slot);
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
            Stage::Filled(standing) => self.queue(slot, standing).push_back(slot),
            Stage::Forgotten => self.give_back(slot),
            Stage::Empty | Stage::Reserved(_) => debug_assert!(false, "slot {slot} was held"),
        }
        true
    }

    /// Notes a use of a held slot's chunk in a class. Gives true when it stands another way by that.
    pub(super) fn touch(&mut self, slot: u32, class: CacheClass, now: u32) -> bool {
        let Slot { stage, since, .. } = self.slots[slot as usize];
        let Stage::Filled(before) = stage else { return false };
        let first = if since == UNUSED { at(now) } else { since };
        let standing = match class {
            CacheClass::Keep => self.kept_if_room(before),
            CacheClass::Pass => Standing::Passing,
            CacheClass::Normal if before == Standing::Protected => before,
            CacheClass::Normal if self.is_return(since, now) => Standing::Protected,
            CacheClass::Normal => Standing::Probation,
        };
        self.slots[slot as usize].since = match standing {
            Standing::Kept | Standing::Passing => at(now),
            Standing::Probation | Standing::Protected => first,
        };
        self.restage(slot, Stage::Filled(standing));
        standing != before
    }

    /// Whether a use is a second one, of a chunk that was first used at `first`.
    fn is_return(&self, first: u32, now: u32) -> bool {
        first != UNUSED && now.saturating_sub(first) >= self.again_after
    }

    /// How a chunk of the class `keep` stands that is out of the queues: kept, if its part has room or
    /// another one makes some.
    fn kept_if_room(&mut self, before: Standing) -> Standing {
        if before == Standing::Kept || self.standings.kept < self.kept_max {
            return Standing::Kept;
        }
        let Some(oldest) = self.pop(Standing::Kept) else { return Standing::Probation };
        self.restage(oldest, Stage::Filled(Standing::Probation));
        self.slots[oldest as usize].since = UNUSED;
        self.probation.push_back(&mut self.links, oldest);
        Standing::Kept
    }

    /// The chunk of a held slot is not wanted any more.
    pub(super) fn forget(&mut self, slot: u32) {
        debug_assert!(self.slots[slot as usize].holds > 0, "slot {slot} is forgotten unheld");
        self.restage(slot, Stage::Forgotten);
    }

    /// Slots that newcomers can have without pushing out what is to stay.
    pub(super) fn fresh(&self) -> u32 {
        let Standings { protected, kept, .. } = self.standings;
        let passing = self.passing.len().min(self.passing_max);
        (self.slots.len() as u32).saturating_sub(protected + kept + passing)
    }

    /// How many slots there are of each standing, those that are being filled among them.
    pub(super) fn standings(&self) -> Standings {
        self.standings
    }

    /// How the chunk in a slot stands, if one is in it.
    pub(super) fn standing(&self, slot: u32) -> Option<Standing> {
        match self.slots[slot as usize].stage {
            Stage::Filled(standing) => Some(standing),
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
        let before = std::mem::replace(&mut self.slots[slot as usize].stage, stage);
        if let Some(standing) = before.standing() {
            *self.standings.of(standing) -= 1;
        }
        if let Some(standing) = stage.standing() {
            *self.standings.of(standing) += 1;
        }
    }

    /// The queue of a filled slot that nobody holds. A passing chunk that is still to be used waits for
    /// that where all newcomers do.
    fn queue(&mut self, slot: u32, standing: Standing) -> Queue<'_> {
        let list = match standing {
            Standing::Protected => &mut self.protected,
            Standing::Kept => &mut self.kept,
            Standing::Passing if self.slots[slot as usize].since != UNUSED => &mut self.passing,
            Standing::Passing | Standing::Probation => &mut self.probation,
        };
        Queue { list, links: &mut self.links }
    }
}

/// A moment that is not [`UNUSED`].
fn at(now: u32) -> u32 {
    now.min(UNUSED - 1)
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

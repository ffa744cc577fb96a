//! What a guest has asked the owner and was not answered yet, and whether the owner is silent.
//!
//! Invariant: the owner counts as silent only while an ask is open that it was late with, so that the
//! answer to that one ends the silence: while it lasts nobody asks anything else.

use std::collections::HashMap;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::cache::ChunkKey;

/// The asks and fills of one connection, by number.
#[derive(Debug)]
pub(super) struct Asks<A> {
    open: HashMap<u32, Open<A>>,
    silent: bool,
}

/// An ask or fill that is open. It stays open, and keeps its place, when who asked has left.
#[derive(Debug)]
pub(super) struct Open<A> {
    pub(super) answers: mpsc::UnboundedSender<A>,
    pub(super) wanted: Wanted,
    /// The owner has said that it knows, and that the answer takes a while.
    waits: bool,
    _place: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Chunks(ChunkKey, u32),
    Fill,
}

impl<A> Default for Asks<A> {
    fn default() -> Self {
        Self { open: HashMap::new(), silent: false }
    }
}

impl<A> Asks<A> {
    /// Enters one. Its place is free again when it is answered.
    pub(super) fn put(
        &mut self,
        ask: u32,
        wanted: Wanted,
        place: OwnedSemaphorePermit,
    ) -> mpsc::UnboundedReceiver<A> {
        let (answers, heard) = mpsc::unbounded_channel();
        self.open.insert(ask, Open { answers, wanted, waits: false, _place: place });
        heard
    }

    /// The last answer to one. Nothing when it is not open.
    pub(super) fn answered(&mut self, ask: u32) -> Option<Open<A>> {
        let open = self.open.remove(&ask)?;
        self.silent = false;
        Some(open)
    }

    /// The first of two answers to one. Nothing when it is not open, or was said before.
    pub(super) fn waits(&mut self, ask: u32) -> Option<&Open<A>> {
        let open = self.open.get_mut(&ask).filter(|open| !open.waits)?;
        open.waits = true;
        self.silent = false;
        Some(open)
    }

    /// Nothing was heard in time. What came in this very moment was heard all the same.
    pub(super) fn is_late(&mut self, ask: u32) {
        self.silent |= self.open.get(&ask).is_some_and(|open| !open.waits);
    }

    pub(super) fn are_silent(&self) -> bool {
        self.silent
    }

    /// Nobody is answered any more.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    fn asked(asks: &mut Asks<()>, ask: u32) {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
        drop(asks.put(ask, Wanted::Fill, place));
    }

    #[test]
    fn a_place_is_free_again_when_the_ask_is_answered_and_not_when_who_asked_has_left() {
        let room = Arc::new(Semaphore::new(1));
        let mut asks = Asks::<()>::default();
        let place = Arc::clone(&room).try_acquire_owned().expect("a place");
        drop(asks.put(1, Wanted::Fill, place));
        assert_eq!(room.available_permits(), 0);
        drop(asks.answered(1));
        assert_eq!(room.available_permits(), 1);
    }

    #[test]
    fn an_owner_that_is_late_is_silent_until_it_is_heard() {
        let mut asks = Asks::default();
        asked(&mut asks, 1);
        asked(&mut asks, 2);
        assert!(!asks.are_silent());
        asks.is_late(1);
        assert!(asks.are_silent());
        assert!(asks.answered(2).is_some());
        assert!(!asks.are_silent(), "whatever it answers");
        asks.is_late(1);
        assert!(asks.waits(1).is_some() && !asks.are_silent());
        asks.is_late(1);
        assert!(!asks.are_silent(), "it has said that this one takes a while");
    }

    #[test]
    fn an_answer_that_comes_as_the_wait_for_it_ends_leaves_no_silence_that_nothing_would_end() {
        let mut asks = Asks::default();
        asked(&mut asks, 1);
        assert!(asks.answered(1).is_some());
        asks.is_late(1);
        assert!(!asks.are_silent());
    }

    #[test]
    fn what_was_not_asked_or_is_said_twice_is_no_answer() {
        let mut asks = Asks::default();
        asked(&mut asks, 1);
        assert!(asks.answered(2).is_none() && asks.waits(2).is_none());
        assert!(asks.waits(1).is_some() && asks.waits(1).is_none());
        assert!(asks.answered(1).is_some() && asks.answered(1).is_none());
    }
}

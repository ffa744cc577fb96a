//! Queues of slots, threaded through one array: to move a slot between them allocates nothing.
//!
//! Invariant: a slot is in at most one queue. Whoever owns the queues knows in which.

/// No slot: the end of a queue.
const NONE: u32 = u32::MAX;

/// The neighbours of one slot in its queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    prev: u32,
    next: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self { prev: NONE, next: NONE }
    }
}

/// One queue.
#[derive(Debug)]
pub(super) struct List {
    front: u32,
    back: u32,
    len: u32,
}

impl List {
    pub(super) fn new() -> Self {
        Self { front: NONE, back: NONE, len: 0 }
    }

    /// How many slots are in it.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The slot that came first.
    pub(super) fn front(&self) -> Option<u32> {
        (self.front != NONE).then_some(self.front)
    }

    pub(super) fn push_back(&mut self, links: &mut [Links], slot: u32) {
        links[slot as usize] = Links { prev: self.back, next: NONE };
        match self.back {
            NONE => self.front = slot,
            back => links[back as usize].next = slot,
        }
        self.back = slot;
        self.len += 1;
    }

    /// Takes a slot out, wherever it stands in this queue.
    pub(super) fn remove(&mut self, links: &mut [Links], slot: u32) {
        let Links { prev, next } = std::mem::take(&mut links[slot as usize]);
        match prev {
            NONE => self.front = next,
            prev => links[prev as usize].next = next,
        }
        match next {
            NONE => self.back = prev,
            next => links[next as usize].prev = prev,
        }
        self.len -= 1;
    }

    pub(super) fn pop_front(&mut self, links: &mut [Links]) -> Option<u32> {
        let slot = self.front()?;
        self.remove(links, slot);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_leave_in_the_order_in_which_they_came_and_from_anywhere() {
        let mut links = vec![Links::default(); 5];
        let (mut one, mut two) = (List::new(), List::new());
        (0..5).for_each(|slot| one.push_back(&mut links, slot));
        one.remove(&mut links, 0);
        one.remove(&mut links, 2);
        one.remove(&mut links, 4);
        two.push_back(&mut links, 4);
        two.push_back(&mut links, 0);
        one.push_back(&mut links, 2);
        assert_eq!((one.len(), one.front()), (3, Some(1)));
        let mut drain = |list: &mut List| -> Vec<u32> {
            std::iter::from_fn(|| list.pop_front(&mut links)).collect()
        };
        assert_eq!(drain(&mut one), [1, 3, 2]);
        assert_eq!(drain(&mut two), [4, 0]);
        assert!(drain(&mut one).is_empty());
        assert_eq!((one.len(), one.front()), (0, None));
    }
}

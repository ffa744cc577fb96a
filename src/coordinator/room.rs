//! How many groups there may be, over all shards.
//!
//! Invariant: `taken` is the number of [`Place`]s that exist. A group holds one as long as it is
//! there, so what a client can make it fill is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Places for groups.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicUsize,
    max: usize,
    /// The operator was told that there is none left.
    told: AtomicBool,
}

/// A group's place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Room>);

impl Room {
    /// Room for `max` groups (`group.max.count`).
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), max, told: AtomicBool::new(false) })
    }

    /// A place for a group that the log has: it is never refused, the bound may have been larger.
    pub(super) fn place_for_known(self: &Arc<Self>) -> Place {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }

    /// A place for a group that was not there before, if there is one.
    pub(super) fn place_for_new(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken: usize| (taken < self.max).then_some(taken + 1);
        if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
            return Some(Place(self.clone()));
        }
        // Once: whoever fills it would fill the log too.
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(groups = self.max, "no more consumer groups are taken: group.max.count");
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

//! Which class of the read cache each topic has.
//!
//! It is looked up at each use of a chunk, so that a change counts from the next use on. A look is a
//! lock that nobody holds for longer than a look, once for 256 KiB.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::cache::CacheClass;
use crate::ids::TopicId;

/// The topics that have another class than the default.
#[derive(Debug, Default)]
pub(crate) struct Classes(RwLock<HashMap<TopicId, CacheClass>>);

impl Classes {
    /// The class of a topic; the default of one that nobody told of.
    pub(crate) fn of(&self, topic: TopicId) -> CacheClass {
        self.0.read().get(&topic).copied().unwrap_or_default()
    }

    pub(crate) fn set(&self, topic: TopicId, class: CacheClass) {
        if class == CacheClass::default() {
            self.0.write().remove(&topic);
        } else {
            self.0.write().insert(topic, class);
        }
    }
}

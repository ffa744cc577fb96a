//! What the cache is to do for a topic.
//!
//! Invariant: a class decides who waits for the store again, and never what a reader is given.

/// How a topic's chunks stand in the read cache. It counts for a chunk from its next use on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheClass {
    /// What is used again after a while stays before what is not.
    #[default]
    Normal,
    /// Gives way last, within three quarters of the cache.
    Keep,
    /// Gives way first once it was used: kept for readers that are close together.
    Pass,
}

impl CacheClass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Keep, Self::Pass];

    /// Its word in settings and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Keep => "keep",
            Self::Pass => "pass",
        }
    }

    /// The class of that word; `None` for every other word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

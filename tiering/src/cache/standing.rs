//! What a chunk in the cache is worth.

use super::CacheClass;

/// How a chunk stands: which of the queues it is in when nobody holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Used once, or not yet.
    Probation,
    /// Came back after a while.
    Protected,
    /// Of a topic of the class `keep`, and within the part that those have.
    Kept,
    /// Of a topic of the class `pass`.
    Passing,
}

/// How many chunks stand how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standings {
    pub(super) probation: u32,
    pub(super) protected: u32,
    pub(super) kept: u32,
    pub(super) passing: u32,
}

impl Standings {
    pub(super) fn of(&mut self, standing: Standing) -> &mut u32 {
        match standing {
            Standing::Probation => &mut self.probation,
            Standing::Protected => &mut self.protected,
            Standing::Kept => &mut self.kept,
            Standing::Passing => &mut self.passing,
        }
    }

    /// Those of one class, as far as the standing tells: a chunk of the class `keep` that has no room
    /// among the kept counts as a normal one.
    pub(super) fn of_class(self, class: CacheClass) -> u32 {
        match class {
            CacheClass::Normal => self.probation + self.protected,
            CacheClass::Keep => self.kept,
            CacheClass::Pass => self.passing,
        }
    }
}

//! Groups as a dashboard looks at them: counts, and offsets up to a bound.

use std::sync::Arc;

/// Where a group stands: `Empty`, `PreparingRebalance`, `CompletingRebalance` or `Stable`, in this
/// order.
pub const GROUP_STATES: usize = 4;

/// What groups add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupsLook {
    /// How many are in each state.
    pub by_state: [usize; GROUP_STATES],
    /// What some of them have committed.
    pub offsets: Vec<GroupOffset>,
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next record to read.
    pub offset: i64,
}

impl GroupsLook {
    pub(super) fn add(&mut self, other: Self) {
        for (sum, more) in self.by_state.iter_mut().zip(other.by_state) {
            *sum += more;
        }
        self.offsets.extend(other.offsets);
    }
}

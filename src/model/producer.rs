//! An idempotent producer's identity (KIP-98).

use std::fmt;

/// A producer's id, given out by InitProducerId; -1 in batches of producers that have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

impl ProducerId {
    /// The protocol's "not idempotent".
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Counts the incarnations of one producer id; a higher one fences the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(pub i16);

impl ProducerEpoch {
    /// The protocol's "no epoch".
    pub const NONE: Self = Self(-1);
}

/// A record's number within one producer id, epoch and partition; wraps from `i32::MAX` to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(pub i32);

impl Sequence {
    /// The protocol's "no sequence".
    pub const NONE: Self = Self(-1);

    /// The sequence `steps` later. `steps` is never negative.
    #[must_use]
    pub const fn advance(self, steps: i32) -> Self {
        if self.0 > i32::MAX - steps {
            Self(steps - (i32::MAX - self.0) - 1)
        } else {
            Self(self.0 + steps)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sequence;

    #[test]
    fn a_sequence_wraps_to_zero_after_the_largest_number() {
        assert_eq!(Sequence(i32::MAX).advance(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).advance(3), Sequence(1));
        assert_eq!(Sequence(5).advance(2), Sequence(7));
    }
}

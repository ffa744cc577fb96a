//! What the cache remembers of chunks that it dropped: when each was first used.
//!
//! A table of sets of four, eight bytes for each chunk that is remembered. It forgets what was
//! first used longest ago in its set. It may mistake one chunk for another once in a billion looks:
//! that costs a wrong guess about a chunk's worth and never a wrong byte.

const WAYS: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// A part of the chunk's hash; 0 is an empty place.
    mark: u32,
    first_use: u32,
}

/// The memory of dropped chunks.
#[derive(Debug)]
pub(super) struct Ghost {
    sets: Vec<[Memory; WAYS]>,
}

impl Ghost {
    /// Remembers about as many chunks as `chunks`.
    pub(super) fn new(chunks: usize) -> Self {
        Self { sets: vec![Default::default(); chunks.div_ceil(WAYS).max(1)] }
    }

    pub(super) fn remember(&mut self, hash: u64, first_use: u32) {
        let (set, mark) = self.place(hash);
        let same = set.iter().position(|memory| memory.mark == mark);
        let oldest = || {
            let age = |memory: &Memory| (memory.mark != 0, memory.first_use);
            (0..WAYS).min_by_key(|at| age(&set[*at])).unwrap_or(0)
        };
        let at = same.unwrap_or_else(oldest);
        set[at] = Memory { mark, first_use };
    }

    /// When the chunk was first used. It is forgotten by this.
    pub(super) fn recall(&mut self, hash: u64) -> Option<u32> {
        let (set, mark) = self.place(hash);
        let memory = set.iter_mut().find(|memory| memory.mark == mark)?;
        Some(std::mem::take(memory).first_use)
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.sets.capacity() * size_of::<[Memory; WAYS]>()
    }

    /// The set and the mark: from two halves of the hash, so that one tells nothing of the other.
    fn place(&mut self, hash: u64) -> (&mut [Memory; WAYS], u32) {
        let (high, mark) = ((hash >> 32) as u32, hash as u32);
        let set = (u64::from(high) * self.sets.len() as u64) >> 32;
        (&mut self.sets[set as usize], mark.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn a_dropped_chunk_is_remembered_once() {
        let mut ghost = Ghost::new(100);
        ghost.remember(hash(1), 7);
        ghost.remember(hash(1), 9);
        assert_eq!(ghost.recall(hash(2)), None);
        assert_eq!(ghost.recall(hash(1)), Some(9));
        assert_eq!(ghost.recall(hash(1)), None);
    }

    #[test]
    fn the_latest_are_remembered_and_those_of_long_ago_are_not() {
        let mut ghost = Ghost::new(1000);
        (0..10_000).for_each(|n| ghost.remember(hash(n), n as u32));
        let known = |ghost: &mut Ghost, range: std::ops::Range<u64>| {
            range.filter(|n| ghost.recall(hash(*n)) == Some(*n as u32)).count()
        };
        assert!(known(&mut ghost, 9_500..10_000) > 450);
        assert!(known(&mut ghost, 0..8_000) < 50);
    }
}

//! Which partition a record goes to: by its key as Kafka's own clients choose, so that their
//! records and ours with one key lie in one partition.

/// Chooses partitions.
#[derive(Debug)]
pub(crate) struct Partitioner {
    partitions: Vec<i32>,
    next: usize,
}

impl Partitioner {
    /// Chooses among these, by number. There is at least one.
    pub(crate) fn new(partitions: Vec<i32>) -> Self {
        Self { partitions, next: 0 }
    }

    /// The partition of a key; without one, the current partition of [`Self::turn`].
    pub(crate) fn of(&self, key: Option<&[u8]>) -> i32 {
        let count = self.partitions.len().max(1);
        let at = match key {
            Some(key) => (murmur2(key) & 0x7fff_ffff) as usize % count,
            None => self.next % count,
        };
        self.partitions.get(at).copied().unwrap_or(0)
    }

    /// Records without a key go to the next partition from now on.
    pub(crate) fn turn(&mut self) {
        self.next = self.next.wrapping_add(1);
    }
}

/// Austin Appleby's MurmurHash2 for 32 bits, with the seed of Kafka's clients.
fn murmur2(bytes: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ (bytes.len() as u32);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> 24;
        hash = hash.wrapping_mul(FACTOR) ^ word.wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_kafkas_own_clients() {
        // The values that Kafka's own tests expect.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn records_without_a_key_stay_until_the_turn() {
        let mut partitioner = Partitioner::new(vec![0, 1]);
        assert_eq!((partitioner.of(None), partitioner.of(None)), (0, 0));
        partitioner.turn();
        assert_eq!(partitioner.of(None), 1);
    }
}

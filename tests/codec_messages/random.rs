//! Seeded randomness: `CODEC_SEED` repeats a run, else each run has a seed of its own.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Prints the seed; the test harness shows it when the test fails.
    pub(crate) fn seeded() -> Self {
        let seed = match std::env::var("CODEC_SEED") {
            Ok(text) => text.parse().expect("CODEC_SEED is a number"),
            Err(_) => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
            }
        };
        println!("repeat with CODEC_SEED={seed}");
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

//! Choices that a printed seed repeats.

use super::number;

/// Splitmix64.
pub(crate) struct Random(u64);

impl Random {
    /// By ICECORE_E2E_SEED, or another each time; prints it.
    pub(crate) fn of_this_run() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        let seed = number("ICECORE_E2E_SEED", u64::from(now.subsec_nanos()));
        println!("ICECORE_E2E_SEED={seed}");
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

//! How much room the log folder's disk has, and whose producers are let in.
//!
//! Two watermarks of free bytes. The disk is short once a batch would take it below the low one, or
//! a look finds it there, and stays so until a look finds the high one. What lies below the low one
//! is for those that nobody may refuse: uploads and the manifest, offsets of groups, checkpoints.
//!
//! Invariant: what is let in between two looks and not written yet counts as written, so producers
//! never pass the low watermark, however much waits in the lanes.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::config::DiskFullPolicy;
use crate::log::AppendError;

/// `-1` for the low watermark: this part of the disk, but never more than [`LOW_BYTES_MAX`].
const LOW_PART: u64 = 20;
const LOW_BYTES_MAX: u64 = 512 << 20;

/// Watermarks as the settings have them; `None` leaves one to the size of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedWatermarks {
    /// `tiering.disk.free.low.bytes`.
    pub low: Option<u64>,
    /// `tiering.disk.free.high.bytes`.
    pub high: Option<u64>,
}

/// Watermarks in free bytes, `low <= high`. A low one of 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// With less, the disk is short.
    pub low: u64,
    /// With as much, it is short no more.
    pub high: u64,
}

impl WantedWatermarks {
    /// What they are on a disk of that size.
    fn on(self, total: u64) -> Watermarks {
        let low = self.low.unwrap_or_else(|| (total / LOW_PART).min(LOW_BYTES_MAX));
        Watermarks { low, high: self.high.unwrap_or_else(|| low.saturating_mul(2)).max(low) }
    }
}

/// The disk can never reach the high watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tiering.disk.free.high.bytes comes to {high}, and the disk of the log folder has {total} in \
     all: lower it and tiering.disk.free.low.bytes"
)]
pub struct DiskTooSmall {
    /// The watermark.
    pub high: u64,
    /// All bytes of the disk.
    pub total: u64,
}

/// How things stand with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceState {
    /// Everybody writes.
    Enough,
    /// Producers of topics that block are refused; for the others uploaded segments go early.
    Short,
    /// There is nothing uploaded that may go: all producers are refused.
    Full,
}

/// What can be told of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceReport {
    /// How things stand.
    pub state: SpaceState,
    /// The watermarks.
    pub marks: Watermarks,
    /// All bytes of the disk, by the last look.
    pub total_bytes: u64,
    /// Those that are free for this process, by the last look.
    pub free_bytes: u64,
    /// Batches that were refused since the start.
    pub refused_batches: u64,
    /// Local segments that went early since the start.
    pub dropped_segments: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

/// The room of one disk, shared by all partitions.
pub struct Space {
    marks: Watermarks,
    /// Bytes of batches that were let in since the start.
    admitted: AtomicI64,
    /// Bytes of those that a lane is done with.
    written: AtomicI64,
    /// Up to where `admitted` may go before the disk is short, by the last look.
    ceiling: AtomicI64,
    short: AtomicBool,
    /// What the last look found.
    found_short: AtomicBool,
    /// Nothing uploaded is left that may go.
    dry: AtomicBool,
    total: AtomicU64,
    free: AtomicU64,
    refused: AtomicU64,
    dropped_segments: AtomicU64,
    dropped_bytes: AtomicU64,
}

impl Space {
    /// The room of a disk of which that much is free.
    ///
    /// # Errors
    /// When the high watermark is more than the whole disk.
    pub(super) fn new(
        wanted: WantedWatermarks,
        total: u64,
        free: u64,
    ) -> Result<Self, DiskTooSmall> {
        let marks = wanted.on(total);
        if marks.high > total {
            return Err(DiskTooSmall { high: marks.high, total });
        }
        let space = Self {
            marks,
            admitted: AtomicI64::new(0),
            written: AtomicI64::new(0),
            ceiling: AtomicI64::new(0),
            short: AtomicBool::new(false),
            found_short: AtomicBool::new(false),
            dry: AtomicBool::new(false),
            total: AtomicU64::new(total),
            free: AtomicU64::new(free),
            refused: AtomicU64::new(0),
            dropped_segments: AtomicU64::new(0),
            dropped_bytes: AtomicU64::new(0),
        };
        space.looked(0, total, free);
        // Of a disk that is short from the start the first look of the upkeep tells.
        space.found_short.store(false, Ordering::Release);
        Ok(space)
    }

    /// Bytes that lanes are done with. To be asked before the disk: a batch that is written between
    /// the two is then counted twice, and never not at all.
    pub(super) fn written_so_far(&self) -> i64 {
        self.written.load(Ordering::Acquire)
    }

    /// Takes note of a look at the disk. Returns whether it is short, and whether the last look found
    /// otherwise.
    pub(super) fn looked(&self, written: i64, total: u64, free: u64) -> (bool, bool) {
        self.total.store(total, Ordering::Relaxed);
        self.free.store(free, Ordering::Relaxed);
        let Watermarks { low, high } = self.marks;
        let ceiling = match low {
            0 => i64::MAX,
            _ => written.saturating_add(signed(free).saturating_sub(signed(low))),
        };
        self.ceiling.store(ceiling, Ordering::Release);
        let was = self.short.load(Ordering::Acquire);
        let is = if was { free < high } else { free < low };
        self.short.store(is, Ordering::Release);
        if !is {
            self.dry.store(false, Ordering::Release);
        }
        (is, self.found_short.swap(is, Ordering::AcqRel) != is)
    }

    /// Lets a batch in, or says why not. A topic that drops what is uploaded is let in down to half of
    /// the low watermark, as long as there is something to drop.
    ///
    /// # Errors
    /// When the batch may not be written now.
    pub(super) fn admit(&self, bytes: usize, policy: DiskFullPolicy) -> Result<(), AppendError> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let over = self.admit_always(bytes).saturating_sub(self.ceiling.load(Ordering::Acquire));
        if over > 0 {
            self.short.store(true, Ordering::Release);
        }
        let refused = self.short.load(Ordering::Acquire)
            && match policy {
                DiskFullPolicy::Block => true,
                DiskFullPolicy::DropUploadedFirst => {
                    self.dry.load(Ordering::Acquire) || over > signed(self.marks.low / 2)
                }
            };
        if !refused {
            return Ok(());
        }
        self.admitted.fetch_sub(bytes, Ordering::AcqRel);
        self.refused.fetch_add(1, Ordering::Relaxed);
        let free = self.free.load(Ordering::Relaxed);
        Err(AppendError::DiskFull { free, low: self.marks.low, high: self.marks.high })
    }

    /// Lets in what nobody may refuse. Returns all that was let in so far.
    pub(super) fn admit_always(&self, bytes: i64) -> i64 {
        self.admitted.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes)
    }

    /// A lane is done with so many bytes that were let in, written or not.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::AcqRel);
    }

    /// Bytes to be freed until the disk is short no more.
    pub(super) fn missing(&self) -> u64 {
        self.marks.high.saturating_sub(self.free.load(Ordering::Relaxed))
    }

    /// Notes whether something uploaded is left that may go.
    pub(super) fn note_dry(&self, dry: bool) {
        self.dry.store(dry, Ordering::Release);
    }

    /// Notes segments that went early.
    pub(super) fn note_dropped(&self, segments: u64, bytes: u64) {
        self.dropped_segments.fetch_add(segments, Ordering::Relaxed);
        self.dropped_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How things stand.
    pub fn report(&self) -> SpaceReport {
        let (short, dry) = (self.short.load(Ordering::Acquire), self.dry.load(Ordering::Acquire));
        SpaceReport {
            state: match (short, dry) {
                (false, _) => SpaceState::Enough,
                (true, false) => SpaceState::Short,
                (true, true) => SpaceState::Full,
            },
            marks: self.marks,
            total_bytes: self.total.load(Ordering::Relaxed),
            free_bytes: self.free.load(Ordering::Relaxed),
            refused_batches: self.refused.load(Ordering::Relaxed),
            dropped_segments: self.dropped_segments.load(Ordering::Relaxed),
            dropped_bytes: self.dropped_bytes.load(Ordering::Relaxed),
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: DiskFullPolicy = DiskFullPolicy::Block;
    const DROP: DiskFullPolicy = DiskFullPolicy::DropUploadedFirst;

    fn space(low: u64, high: u64, free: u64) -> Space {
        let wanted = WantedWatermarks { low: Some(low), high: Some(high) };
        Space::new(wanted, 10_000, free).expect("a disk large enough")
    }

    #[test]
    fn watermarks_that_nobody_gave_follow_the_disk_up_to_a_bound() {
        let on = |low, high, total| {
            let Watermarks { low, high } = WantedWatermarks { low, high }.on(total);
            (low, high)
        };
        assert_eq!(on(None, None, 16 << 20), (838_860, 1_677_720));
        assert_eq!(on(None, None, 1 << 40), (512 << 20, 1 << 30));
        assert_eq!(on(Some(5), None, 1 << 40), (5, 10));
        assert_eq!(on(None, Some(7), 100), (5, 7));
        assert_eq!(on(None, Some(7), 1 << 40), (512 << 20, 512 << 20), "high is never below low");
        assert_eq!(on(Some(0), None, 1 << 40), (0, 0));
    }

    #[test]
    fn a_disk_that_can_never_reach_the_high_watermark_is_refused() {
        let wanted = WantedWatermarks { low: Some(1), high: Some(101) };
        let error = Space::new(wanted, 100, 100).err().expect("refused").to_string();
        assert!(error.contains("comes to 101") && error.contains("has 100"), "{error}");
    }

    #[test]
    fn producers_are_refused_from_the_low_watermark_on_until_the_high_one_is_reached() {
        let space = space(1000, 2000, 1300);
        assert!(space.admit(300, BLOCK).is_ok(), "exactly down to the low one");
        let refused = space.admit(1, BLOCK).expect_err("full").to_string();
        assert!(refused.contains("2000"), "it says when: {refused}");
        space.wrote(300);
        for (free, lets_in) in [(1000, false), (1999, false), (2000, true), (1500, true)] {
            space.looked(space.written_so_far(), 10_000, free);
            assert_eq!(space.admit(1, BLOCK).is_ok(), lets_in, "with {free} free");
        }
        assert_eq!(space.report().refused_batches, 3);
    }

    #[test]
    fn what_waits_in_the_lanes_counts_as_written() {
        let space = space(1000, 2000, 3000);
        space.admit(1500, BLOCK).expect("room");
        // Nothing of it is on the disk yet.
        space.looked(space.written_so_far(), 10_000, 3000);
        assert!(space.admit(600, BLOCK).is_err(), "both together pass the low watermark");
        let space = self::space(1000, 2000, 3000);
        space.admit(1500, BLOCK).expect("room");
        space.wrote(1500);
        space.looked(space.written_so_far(), 10_000, 1500);
        assert!(space.admit(500, BLOCK).is_ok());
    }

    #[test]
    fn topics_that_drop_go_on_while_there_is_something_to_drop_and_not_into_the_reserve() {
        let space = space(1000, 2000, 1100);
        assert!(space.admit(400, DROP).is_ok() && space.admit(1, BLOCK).is_err());
        assert_eq!(space.report().state, SpaceState::Short);
        assert!(space.admit(201, DROP).is_err(), "half of the low watermark stays");
        space.note_dry(true);
        assert!(space.admit(1, DROP).is_err(), "nothing is left to drop");
        assert_eq!(space.report().state, SpaceState::Full);
        space.looked(0, 10_000, 5000);
        assert_eq!(space.report().state, SpaceState::Enough);
        assert!(space.admit(1, DROP).is_ok() && space.admit(1, BLOCK).is_ok());
    }

    #[test]
    fn what_nobody_may_refuse_is_let_in_and_counted() {
        let space = space(1000, 2000, 1100);
        assert_eq!(space.admit_always(500), 500);
        assert!(space.admit(1, BLOCK).is_err());
    }

    #[test]
    fn without_a_low_watermark_nobody_is_refused() {
        let space = space(0, 0, 0);
        assert!(space.admit(1 << 40, BLOCK).is_ok() && space.admit(1, BLOCK).is_ok());
    }
}

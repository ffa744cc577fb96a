//! Retention of the remote tier, as pure functions of rows, policy and time.
//!
//! The semantics are Kafka's (KIP-405): a segment goes when its newest record is older than
//! `retention.ms`, while the partition exceeds `retention.bytes` by at least the oldest segment, or
//! when it lies wholly below the log start. Segments go from the oldest on, without a hole.
//!
//! Invariant: the log start moves before anything is deleted, so that no reader is led to an offset
//! whose segment is on its way out. Hence two calls: a plan, whose `new_log_start` the caller makes
//! durable, and its execution.

use crate::ids::Offset;
use crate::manifest::{ManifestError, RowRange};
use crate::partition::PartitionKey;
use crate::segment::{RemoteState, Segment};
use crate::tiering::Tiering;

/// Rows read at a time.
const PAGE: usize = 512;
/// Segments in one plan: a longer backlog takes several.
const PLAN_MAX: usize = 4096;

/// What a topic's settings say about keeping data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`; `None` keeps for ever.
    pub ms: Option<i64>,
    /// `retention.bytes`; `None` keeps any amount.
    pub bytes: Option<u64>,
    /// The log start: what lies below it is not wanted any more (DeleteRecords).
    pub log_start: Offset,
}

/// What shall go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiryPlan {
    /// Where the log shall start. The caller makes it durable before it executes the plan. `None`
    /// when it does not move.
    pub new_log_start: Option<Offset>,
    /// The live segments that go, oldest first.
    pub segments: Vec<Segment>,
}

/// What an expiry will come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForeseenExpiry {
    /// Segments that will go.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
    /// Where the log will start; `None` when it does not move.
    pub new_log_start: Option<Offset>,
}

impl ForeseenExpiry {
    fn add(&mut self, segment: &Segment, retention: Retention) {
        self.segments += 1;
        self.bytes += segment.size;
        self.new_log_start = Some(segment.end.next()).filter(|end| *end > retention.log_start);
    }
}

/// Decides segment by segment, oldest first.
#[derive(Clone, Debug)]
struct Judge {
    retention: Retention,
    now_ms: i64,
    /// By how much the partition exceeds `retention.bytes`.
    excess: u64,
}

impl Judge {
    fn new(retention: Retention, total_bytes: u64, now_ms: i64) -> Self {
        let excess = retention.bytes.map_or(0, |limit| total_bytes.saturating_sub(limit));
        Self { retention, now_ms, excess }
    }

    /// Whether the oldest segment that is left goes.
    fn expires(&mut self, segment: &Segment) -> bool {
        let age = self.now_ms.saturating_sub(segment.retention_time_ms());
        let too_old = self.retention.ms.is_some_and(|limit| age > limit);
        let too_much = self.excess > 0 && self.excess >= segment.size;
        let below_start = segment.end < self.retention.log_start;
        let expires = too_old || too_much || below_start;
        if expires {
            self.excess = self.excess.saturating_sub(segment.size);
        }
        expires
    }
}

/// The expiry of segments in offset order, together `total_bytes` with what is local only.
#[must_use]
pub fn plan_expiry(
    live: &[Segment],
    total_bytes: u64,
    retention: Retention,
    now_ms: i64,
) -> ExpiryPlan {
    let mut judge = Judge::new(retention, total_bytes, now_ms);
    let expired = live.iter().take_while(|segment| judge.expires(segment)).cloned();
    plan(expired.collect(), retention)
}

fn plan(segments: Vec<Segment>, retention: Retention) -> ExpiryPlan {
    let after = segments.last().map(|segment| segment.end.next());
    let new_log_start = after.filter(|start| *start > retention.log_start);
    ExpiryPlan { new_log_start, segments }
}

impl Tiering {
    /// Which live segments of a partition shall go by `retention`. `local_only_bytes` is the size
    /// of what the store does not have; it counts towards `retention.bytes`. Changes nothing.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn plan_expiry(
        &self,
        partition: &PartitionKey,
        retention: Retention,
        local_only_bytes: u64,
        now_ms: i64,
    ) -> Result<ExpiryPlan, ManifestError> {
        let total = self.manifest.bounds(partition).await?.bytes + local_only_bytes;
        let mut expired = Vec::new();
        let take = |segment| {
            expired.push(segment);
            expired.len() < PLAN_MAX
        };
        self.judge_live(partition, Judge::new(retention, total, now_ms), take).await?;
        Ok(plan(expired, retention))
    }

    /// What expiry will come to once `waiting` segments, which follow on the live ones, are live as well:
    /// all of it, not one plan's worth. `local_only_bytes` as in [`Tiering::plan_expiry`], with what
    /// waits. Changes nothing.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn foresee_expiry(
        &self,
        partition: &PartitionKey,
        retention: Retention,
        waiting: &[Segment],
        local_only_bytes: u64,
        now_ms: i64,
    ) -> Result<ForeseenExpiry, ManifestError> {
        let total = self.manifest.bounds(partition).await?.bytes + local_only_bytes;
        let mut foreseen = ForeseenExpiry::default();
        let count = |segment: Segment| {
            foreseen.add(&segment, retention);
            true
        };
        let judge = self.judge_live(partition, Judge::new(retention, total, now_ms), count).await?;
        if let Some(mut judge) = judge {
            let expired = waiting.iter().take_while(|segment| judge.expires(segment));
            expired.for_each(|segment| foreseen.add(segment, retention));
        }
        Ok(foreseen)
    }

    /// Hands the live segments that expire to `take`, oldest first, as long as it wants more. Returns
    /// the judge when all of them were taken.
    async fn judge_live(
        &self,
        partition: &PartitionKey,
        mut judge: Judge,
        mut take: impl FnMut(Segment) -> bool,
    ) -> Result<Option<Judge>, ManifestError> {
        let mut range = RowRange {
            from: Offset::ZERO,
            to: Offset::MAX,
            remote: Some(RemoteState::Live),
            limit: PAGE,
        };
        loop {
            let page = self.manifest.rows(partition, range).await?;
            let Some(last) = page.last() else { return Ok(Some(judge)) };
            range.from = last.base.next();
            for segment in page {
                if !judge.expires(&segment) || !take(segment) {
                    return Ok(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{LeaderEpoch, TopicId};
    use crate::segment::LocalState;

    fn segment(base: i64, size: u64, max_timestamp_ms: i64) -> Segment {
        let key = PartitionKey::new("t", TopicId::from_bytes([1; 16]), 0);
        let span = (Offset::new(base), Offset::new(base + 9));
        let times = (max_timestamp_ms, max_timestamp_ms);
        let sealed = Segment::sealed(key, span, times, size, LeaderEpoch::ZERO, vec![], 500);
        Segment { local: LocalState::Gone, remote: RemoteState::Live, ..sealed }
    }

    fn log() -> Vec<Segment> {
        vec![segment(0, 100, 1_000), segment(10, 100, 2_000), segment(20, 100, 3_000)]
    }

    fn bases(plan: &ExpiryPlan) -> Vec<i64> {
        plan.segments.iter().map(|segment| segment.base.get()).collect()
    }

    #[test]
    fn by_time_a_segment_goes_when_it_is_older_and_not_when_it_is_as_old() {
        let retention = Retention { ms: Some(1_000), ..Retention::default() };
        assert_eq!(bases(&plan_expiry(&log(), 300, retention, 2_000)), [] as [i64; 0]);
        let plan = plan_expiry(&log(), 300, retention, 2_001);
        assert_eq!((bases(&plan), plan.new_log_start), (vec![0], Some(Offset::new(10))));
        assert_eq!(bases(&plan_expiry(&log(), 300, retention, i64::MAX)), [0, 10, 20]);
    }

    #[test]
    fn by_size_a_segment_goes_only_when_the_excess_is_at_least_its_size() {
        let retention = |bytes| Retention { bytes: Some(bytes), ..Retention::default() };
        assert!(plan_expiry(&log(), 300, retention(201), 0).segments.is_empty());
        assert_eq!(bases(&plan_expiry(&log(), 300, retention(200), 0)), [0]);
        assert_eq!(
            bases(&plan_expiry(&log(), 350, retention(150), 0)),
            [0, 10],
            "local bytes count"
        );
        assert_eq!(bases(&plan_expiry(&log(), 300, retention(0), 0)), [0, 10, 20]);
    }

    #[test]
    fn below_the_log_start_a_segment_goes_only_whole_and_the_start_does_not_move() {
        let retention = Retention { log_start: Offset::new(15), ..Retention::default() };
        let plan = plan_expiry(&log(), 300, retention, 0);
        assert_eq!((bases(&plan), plan.new_log_start), (vec![0], None));
    }

    #[test]
    fn without_timestamps_the_time_of_the_seal_counts() {
        let retention = Retention { ms: Some(100), ..Retention::default() };
        let log = [segment(0, 1, -1)];
        assert!(plan_expiry(&log, 1, retention, 600).segments.is_empty());
        assert_eq!(bases(&plan_expiry(&log, 1, retention, 601)), [0]);
    }

    #[test]
    fn a_young_segment_shields_the_old_ones_behind_it() {
        let log = [segment(0, 1, 9_000), segment(10, 1, 1)];
        let retention = Retention { ms: Some(1_000), ..Retention::default() };
        assert!(plan_expiry(&log, 2, retention, 9_500).segments.is_empty());
    }

    proptest! {
        #[test]
        fn what_goes_is_a_prefix_and_what_stays_fits_or_is_needed(
            sizes in proptest::collection::vec(1..1000_u64, 1..20), limit in 0..10_000_u64,
        ) {
            let log: Vec<_> =
                (0..).zip(&sizes).map(|(n, size)| segment(n * 10, *size, 0)).collect();
            let total: u64 = sizes.iter().sum();
            let retention = Retention { bytes: Some(limit), ..Retention::default() };
            let plan = plan_expiry(&log, total, retention, 0);
            let gone = plan.segments.len();
            prop_assert_eq!(&plan.segments[..], &log[..gone]);
            let left = total - sizes[..gone].iter().sum::<u64>();
            prop_assert!(gone == 0 || left >= limit, "never below the limit");
            if let Some(next) = sizes.get(gone) {
                prop_assert!(left.saturating_sub(limit) < *next || left <= limit);
            }
        }
    }
}

//! Which local segments may go. Pure functions of sizes, times, policy and now.

use crate::model::Offset;

/// What retention knows of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The offset after its last record.
    pub end: Offset,
    /// Bytes.
    pub size: u64,
    /// Its largest timestamp in milliseconds, or the time of its seal when it has none.
    pub max_timestamp_ms: i64,
}

/// How long and how much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Milliseconds; `None` for ever.
    pub ms: Option<i64>,
    /// Bytes; `None` without bound.
    pub bytes: Option<u64>,
}

/// Up to where the policy wants segments gone, oldest first: the end of the last one to go, or
/// `None`. `segments` are the sealed ones by offset; `active_bytes` count towards the size and
/// never go.
#[must_use]
pub fn expired(
    segments: &[Candidate],
    active_bytes: u64,
    log_start: Offset,
    policy: Policy,
    now_ms: i64,
) -> Option<Offset> {
    let mut total = active_bytes + segments.iter().map(|segment| segment.size).sum::<u64>();
    let mut until = None;
    for segment in segments {
        let deleted = segment.end <= log_start;
        let too_old =
            policy.ms.is_some_and(|ms| now_ms.saturating_sub(segment.max_timestamp_ms) > ms);
        // Kafka keeps a segment as long as what remains without it is less than the bound.
        let too_much =
            policy.bytes.is_some_and(|bytes| total.saturating_sub(bytes) >= segment.size);
        if !(deleted || too_old || too_much) {
            break;
        }
        total -= segment.size;
        until = Some(segment.end);
    }
    until
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<Candidate> {
        let segment =
            |n: i64| Candidate { end: Offset::new(n * 10), size: 100, max_timestamp_ms: n * 1000 };
        (1..=4).map(segment).collect()
    }

    fn until(policy: Policy, log_start: i64, now_ms: i64) -> Option<i64> {
        expired(&segments(), 50, Offset::new(log_start), policy, now_ms).map(Offset::get)
    }

    #[test]
    fn segments_go_when_they_are_older_than_the_bound_and_not_at_it() {
        let policy = Policy { ms: Some(1000), bytes: None };
        assert_eq!(until(policy, 0, 3000), Some(10), "2000 is exactly 1000 old");
        assert_eq!(until(policy, 0, 3001), Some(20));
        assert_eq!(until(policy, 0, 99_999), Some(40));
        assert_eq!(until(Policy::default(), 0, i64::MAX), None);
    }

    #[test]
    fn the_oldest_go_while_what_is_over_the_bound_is_a_whole_segment() {
        for (bytes, expected) in
            [(450, None), (351, None), (350, Some(10)), (250, Some(20)), (0, Some(40))]
        {
            assert_eq!(until(Policy { ms: None, bytes: Some(bytes) }, 0, 0), expected, "{bytes}");
        }
    }

    #[test]
    fn what_lies_below_the_log_start_goes_whatever_the_policy() {
        assert_eq!(until(Policy::default(), 20, 0), Some(20));
        assert_eq!(until(Policy::default(), 19, 0), Some(10));
    }
}

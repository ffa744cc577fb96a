//! Which local segments go early when the disk is short: the oldest of all partitions, by their
//! records' times, but each partition's in order. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::log::retention::Candidate;

/// For each partition how many of its segments go, so that `missing` bytes are freed, or all of them
/// when that is not enough. `uploaded` are those that may go, by offset.
pub(super) fn choose(uploaded: &[Vec<Candidate>], missing: u64) -> Vec<usize> {
    let mut going = vec![0; uploaded.len()];
    let oldest = |place: usize, at: usize| {
        let candidate = uploaded.get(place)?.get(at)?;
        Some(Reverse((candidate.max_timestamp_ms, place)))
    };
    let mut next: BinaryHeap<_> =
        (0..uploaded.len()).filter_map(|place| oldest(place, 0)).collect();
    let mut freed = 0;
    while freed < missing
        && let Some(Reverse((_, place))) = next.pop()
    {
        freed += uploaded[place][going[place]].size;
        going[place] += 1;
        next.extend(oldest(place, going[place]));
    }
    going
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Offset;

    fn log(segments: &[(u64, i64)]) -> Vec<Candidate> {
        let candidate = |(end, (size, max_timestamp_ms)): (i64, &(u64, i64))| Candidate {
            end: Offset::new(end),
            size: *size,
            max_timestamp_ms: *max_timestamp_ms,
        };
        (1..).zip(segments).map(candidate).collect()
    }

    #[test]
    fn the_oldest_of_all_partitions_go_first_until_enough_is_freed() {
        let logs = [log(&[(10, 5), (10, 6), (10, 9)]), log(&[]), log(&[(100, 7), (100, 8)])];
        for (missing, expected) in [
            (0, [0, 0, 0]),
            (1, [1, 0, 0]),
            (11, [2, 0, 0]),
            (21, [2, 0, 1]),
            (121, [2, 0, 2]),
            (100_000, [3, 0, 2]),
        ] {
            assert_eq!(choose(&logs, missing), expected, "{missing}");
        }
    }

    #[test]
    fn a_partition_gives_up_its_segments_in_order_whatever_their_times() {
        let logs = [log(&[(10, 9), (10, 1)]), log(&[(10, 5)])];
        assert_eq!(choose(&logs, 20), [1, 1], "what is old lies behind what is new");
    }
}

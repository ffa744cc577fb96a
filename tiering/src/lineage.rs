//! Overlaps between uploaded segments, resolved.
//!
//! A new leader's segments have other boundaries than its predecessor's, so two object pairs can
//! hold one offset. The higher leader epoch answers for every offset that it covers; what is left
//! of the lower one stays readable as a cut piece. Pure.

use std::collections::BTreeMap;

use crate::ids::Offset;
use crate::segment::Segment;

/// Who answers for which offsets: pieces without overlap in offset order, and the segments that
/// answer for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) pieces: Vec<Segment>,
    pub(crate) shadowed: Vec<Segment>,
}

/// Resolves the overlaps of one partition's segments.
pub(crate) fn resolve(mut segments: Vec<Segment>) -> Resolved {
    // Within an epoch the longer one wins, then the larger id: any fixed rule does, since one
    // leader uploads the same bytes in every attempt.
    segments.sort_by_key(|segment| {
        (segment.leader_epoch, segment.end - segment.base, segment.segment_id)
    });
    let mut taken = Taken::default();
    let mut resolved = Resolved::default();
    for segment in segments.into_iter().rev() {
        let free = taken.take(segment.base, segment.end);
        if free.is_empty() {
            resolved.shadowed.push(segment);
            continue;
        }
        let piece = |(base, end)| Segment { base, end, ..segment.clone() };
        resolved.pieces.extend(free.into_iter().map(piece));
    }
    resolved.pieces.sort_by_key(|piece| piece.base);
    resolved
}

/// Ranges of offsets that have an owner: first offset to last.
#[derive(Default)]
struct Taken(BTreeMap<Offset, Offset>);

impl Taken {
    /// Takes what is free of `base..=end` and gives it.
    fn take(&mut self, base: Offset, end: Offset) -> Vec<(Offset, Offset)> {
        let mut free = Vec::new();
        let mut from = base;
        let before = self.0.range(..base).next_back().map(|(_, end)| *end);
        if let Some(before) = before.filter(|before| *before >= base) {
            from = before.next();
        }
        for (taken_base, taken_end) in self.0.range(base..=end) {
            if from < *taken_base {
                free.push((from, taken_base.prev()));
            }
            from = from.max(taken_end.next());
        }
        if from <= end {
            free.push((from, end));
        }
        self.0.extend(free.iter().copied());
        free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{LeaderEpoch, TopicId};
    use crate::partition::PartitionKey;

    fn segment(base: i64, end: i64, epoch: i32) -> Segment {
        let key = PartitionKey::new("t", TopicId::from_bytes([1; 16]), 0);
        let span = (Offset::new(base), Offset::new(end));
        Segment::sealed(key, span, (0, 0), 1, LeaderEpoch::new(epoch), vec![], 0)
    }

    fn spans(resolved: &Resolved) -> Vec<(i64, i64, i32)> {
        let span = |s: &Segment| (s.base.get(), s.end.get(), s.leader_epoch.get());
        resolved.pieces.iter().map(span).collect()
    }

    #[test]
    fn the_later_leader_answers_for_what_it_covers_and_the_earlier_for_the_rest() {
        let resolved = resolve(vec![segment(0, 99, 1), segment(50, 149, 2), segment(150, 160, 2)]);
        assert_eq!(spans(&resolved), [(0, 49, 1), (50, 149, 2), (150, 160, 2)]);
        assert!(resolved.pieces[0].is_cut() && !resolved.pieces[1].is_cut());
    }

    #[test]
    fn a_later_segment_inside_an_earlier_one_leaves_two_pieces_of_it() {
        let resolved = resolve(vec![segment(0, 99, 1), segment(40, 59, 3)]);
        assert_eq!(spans(&resolved), [(0, 39, 1), (40, 59, 3), (60, 99, 1)]);
    }

    #[test]
    fn a_segment_that_is_covered_whole_answers_for_nothing() {
        let resolved = resolve(vec![segment(10, 20, 1), segment(0, 15, 2), segment(16, 30, 2)]);
        assert_eq!(spans(&resolved), [(0, 15, 2), (16, 30, 2)]);
        assert_eq!(resolved.shadowed.len(), 1);
    }

    proptest! {
        #[test]
        fn every_offset_has_the_highest_epoch_that_holds_it_and_only_one_owner(
            spans in proptest::collection::vec((0..60_i64, 0..30_i64, 0..4_i32), 0..12),
        ) {
            let segments: Vec<_> =
                spans.iter().map(|(base, len, epoch)| segment(*base, base + len, *epoch)).collect();
            let resolved = resolve(segments.clone());
            for offset in (0..100).map(Offset::new) {
                let best = segments.iter().filter(|s| s.covers(offset)).map(|s| s.leader_epoch).max();
                let owners: Vec<_> =
                    resolved.pieces.iter().filter(|s| s.covers(offset)).collect();
                prop_assert!(owners.len() <= 1, "one owner at {offset}");
                prop_assert_eq!(owners.first().map(|s| s.leader_epoch), best);
            }
            prop_assert!(resolved.pieces.windows(2).all(|pair| pair[0].end < pair[1].base));
        }
    }
}

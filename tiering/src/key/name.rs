//! The last part of an object's name: one segment, one of its two objects.

use std::fmt;
use std::str::FromStr;

use crate::ids::{LeaderEpoch, Offset, SegmentId};
use crate::segment::Segment;

/// Which of a segment's two objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectPart {
    /// Indexes, producer snapshot, epochs: see [`crate::IndexBundle`]. Written first.
    Index,
    /// Exactly the segment's bytes. Written last: its existence is the commit.
    Log,
}

impl ObjectPart {
    fn extension(self) -> &'static str {
        match self {
            Self::Index => ".index",
            Self::Log => ".log",
        }
    }
}

/// What an object's name tells about its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// The first offset in the object.
    pub base: Offset,
    /// The last offset in the object, inclusive.
    pub end: Offset,
    /// The largest timestamp, or -1.
    pub max_timestamp_ms: i64,
    /// The epoch of the leader that sealed the segment.
    pub leader_epoch: LeaderEpoch,
    /// The upload attempt.
    pub segment_id: SegmentId,
    /// Which of the two objects.
    pub part: ObjectPart,
}

impl ObjectName {
    /// The name of one of a segment's objects.
    #[must_use]
    pub fn of(segment: &Segment, part: ObjectPart) -> Self {
        Self {
            base: segment.object.base,
            end: segment.object.end,
            max_timestamp_ms: segment.max_timestamp_ms,
            leader_epoch: segment.leader_epoch,
            segment_id: segment.segment_id,
            part,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, end, max_timestamp_ms, leader_epoch, segment_id, part } = self;
        let extension = part.extension();
        write!(f, "{base:020}-{end:020}-{max_timestamp_ms}-e{leader_epoch}-{segment_id}{extension}")
    }
}

/// A name that is not one of ours. Such objects are reported and never touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a segment's object: {0:?}")]
pub struct ParseNameError(String);

impl FromStr for ObjectName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        parse(text).filter(|name| name.to_string() == text).ok_or_else(|| {
            let cut = text.chars().take(300).collect();
            ParseNameError(cut)
        })
    }
}

/// Reads the fields; the caller compares the name written from them with the text, so that every
/// object has exactly one name.
fn parse(text: &str) -> Option<ObjectName> {
    let (stem, part) = match text.strip_suffix(".log") {
        Some(stem) => (stem, ObjectPart::Log),
        None => (text.strip_suffix(".index")?, ObjectPart::Index),
    };
    let (base, rest) = stem.split_at_checked(20)?;
    let (end, rest) = rest.strip_prefix('-')?.split_at_checked(20)?;
    let (rest, segment_id) = rest.strip_prefix('-')?.rsplit_once('-')?;
    let (max_timestamp, epoch) = rest.rsplit_once("-e")?;
    let name = ObjectName {
        base: Offset::new(base.parse().ok()?),
        end: Offset::new(end.parse().ok()?),
        max_timestamp_ms: max_timestamp.parse().ok()?,
        leader_epoch: LeaderEpoch::new(epoch.parse().ok()?),
        segment_id: segment_id.parse().ok()?,
        part,
    };
    (Offset::ZERO <= name.base && name.base <= name.end).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(base: i64, end: i64, max_timestamp_ms: i64, epoch: i32) -> ObjectName {
        ObjectName {
            base: Offset::new(base),
            end: Offset::new(end),
            max_timestamp_ms,
            leader_epoch: LeaderEpoch::new(epoch),
            segment_id: SegmentId::from_bytes([0xe0; 16]),
            part: ObjectPart::Log,
        }
    }

    #[test]
    fn a_name_reads_as_the_format_says() {
        assert_eq!(
            name(7, 9, 1_700_000_000_000, 3).to_string(),
            "00000000000000000007-00000000000000000009-1700000000000-e3-\
             e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0.log"
        );
    }

    #[test]
    fn names_that_are_not_ours_are_refused() {
        let good = name(7, 9, -1, -1).to_string();
        assert_eq!(good.parse(), Ok(name(7, 9, -1, -1)));
        let swapped = name(9, 7, 1, 1).to_string();
        let hdfs_left_over = format!(".{good}.tmp.1");
        let plus = good.replacen('0', "+", 1);
        for text in ["", ".log", "x.log", &swapped, &hdfs_left_over, &plus, &good[1..]] {
            assert!(text.parse::<ObjectName>().is_err(), "{text}");
        }
        assert!(good.to_uppercase().parse::<ObjectName>().is_err());
        assert!("é".repeat(40).parse::<ObjectName>().is_err());
    }

    proptest! {
        #[test]
        fn every_name_reads_back(
            base in 0..i64::MAX, span in 0..1_000_000_i64, timestamp: i64, epoch: i32,
            id: [u8; 16], log: bool,
        ) {
            let name = ObjectName {
                base: Offset::new(base),
                end: Offset::new(base) + span,
                max_timestamp_ms: timestamp,
                leader_epoch: LeaderEpoch::new(epoch),
                segment_id: SegmentId::from_bytes(id),
                part: if log { ObjectPart::Log } else { ObjectPart::Index },
            };
            let text = name.to_string();
            prop_assert!(text.len() <= 240);
            prop_assert_eq!(text.parse::<ObjectName>(), Ok(name));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<ObjectName>();
        }
    }
}

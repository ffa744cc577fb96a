//! Some partitions of a topic, as people write them: `0,1,4-7`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Partition numbers, each at most once. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartitionSet(Vec<RangeInclusive<i32>>);

/// A text that names no partitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no partitions: write numbers and ranges of them, such as 0,1,4-7")]
pub struct ParsePartitionSetError(String);

impl PartitionSet {
    /// Whether a partition is one of them.
    #[must_use]
    pub fn contains(&self, partition: i32) -> bool {
        self.0.iter().any(|range| range.contains(&partition))
    }

    /// The largest of them.
    #[must_use]
    pub fn last(&self) -> i32 {
        self.0.last().map_or(0, |range| *range.end())
    }

    /// Of a topic's partitions, numbered from 0 without a gap, those that are meant; an error is
    /// the first that the topic lacks.
    ///
    /// # Errors
    /// A number that is `count` or more.
    pub fn of(&self, count: i32) -> Result<Vec<i32>, i32> {
        match self.0.iter().find(|range| *range.end() >= count) {
            Some(range) => Err(count.max(*range.start())),
            None => Ok(self.0.iter().flat_map(Clone::clone).collect()),
        }
    }
}

impl FromStr for PartitionSet {
    type Err = ParsePartitionSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| digits)
            };
            let (first, last): (i32, i32) = (number(first)?, number(last)?);
            (first <= last).then_some(first..=last)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(|part| range(part.trim())).collect();
        let mut ranges = ranges.ok_or_else(|| ParsePartitionSetError(text.to_owned()))?;
        ranges.sort_by_key(|range| *range.start());
        let mut set: Vec<RangeInclusive<i32>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match set.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => set.push(range),
            }
        }
        Ok(Self(set))
    }
}

impl fmt::Display for PartitionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for PartitionSet {
    type Error = ParsePartitionSetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PartitionSet> for String {
    fn from(set: PartitionSet) -> Self {
        set.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<PartitionSet>().map_or_else(|error| error.to_string(), |set| set.to_string())
    }

    #[test]
    fn numbers_and_ranges_are_read_sorted_and_joined() {
        for (text, set) in [("3", "3"), ("4-7,0,1", "0-1,4-7"), ("2,2, 1-3", "1-3"), ("0-0", "0")] {
            assert_eq!(read(text), set, "{text}");
        }
        let set: PartitionSet = "0,4-7".parse().unwrap();
        assert!(set.contains(5) && set.contains(0) && !set.contains(1));
        assert_eq!((set.of(8), set.of(6), set.of(3)), (Ok(vec![0, 4, 5, 6, 7]), Err(6), Err(4)));
    }

    #[test]
    fn what_names_no_partitions_is_refused_with_how_to_write_them() {
        for text in ["", ",", "a", "-1", "3-1", "1-", "1--2", "+1", "99999999999"] {
            assert!(read(text).contains("such as 0,1,4-7"), "{text}");
        }
    }
}

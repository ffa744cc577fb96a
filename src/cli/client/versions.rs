//! The versions that the calls in this folder are written for. A call uses the highest that the
//! broker offers too; its fields are right in every version of the range.

use std::ops::RangeInclusive;

use crate::wire::ApiKey;

/// The range of one API; empty for those that no tool calls.
pub(super) fn written_for(api: ApiKey) -> RangeInclusive<i16> {
    match api {
        // From 13 on both name topics by their ids alone.
        ApiKey::Produce | ApiKey::Fetch => 9..=12,
        ApiKey::ListOffsets => 5..=9,
        ApiKey::Metadata => 9..=12,
        ApiKey::OffsetCommit => 7..=9,
        // From 8 on a request may name several groups, from 10 on topics by their ids.
        ApiKey::OffsetFetch => 8..=9,
        // From 4 on a request may name several keys.
        ApiKey::FindCoordinator => 4..=6,
        ApiKey::ApiVersions => 3..=4,
        ApiKey::CreateTopics => 5..=7,
        ApiKey::DeleteTopics => 4..=5,
        ApiKey::InitProducerId => 2..=4,
        ApiKey::DescribeConfigs => 2..=4,
        ApiKey::CreatePartitions => 2..=3,
        ApiKey::IncrementalAlterConfigs => 0..=1,
        #[expect(clippy::reversed_empty_ranges, reason = "the empty range is what is meant")]
        _ => 1..=0,
    }
}

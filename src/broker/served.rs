//! Which APIs this broker serves: only these are advertised, and a client's request for any other
//! closes its connection, as it would on a Kafka broker.

use crate::wire::messages::api::ApiKey;

/// The served APIs.
const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::AlterReplicaLogDirs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::ListConfigResources,
    ApiKey::DescribeTopicPartitions,
];

/// Those that only a broker serves which leads its partitions. What else changes something is refused in
/// words by one that does not: see `read_only`.
const OF_LEADERS: [ApiKey; 5] = [
    ApiKey::AlterReplicaLogDirs,
    ApiKey::ElectLeaders,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeProducers,
];

/// The APIs that are served.
pub(super) fn served(read_only: bool) -> impl Iterator<Item = ApiKey> {
    SERVED.iter().copied().filter(move |api| !(read_only && OF_LEADERS.contains(api)))
}

/// The lowest version that is served. The definitions' own minimum, also for Produce, whose
/// *advertised* minimum is 0 (see `api_versions`).
#[must_use]
pub(super) fn min_version(api: ApiKey) -> i16 {
    api.min_version()
}

/// Whether a request of this version is served. ApiVersions is, in any version: its answer tells
/// a client from the future what to use instead.
#[must_use]
pub(super) fn is_served(read_only: bool, api: ApiKey, version: i16) -> bool {
    if api == ApiKey::ApiVersions {
        return version >= 0;
    }
    served(read_only).any(|served| served == api)
        && (min_version(api)..=api.max_version()).contains(&version)
}

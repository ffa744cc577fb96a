//! Which APIs this broker serves: only these are advertised, and a client's request for any other
//! closes its connection, as it would on a Kafka broker.

use crate::wire::messages::api::ApiKey;

/// The served APIs.
pub(super) const SERVED: &[ApiKey] = &[
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

/// The lowest version that is served. The definitions' own minimum, also for Produce, whose
/// *advertised* minimum is 0 (see `api_versions`).
#[must_use]
pub(super) fn min_version(api: ApiKey) -> i16 {
    api.min_version()
}

/// Whether a request of this version is served. ApiVersions is, in any version: its answer tells
/// a client from the future what to use instead.
#[must_use]
pub(super) fn is_served(api: ApiKey, version: i16) -> bool {
    if api == ApiKey::ApiVersions {
        return version >= 0;
    }
    SERVED.contains(&api) && (min_version(api)..=api.max_version()).contains(&version)
}

//! AlterReplicaLogDirs (KIP-113). There is one log folder: a replica can stay where it is, and
//! there is no other place to move to.

use std::path::Path;

use super::Broker;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

pub(super) fn handle(
    broker: &Broker,
    request: &AlterReplicaLogDirsRequest<'_>,
) -> AlterReplicaLogDirsResponse<'static> {
    let results = request.dirs.iter().flat_map(|dir| {
        dir.topics.iter().map(|topic| AlterReplicaLogDirTopicResult {
            topic_name: topic.name.clone().into_owned().into(),
            partitions: topic
                .partitions
                .iter()
                .map(|number| AlterReplicaLogDirPartitionResult {
                    partition_index: *number,
                    error_code: code(broker, &dir.path, &topic.name, *number).as_i16(),
                })
                .collect(),
        })
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}

fn code(broker: &Broker, path: &str, topic: &str, partition: i32) -> ErrorCode {
    if Path::new(path) != broker.replicas.log_dir() {
        return ErrorCode::LogDirNotFound;
    }
    match broker.replicas.partition(topic, partition) {
        Some(_) => ErrorCode::None,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}

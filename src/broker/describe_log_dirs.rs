//! DescribeLogDirs: how much of the local disk each partition takes, and what the disk has left.

use std::collections::HashSet;

use super::Broker;
use crate::replica::Partition;
use crate::wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

pub(super) async fn handle(
    broker: &Broker,
    request: DescribeLogDirsRequest<'_>,
) -> DescribeLogDirsResponse<'static> {
    let asked: Option<HashSet<(&str, i32)>> = request.topics.as_ref().map(|topics| {
        topics.iter().flat_map(|t| t.partitions.iter().map(|p| (&*t.topic, *p))).collect()
    });
    let wanted = |partition: &Partition| {
        let name = partition.name();
        asked.as_ref().is_none_or(|asked| asked.contains(&(&*name.topic, name.partition)))
    };
    let mut topics: Vec<DescribeLogDirsTopic<'static>> = Vec::new();
    for partition in broker.replicas.all().iter().filter(|partition| wanted(partition)) {
        let (name, entry) = (partition.name(), describe(partition));
        match topics.last_mut().filter(|topic| *topic.name == *name.topic) {
            Some(topic) => topic.partitions.push(entry),
            None => topics.push(DescribeLogDirsTopic {
                name: name.topic.to_string().into(),
                partitions: vec![entry],
            }),
        }
    }
    let space = broker.replicas.disk_space().await;
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (total_bytes, usable_bytes) =
        space.map_or((-1, -1), |(total, free)| (signed(total), signed(free)));
    let result = DescribeLogDirsResult {
        log_dir: broker.replicas.log_dir().display().to_string().into(),
        topics,
        total_bytes,
        usable_bytes,
        ..Default::default()
    };
    DescribeLogDirsResponse { results: vec![result], ..Default::default() }
}

fn describe(partition: &Partition) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition {
        partition_index: partition.name().partition,
        partition_size: i64::try_from(partition.log().local().size_bytes()).unwrap_or(i64::MAX),
        ..Default::default()
    }
}

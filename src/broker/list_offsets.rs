//! ListOffsets: where a partition starts and ends, and where a time begins, over both tiers.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::{Broker, Call, check_leader_epoch};
use crate::log::{ReadError, TimestampedOffset};
use crate::model::{LeaderEpoch, Offset};
use crate::replica::{Isolation, Partition};
use crate::wire::ErrorCode;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

/// The protocol's names for offsets that are no times, and the version that brought each.
const SPECIAL: [(i64, Special, i16); 6] = [
    (-1, Special::Latest, 1),
    (-2, Special::Earliest, 1),
    (-3, Special::MaxTimestamp, 7),
    (-4, Special::EarliestLocal, 8),
    (-5, Special::LatestTiered, 9),
    (-6, Special::EarliestPendingUpload, 11),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Latest,
    Earliest,
    /// KIP-734.
    MaxTimestamp,
    /// KIP-405.
    EarliestLocal,
    /// KIP-1005.
    LatestTiered,
    /// KIP-1023.
    EarliestPendingUpload,
}

enum Target {
    Special(Special),
    Time(i64),
}

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: ListOffsetsRequest<'_>,
) -> ListOffsetsResponse<'static> {
    let isolation = match request.isolation_level {
        1 => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let wait = match u64::try_from(request.timeout_ms) {
        Ok(ms) if ms > 0 => Duration::from_millis(ms),
        _ => broker.config.remote_list_offsets_timeout(),
    };
    let topics = request.topics.iter().map(|topic| async {
        let mut asked: Vec<_> = topic.partitions.iter().map(|p| p.partition_index).collect();
        asked.sort_unstable();
        let repeated = |index| {
            asked.partition_point(|i| *i <= index) - asked.partition_point(|i| *i < index) > 1
        };
        let partitions = topic.partitions.iter().map(|partition| async {
            if repeated(partition.partition_index) {
                return refused(partition.partition_index, ErrorCode::InvalidRequest);
            }
            answer(broker, call.version, &topic.name, partition, isolation, wait).await
        });
        ListOffsetsTopicResponse {
            name: topic.name.clone().into_owned().into(),
            partitions: join_all(partitions).await,
        }
    });
    ListOffsetsResponse { topics: join_all(topics).await, ..Default::default() }
}

async fn answer(
    broker: &Arc<Broker>,
    version: i16,
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
    wait: Duration,
) -> ListOffsetsPartitionResponse {
    let index = asked.partition_index;
    let found = async {
        let partition =
            broker.replicas.partition(topic, index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        check_leader_epoch(&partition, asked.current_leader_epoch)?;
        match target(asked.timestamp, version)? {
            Target::Special(Special::MaxTimestamp) => {
                search(broker, &partition, wait, partition.log().max_timestamp()).await
            }
            Target::Special(special) => Ok(Some(special_offset(&partition, special, isolation))),
            Target::Time(timestamp_ms) => {
                let lookup = partition.log().offset_for_timestamp(timestamp_ms);
                let found = search(broker, &partition, wait, lookup).await?;
                Ok(found.filter(|found| found.offset < partition.readable_end(isolation)))
            }
        }
    };
    match found.await {
        Ok(Some(found)) => ListOffsetsPartitionResponse {
            partition_index: index,
            timestamp: found.timestamp_ms,
            offset: found.offset.get(),
            // Earlier versions cannot carry it.
            leader_epoch: if version >= 4 { found.leader_epoch.get() } else { -1 },
            ..Default::default()
        },
        Ok(None) => ListOffsetsPartitionResponse { partition_index: index, ..Default::default() },
        Err(code) => refused(index, code),
    }
}

fn target(timestamp: i64, version: i16) -> Result<Target, ErrorCode> {
    if timestamp >= 0 {
        return Ok(Target::Time(timestamp));
    }
    SPECIAL
        .iter()
        .find(|(number, _, since)| *number == timestamp && *since <= version)
        .map(|(_, special, _)| Target::Special(*special))
        .ok_or(ErrorCode::UnsupportedVersion)
}

fn special_offset(
    partition: &Partition,
    special: Special,
    isolation: Isolation,
) -> TimestampedOffset {
    let log = partition.log();
    let none = Offset::new(-1);
    let offset = match special {
        Special::Latest => partition.readable_end(isolation),
        Special::Earliest => log.log_start(),
        Special::EarliestLocal => log.local_log_start(),
        Special::LatestTiered => log.remote_end().map_or(none, Offset::prev),
        Special::EarliestPendingUpload if !log.is_tiered() => none,
        Special::EarliestPendingUpload => {
            log.remote_end().map_or(log.log_start(), |end| end.max(log.log_start()))
        }
        Special::MaxTimestamp => unreachable!("answered by a search"),
    };
    let leader_epoch = if offset == none {
        LeaderEpoch::NONE
    } else {
        log.epoch_at(offset).unwrap_or_else(|| partition.leader_epoch())
    };
    TimestampedOffset { offset, timestamp_ms: -1, leader_epoch }
}

/// Searches by time once it is its turn; the wait for that is part of `wait`.
async fn search(
    broker: &Broker,
    partition: &Partition,
    wait: Duration,
    search: impl Future<Output = Result<Option<TimestampedOffset>, ReadError>>,
) -> Result<Option<TimestampedOffset>, ErrorCode> {
    let in_turn = async {
        let _one_of_few = broker.searching.acquire().await;
        search.await
    };
    match timeout(wait, in_turn).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            if let (true, Some(suspects)) = (error.is_gone(), broker.replicas.suspects()) {
                suspects.name(partition.name().clone());
            }
            tracing::error!(%error, "a time could not be looked up");
            Err(ErrorCode::KafkaStorageError)
        }
        Err(_) => Err(ErrorCode::RequestTimedOut),
    }
}

fn refused(index: i32, code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index: index,
        error_code: code.as_i16(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_special_offset_needs_the_version_that_brought_it() {
        for (number, special, since) in SPECIAL {
            let Ok(Target::Special(found)) = target(number, since) else { panic!("{number}") };
            assert_eq!(found, special);
            assert_eq!(target(number, since - 1).err(), Some(ErrorCode::UnsupportedVersion));
        }
        assert_eq!(target(-7, 11).err(), Some(ErrorCode::UnsupportedVersion));
        assert!(matches!(target(0, 1), Ok(Target::Time(0))));
    }
}

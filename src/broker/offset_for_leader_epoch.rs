//! OffsetForLeaderEpoch (KIP-320): where an epoch ends here, so that a consumer sees whether what
//! it has read is still what the log holds.

use super::{Broker, check_leader_epoch};
use crate::model::LeaderEpoch;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

pub(super) fn handle(
    broker: &Broker,
    request: &OffsetForLeaderEpochRequest<'_>,
) -> OffsetForLeaderEpochResponse<'static> {
    let topics = request.topics.iter().map(|topic| OffsetForLeaderTopicResult {
        topic: topic.topic.clone().into_owned().into(),
        partitions: topic.partitions.iter().map(|p| answer(broker, &topic.topic, p)).collect(),
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn answer(broker: &Broker, topic: &str, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let found = || {
        let partition = broker
            .replicas
            .partition(topic, asked.partition)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        check_leader_epoch(&partition, asked.current_leader_epoch)?;
        Ok(partition.log().epoch_end(LeaderEpoch::new(asked.leader_epoch)))
    };
    let answer = EpochEndOffset { partition: asked.partition, ..Default::default() };
    match found() {
        Ok(Some((epoch, end))) => {
            EpochEndOffset { leader_epoch: epoch.get(), end_offset: end.get(), ..answer }
        }
        Ok(None) => answer,
        Err::<_, ErrorCode>(code) => EpochEndOffset { error_code: code.as_i16(), ..answer },
    }
}

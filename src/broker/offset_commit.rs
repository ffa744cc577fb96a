//! OffsetCommit: answered when the offsets are on stable storage.

use super::group_ids::{check, member};
use super::{Broker, Call};
use crate::coordinator::{CommitAsk, CommitPartition, CommitTopic};
use crate::metadata::ClusterImage;
use crate::model::{TopicId, TopicPartition};
use crate::wire::ErrorCode;
use crate::wire::exchange::{CloseReason, Started};
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

/// From this version on topics have ids in the place of names.
const TOPIC_IDS_FROM: i16 = 10;
/// From this version on a group that is not there is told from a generation that is over.
const NO_GROUP_FROM: i16 = 9;

/// A topic of the request: its partitions, and why some are not to be kept.
struct Wanted {
    name: String,
    topic_id: TopicId,
    partitions: Vec<(i32, Option<ErrorCode>)>,
}

pub(super) async fn start(broker: &Broker, call: Call) -> Result<Started, CloseReason> {
    let request: OffsetCommitRequest<'_> = call.body()?;
    let image = broker.image.load();
    let topics = request.topics.iter();
    let (wanted, kept): (Vec<_>, Vec<_>) =
        topics.map(|topic| find(&image, call.version, topic)).unzip();
    let kept: Vec<CommitTopic> = kept.into_iter().flatten().collect();
    note_group(broker, &call, &request.group_id, &kept);
    let asked = match check(&request.group_id) {
        Err(code) => Err(code),
        // Nothing is left to keep: the group need not be asked.
        Ok(()) if kept.is_empty() => {
            drop(request);
            return Ok(Started::Ready(call.reply(&answer(wanted, Ok(Vec::new())))));
        }
        Ok(()) => {
            let ask = ask(&call, &request, kept);
            broker.groups.commit(request.group_id.clone().into_owned(), ask).await
        }
    };
    drop(request);
    let pending = match asked {
        Ok(pending) => pending,
        Err(code) => return Ok(Started::Ready(call.reply(&answer(wanted, Err(code))))),
    };
    Ok(Started::Pending(Box::pin(async move {
        let committed = pending.wait().await.flatten();
        call.reply(&answer(wanted, committed))
    })))
}

/// A fetch does not tell for which group it is: who reads the history is known by its commits.
fn note_group(broker: &Broker, call: &Call, group: &str, topics: &[CommitTopic]) {
    let partitions = topics.iter().flat_map(|topic| {
        let name: std::sync::Arc<str> = topic.name.as_str().into();
        topic.partitions.iter().map(move |p| TopicPartition::new(name.clone(), p.partition))
    });
    let host = call.frame.connection.peer.ip();
    broker.replays.committed(call.client_id(), host, group, partitions);
}

fn find(
    image: &ClusterImage,
    version: i16,
    asked: &OffsetCommitRequestTopic<'_>,
) -> (Wanted, Option<CommitTopic>) {
    let found = if version >= TOPIC_IDS_FROM {
        image.topic_by_id(asked.topic_id).ok_or(ErrorCode::UnknownTopicId)
    } else {
        image.topic(&asked.name).ok_or(ErrorCode::UnknownTopicOrPartition)
    };
    let refused = |number| match &found {
        Ok(topic) if topic.partition(number).is_some() => None,
        Ok(_) => Some(ErrorCode::UnknownTopicOrPartition),
        Err(code) => Some(*code),
    };
    let numbers = asked.partitions.iter().map(|partition| partition.partition_index);
    let wanted = Wanted {
        name: asked.name.to_string(),
        topic_id: asked.topic_id,
        partitions: numbers.map(|number| (number, refused(number))).collect(),
    };
    let there = wanted.partitions.iter().zip(&asked.partitions);
    let partitions: Vec<_> = there
        .filter(|((_, refused), _)| refused.is_none())
        .map(|(_, asked)| partition(asked))
        .collect();
    let kept = found.ok().filter(|_| !partitions.is_empty()).map(|topic| CommitTopic {
        name: topic.name.to_string(),
        topic_id: topic.id,
        partitions,
    });
    (wanted, kept)
}

fn partition(asked: &OffsetCommitRequestPartition<'_>) -> CommitPartition {
    CommitPartition {
        partition: asked.partition_index,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: asked.committed_metadata.clone().unwrap_or_default().into_owned(),
    }
}

fn ask(call: &Call, request: &OffsetCommitRequest<'_>, topics: Vec<CommitTopic>) -> CommitAsk {
    CommitAsk {
        member: member(&request.member_id, request.group_instance_id.as_deref()),
        generation: request.generation_id_or_member_epoch,
        no_group: if call.version >= NO_GROUP_FROM {
            ErrorCode::GroupIdNotFound
        } else {
            ErrorCode::IllegalGeneration
        },
        retention_ms: Some(request.retention_time_ms).filter(|ms| *ms != -1),
        topics,
    }
}

fn answer(
    wanted: Vec<Wanted>,
    committed: Result<Vec<Vec<ErrorCode>>, ErrorCode>,
) -> OffsetCommitResponse<'static> {
    let (mut kept, failed) = match committed {
        Ok(codes) => (codes.into_iter(), ErrorCode::None),
        Err(code) => (Vec::new().into_iter(), code),
    };
    let topics = wanted.into_iter().map(|topic| {
        let any_kept = topic.partitions.iter().any(|(_, refused)| refused.is_none());
        let mut codes = any_kept.then(|| kept.next()).flatten().unwrap_or_default().into_iter();
        let code = |refused: Option<ErrorCode>| refused.or_else(|| codes.next()).unwrap_or(failed);
        let partitions = answered(topic.partitions, code);
        OffsetCommitResponseTopic { name: topic.name.into(), topic_id: topic.topic_id, partitions }
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

fn answered(
    partitions: Vec<(i32, Option<ErrorCode>)>,
    mut code: impl FnMut(Option<ErrorCode>) -> ErrorCode,
) -> Vec<OffsetCommitResponsePartition> {
    let answer = |(partition_index, refused)| OffsetCommitResponsePartition {
        partition_index,
        error_code: code(refused).as_i16(),
    };
    partitions.into_iter().map(answer).collect()
}

//! OffsetFetch: where groups go on reading. What is not known is offset -1, not an error.

use std::collections::HashSet;

use super::{Broker, Call};
use crate::coordinator::Committed;
use crate::metadata::ClusterImage;
use crate::model::TopicId;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

/// From this version on a request asks for many groups (KIP-709).
const MANY_GROUPS_FROM: i16 = 8;
/// From this version on topics have ids in the place of names.
const TOPIC_IDS_FROM: i16 = 10;
/// Before this version an error of the whole group has no place but its partitions.
const GROUP_ERROR_FROM: i16 = 2;

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: OffsetFetchRequest<'_>,
) -> OffsetFetchResponse<'static> {
    if call.version >= MANY_GROUPS_FROM {
        let (mut groups, mut seen) = (Vec::with_capacity(request.groups.len()), HashSet::new());
        for group in &request.groups {
            // Each once, however often it is named: a large group makes a large answer.
            if seen.insert(&group.group_id) {
                groups.push(fetch(broker, call.version, group).await);
            }
        }
        return OffsetFetchResponse { groups, ..Default::default() };
    }
    let topics = request.topics.map(|topics| {
        let topic = |topic: crate::wire::messages::offset_fetch::OffsetFetchRequestTopic<'_>| {
            OffsetFetchRequestTopics {
                name: topic.name.into_owned().into(),
                topic_id: TopicId::ZERO,
                partition_indexes: topic.partition_indexes,
            }
        };
        topics.into_iter().map(topic).collect()
    });
    let group =
        OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    single(call.version, fetch(broker, call.version, &group).await)
}

/// The answer in the words of older versions.
fn single(version: i16, group: OffsetFetchResponseGroup<'static>) -> OffsetFetchResponse<'static> {
    let partition =
        |partition: OffsetFetchResponsePartitions<'static>| OffsetFetchResponsePartition {
            partition_index: partition.partition_index,
            committed_offset: partition.committed_offset,
            committed_leader_epoch: partition.committed_leader_epoch,
            metadata: partition.metadata,
            error_code: partition.error_code,
        };
    let topic = |topic: OffsetFetchResponseTopics<'static>| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponse {
        topics: group.topics.into_iter().map(topic).collect(),
        error_code: if version >= GROUP_ERROR_FROM { group.error_code } else { 0 },
        ..Default::default()
    }
}

async fn fetch(
    broker: &Broker,
    version: i16,
    asked: &OffsetFetchRequestGroup<'_>,
) -> OffsetFetchResponseGroup<'static> {
    let group = asked.group_id.to_string();
    let image = broker.image.load();
    let topics = match &asked.topics {
        None => all(broker, &image, version, group).await,
        Some(topics) => named(broker, &image, version, group, topics).await,
    };
    let group_id = asked.group_id.clone().into_owned().into();
    match topics {
        Ok(topics) => OffsetFetchResponseGroup { group_id, topics, ..Default::default() },
        Err(code) => {
            // Version 1 has to be told by its partitions.
            let named = asked.topics.iter().flatten().filter(|_| version < GROUP_ERROR_FROM);
            let topics = named.map(|topic| refused(topic, code)).collect();
            OffsetFetchResponseGroup { group_id, topics, error_code: code.as_i16() }
        }
    }
}

async fn all(
    broker: &Broker,
    image: &ClusterImage,
    version: i16,
    group: String,
) -> Result<Vec<OffsetFetchResponseTopics<'static>>, ErrorCode> {
    let mut topics: Vec<OffsetFetchResponseTopics<'static>> = Vec::new();
    for (name, number, committed) in broker.groups.all_committed(group).await? {
        let topic_id = image.topic(&name).map_or(TopicId::ZERO, |topic| topic.id);
        if version >= TOPIC_IDS_FROM && topic_id == TopicId::ZERO {
            // A topic that was deleted just now has no id any more to be told by.
            continue;
        }
        let partition = found(number, Some(committed));
        match topics.last_mut().filter(|topic| topic.name == name) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                let (name, partitions) = (name.into(), vec![partition]);
                topics.push(OffsetFetchResponseTopics { name, topic_id, partitions });
            }
        }
    }
    Ok(topics)
}

async fn named(
    broker: &Broker,
    image: &ClusterImage,
    version: i16,
    group: String,
    topics: &[OffsetFetchRequestTopics<'_>],
) -> Result<Vec<OffsetFetchResponseTopics<'static>>, ErrorCode> {
    // A topic that no id tells of stays without a name, and is refused below.
    let name = |topic: &OffsetFetchRequestTopics<'_>| {
        if version >= TOPIC_IDS_FROM {
            image.topic_by_id(topic.topic_id).map(|topic| topic.name.to_string())
        } else {
            Some(topic.name.to_string())
        }
    };
    let names: Vec<Option<String>> = topics.iter().map(name).collect();
    let known = topics.iter().zip(&names).filter_map(|(topic, name)| Some((topic, name.clone()?)));
    let wanted = known.flat_map(|(topic, name)| {
        topic.partition_indexes.iter().map(move |number| (name.clone(), *number))
    });
    let mut offsets = broker.groups.committed(group, wanted.collect()).await?.into_iter();
    let answer = |(topic, name): (&OffsetFetchRequestTopics<'_>, &Option<String>)| {
        if name.is_none() {
            return refused(topic, ErrorCode::UnknownTopicId);
        }
        let numbers = topic.partition_indexes.iter();
        let partition = |number: &i32| found(*number, offsets.next().flatten());
        OffsetFetchResponseTopics {
            name: topic.name.clone().into_owned().into(),
            topic_id: topic.topic_id,
            partitions: numbers.map(partition).collect(),
        }
    };
    Ok(topics.iter().zip(&names).map(answer).collect())
}

fn found(number: i32, committed: Option<Committed>) -> OffsetFetchResponsePartitions<'static> {
    let nothing = OffsetFetchResponsePartitions {
        partition_index: number,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some("".into()),
        ..Default::default()
    };
    match committed {
        None => nothing,
        Some(committed) => OffsetFetchResponsePartitions {
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            metadata: Some(String::from(committed.metadata).into()),
            ..nothing
        },
    }
}

fn refused(
    topic: &OffsetFetchRequestTopics<'_>,
    code: ErrorCode,
) -> OffsetFetchResponseTopics<'static> {
    let partition = |number: &i32| OffsetFetchResponsePartitions {
        error_code: code.as_i16(),
        ..found(*number, None)
    };
    OffsetFetchResponseTopics {
        name: topic.name.clone().into_owned().into(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(partition).collect(),
    }
}

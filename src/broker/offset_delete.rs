//! OffsetDelete (KIP-496): takes back offsets of topics that a group does not read any more.

use super::Broker;
use super::group_ids::check_joinable;
use crate::metadata::ClusterImage;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

pub(super) async fn handle(
    broker: &Broker,
    request: OffsetDeleteRequest<'_>,
) -> OffsetDeleteResponse<'static> {
    let image = broker.image.load();
    let codes = match delete(broker, &image, &request).await {
        Ok(codes) => codes,
        Err(code) => {
            return OffsetDeleteResponse { error_code: code.as_i16(), ..Default::default() };
        }
    };
    let mut codes = codes.into_iter();
    let topics = request.topics.iter().map(|topic| {
        let known = image.topic(&topic.name).is_some();
        let code = |_| match known {
            true => codes.next().unwrap_or(ErrorCode::UnknownServerError),
            false => ErrorCode::UnknownTopicOrPartition,
        };
        let numbers = topic.partitions.iter().map(|partition| partition.partition_index);
        let found: Vec<ErrorCode> = topic.partitions.iter().map(code).collect();
        OffsetDeleteResponseTopic {
            name: topic.name.clone().into_owned().into(),
            partitions: numbers
                .zip(found)
                .map(|(partition_index, code)| OffsetDeleteResponsePartition {
                    partition_index,
                    error_code: code.as_i16(),
                })
                .collect(),
        }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..Default::default() }
}

/// How it went for each partition of the topics that are there.
async fn delete(
    broker: &Broker,
    image: &ClusterImage,
    request: &OffsetDeleteRequest<'_>,
) -> Result<Vec<ErrorCode>, ErrorCode> {
    check_joinable(&request.group_id)?;
    let known = request.topics.iter().filter(|topic| image.topic(&topic.name).is_some());
    let wanted = known.flat_map(|topic| {
        let numbers = topic.partitions.iter().map(|partition| partition.partition_index);
        numbers.map(|number| (topic.name.to_string(), number))
    });
    broker.groups.delete_offsets(request.group_id.to_string(), wanted.collect()).await
}

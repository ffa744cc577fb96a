//! What a read-only server answers to those who want to write: no, in words where the protocol has
//! room for them, else in the log.
//!
//! The codes are those that clients take for final: POLICY_VIOLATION, with the words, and for an
//! idempotent producer that gets no id CLUSTER_AUTHORIZATION_FAILED, as others make it ask for ever.

use std::borrow::Cow;

use super::Call;
use crate::model::TopicId;
use crate::wire::ErrorCode;
use crate::wire::exchange::{CloseReason, Reply};
use crate::wire::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use crate::wire::messages::api::ApiKey;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use crate::wire::messages::create_topics::{
    CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use crate::wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::wire::messages::incremental_alter_configs::{
    self as incremental, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::wire::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};

/// What a client is told.
const WORDS: &str = "this is a read-only server: it serves what the cluster has in object storage and \
    takes no changes; ask the cluster's own brokers";
const CODE: i16 = ErrorCode::PolicyViolation.as_i16();

fn words() -> Option<Cow<'static, str>> {
    Some(WORDS.into())
}

/// Answers a request that wants to change something; `None` for all others.
pub(super) fn refuse(call: &Call) -> Result<Option<Reply>, CloseReason> {
    let no = match call.api {
        ApiKey::Produce => produce(call, &call.body()?)?,
        ApiKey::InitProducerId => init_producer_id(call, &call.body()?),
        ApiKey::CreateTopics => create_topics(call, call.body()?),
        ApiKey::DeleteTopics => delete_topics(call, call.body()?),
        ApiKey::CreatePartitions => create_partitions(call, call.body()?),
        ApiKey::DeleteRecords => delete_records(call, call.body()?),
        ApiKey::AlterConfigs => alter_configs(call, call.body()?),
        ApiKey::IncrementalAlterConfigs => incremental_alter_configs(call, call.body()?),
        _ => return Ok(None),
    };
    Ok(Some(no))
}

fn produce(call: &Call, request: &ProduceRequest<'_>) -> Result<Reply, CloseReason> {
    if request.acks == 0 {
        // Nothing is sent back: the end of the connection has to say it.
        return Err(CloseReason::UnackedProduceFailed { cause: WORDS.into() });
    }
    let refused = |index| PartitionProduceResponse {
        index,
        error_code: CODE,
        base_offset: -1,
        error_message: words(),
        ..Default::default()
    };
    let responses = request.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.iter().map(|one| refused(one.index)).collect(),
    });
    Ok(call.reply(&ProduceResponse { responses: responses.collect(), ..Default::default() }))
}

fn init_producer_id(call: &Call, _request: &InitProducerIdRequest<'_>) -> Reply {
    tell_the_log(call);
    call.reply(&InitProducerIdResponse {
        error_code: ErrorCode::ClusterAuthorizationFailed.as_i16(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    })
}

fn create_topics(call: &Call, request: CreateTopicsRequest<'_>) -> Reply {
    let topics = request.topics.into_iter().map(|topic| CreatableTopicResult {
        name: topic.name,
        error_code: CODE,
        error_message: words(),
        configs: Some(Vec::new()),
        ..Default::default()
    });
    call.reply(&CreateTopicsResponse { topics: topics.collect(), ..Default::default() })
}

fn delete_topics(call: &Call, request: DeleteTopicsRequest<'_>) -> Reply {
    let by_state = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), TopicId::ZERO));
    let responses = by_state.chain(by_name).map(|(name, topic_id)| DeletableTopicResult {
        name,
        topic_id,
        error_code: CODE,
        error_message: words(),
    });
    call.reply(&DeleteTopicsResponse { responses: responses.collect(), ..Default::default() })
}

fn create_partitions(call: &Call, request: CreatePartitionsRequest<'_>) -> Reply {
    let results = request.topics.into_iter().map(|topic| CreatePartitionsTopicResult {
        name: topic.name,
        error_code: CODE,
        error_message: words(),
    });
    call.reply(&CreatePartitionsResponse { results: results.collect(), ..Default::default() })
}

fn delete_records(call: &Call, request: DeleteRecordsRequest<'_>) -> Reply {
    tell_the_log(call);
    let refused = |partition_index| DeleteRecordsPartitionResult {
        partition_index,
        low_watermark: -1,
        error_code: CODE,
    };
    let topics = request.topics.into_iter().map(|topic| DeleteRecordsTopicResult {
        partitions: topic.partitions.iter().map(|one| refused(one.partition_index)).collect(),
        name: topic.name,
    });
    call.reply(&DeleteRecordsResponse { topics: topics.collect(), ..Default::default() })
}

fn alter_configs(call: &Call, request: AlterConfigsRequest<'_>) -> Reply {
    let responses = request.resources.into_iter().map(|one| AlterConfigsResourceResponse {
        error_code: CODE,
        error_message: words(),
        resource_type: one.resource_type,
        resource_name: one.resource_name,
    });
    call.reply(&AlterConfigsResponse { responses: responses.collect(), ..Default::default() })
}

fn incremental_alter_configs(call: &Call, request: IncrementalAlterConfigsRequest<'_>) -> Reply {
    let refused = |one: incremental::AlterConfigsResource<'_>| {
        let resource_name = one.resource_name.into_owned().into();
        incremental::AlterConfigsResourceResponse {
            error_code: CODE,
            error_message: words(),
            resource_type: one.resource_type,
            resource_name,
        }
    };
    let responses = request.resources.into_iter().map(refused).collect();
    call.reply(&IncrementalAlterConfigsResponse { responses, ..Default::default() })
}

/// Where the response has no room for words.
fn tell_the_log(call: &Call) {
    let (api, peer, client) = (call.api.name(), call.frame.connection.peer, call.client_id());
    tracing::warn!(api, %peer, client, "a request was refused: {WORDS}");
}

//! DeleteTopics.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Broker, Call};
use crate::cluster::{DeleteTopicError, TopicRef};
use crate::metadata::TopicImage;
use crate::model::TopicId;
use crate::task;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};

pub(super) async fn handle(
    broker: &Broker,
    call: &Call,
    request: DeleteTopicsRequest<'_>,
) -> DeleteTopicsResponse<'static> {
    let states = if call.version >= 6 {
        request.topics
    } else {
        let named = |name| DeleteTopicState { name: Some(name), ..Default::default() };
        request.topic_names.into_iter().map(named).collect()
    };
    let mut named: HashMap<_, usize> = HashMap::new();
    let key = |state: &DeleteTopicState<'_>| {
        (state.name.as_ref().map(|name| name.to_string()), state.topic_id)
    };
    states.iter().for_each(|state| *named.entry(key(state)).or_default() += 1);
    let mut responses = Vec::with_capacity(states.len());
    for state in states {
        match named.get(&key(&state)) {
            Some(1) => responses.push(delete(broker, call, &state).await),
            // One answer for a topic that stands there twice, and it stays.
            Some(2..) => {
                let (name, id) = key(&state);
                named.remove(&(name.clone(), id));
                let twice = (ErrorCode::InvalidRequest, "Duplicate topic.".to_owned());
                responses.push(answer(name, id, Some(twice)));
            }
            _ => {}
        }
    }
    DeleteTopicsResponse { responses, ..Default::default() }
}

async fn delete(
    broker: &Broker,
    call: &Call,
    state: &DeleteTopicState<'_>,
) -> DeletableTopicResult<'static> {
    let name = state.name.as_ref().map(|name| name.clone().into_owned());
    let topic = match (&name, state.topic_id) {
        (Some(_), id) if id != TopicId::ZERO => {
            let message = "You may not specify both topic name and topic id.";
            return answer(name, id, Some((ErrorCode::InvalidRequest, message.to_owned())));
        }
        (Some(name), _) => TopicRef::Name(name.clone()),
        (None, TopicId::ZERO) => {
            let message = "Neither topic name nor id were specified.";
            return answer(
                None,
                TopicId::ZERO,
                Some((ErrorCode::InvalidRequest, message.to_owned())),
            );
        }
        (None, id) => TopicRef::Id(id),
    };
    if !broker.config.delete_topic_enable() {
        let error = (ErrorCode::TopicDeletionDisabled, "delete.topic.enable is false".to_owned());
        return answer(name, state.topic_id, Some(error));
    }
    match delete_with_offsets(broker, topic).await {
        Ok(deleted) => {
            broker.metrics.topics.forget(&deleted.name);
            tracing::info!(topic = %deleted.name, by = %call.client(), "topic deleted");
            answer(Some(deleted.name.to_string()), deleted.id, None)
        }
        Err(error) => {
            let code = match &error {
                DeleteTopicError::UnknownName(_) => ErrorCode::UnknownTopicOrPartition,
                DeleteTopicError::UnknownId(_) => ErrorCode::UnknownTopicId,
                DeleteTopicError::Store(_) => ErrorCode::KafkaStorageError,
            };
            answer(name, state.topic_id, Some((code, error.to_string())))
        }
    }
}

/// Also when the client leaves: a new topic of the name has no offsets of the old one.
async fn delete_with_offsets(
    broker: &Broker,
    topic: TopicRef,
) -> Result<Arc<TopicImage>, DeleteTopicError> {
    let (controller, groups) = (broker.controller.clone(), broker.groups.clone());
    task::to_its_end(async move {
        let deleted = controller.delete_topic(topic).await?;
        groups.topic_deleted(&deleted).await;
        Ok(deleted)
    })
    .await
}

fn answer(
    name: Option<String>,
    topic_id: TopicId,
    error: Option<(ErrorCode, String)>,
) -> DeletableTopicResult<'static> {
    let (error_code, error_message) =
        error.map_or((0, None), |(code, message)| (code.as_i16(), Some(message.into())));
    DeletableTopicResult { name: name.map(Into::into), topic_id, error_code, error_message }
}

//! Topics are made, changed, looked at and deleted.

use super::connection::Connection;
use super::error::ClientError;
use crate::model::TopicId;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::messages::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

const RESOURCE_TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;
const TIMEOUT_MS: i32 = 60_000;

/// A setting of a topic with the value in force.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    /// The protocol's number of the place that it comes from.
    pub(crate) source: i8,
}

impl Setting {
    /// Whether the topic itself has it, rather than inheriting it.
    pub(crate) fn is_override(&self) -> bool {
        self.source == 1
    }
}

/// Makes a topic; without a number of partitions the broker's default counts. Returns its id and
/// its partitions.
pub(crate) async fn create_topic(
    connection: &mut Connection,
    name: &str,
    partitions: Option<i32>,
    settings: &[(String, String)],
) -> Result<(TopicId, i32), ClientError> {
    let config = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.clone().into(),
        value: Some(value.clone().into()),
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions.unwrap_or(-1),
        replication_factor: -1,
        configs: settings.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: false };
    let answer = connection.call(&request).await?;
    let body: CreateTopicsResponse<'_> = answer.read()?;
    let made = body.topics.first().ok_or_else(|| ClientError::Incomplete(name.to_owned()))?;
    let subject = format!("topic {name}");
    ClientError::check(made.error_code, &subject, made.error_message.as_deref())?;
    Ok((made.topic_id, made.num_partitions))
}

/// Gives a topic more partitions: `count` in all.
pub(crate) async fn grow_topic(
    connection: &mut Connection,
    name: &str,
    count: i32,
) -> Result<(), ClientError> {
    let topic = CreatePartitionsTopic { name: name.into(), count, assignments: None };
    let request = CreatePartitionsRequest {
        topics: vec![topic],
        timeout_ms: TIMEOUT_MS,
        validate_only: false,
    };
    let answer = connection.call(&request).await?;
    let body: CreatePartitionsResponse<'_> = answer.read()?;
    let done = body.results.first().ok_or_else(|| ClientError::Incomplete(name.to_owned()))?;
    ClientError::check(done.error_code, &format!("topic {name}"), done.error_message.as_deref())
}

/// Changes some of a topic's settings; one without a value takes its default again.
pub(crate) async fn alter_settings(
    connection: &mut Connection,
    name: &str,
    settings: &[(String, Option<String>)],
) -> Result<(), ClientError> {
    let config = |(name, value): &(String, Option<String>)| AlterableConfig {
        name: name.clone().into(),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.clone().map(Into::into),
    };
    let resource = AlterConfigsResource {
        resource_type: RESOURCE_TOPIC,
        resource_name: name.into(),
        configs: settings.iter().map(config).collect(),
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer = connection.call(&request).await?;
    let body: IncrementalAlterConfigsResponse<'_> = answer.read()?;
    let done = body.responses.first().ok_or_else(|| ClientError::Incomplete(name.to_owned()))?;
    ClientError::check(done.error_code, &format!("topic {name}"), done.error_message.as_deref())
}

/// Deletes a topic with all its records.
pub(crate) async fn delete_topic(
    connection: &mut Connection,
    name: &str,
) -> Result<(), ClientError> {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.into()],
        timeout_ms: TIMEOUT_MS,
        ..DeleteTopicsRequest::default()
    };
    let answer = connection.call(&request).await?;
    let body: DeleteTopicsResponse<'_> = answer.read()?;
    let gone = body.responses.first().ok_or_else(|| ClientError::Incomplete(name.to_owned()))?;
    ClientError::check(gone.error_code, &format!("topic {name}"), gone.error_message.as_deref())
}

/// All settings of a topic, by name.
pub(crate) async fn settings(
    connection: &mut Connection,
    name: &str,
) -> Result<Vec<Setting>, ClientError> {
    let resource = DescribeConfigsResource {
        resource_type: RESOURCE_TOPIC,
        resource_name: name.into(),
        configuration_keys: None,
    };
    let request =
        DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    let answer = connection.call(&request).await?;
    let body: DescribeConfigsResponse<'_> = answer.read()?;
    let found = body.results.first().ok_or_else(|| ClientError::Incomplete(name.to_owned()))?;
    ClientError::check(found.error_code, &format!("topic {name}"), found.error_message.as_deref())?;
    let mut settings: Vec<_> = found
        .configs
        .iter()
        .map(|config| Setting {
            name: config.name.clone().into_owned(),
            value: config.value.clone().map(Into::into),
            source: config.config_source,
        })
        .collect();
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}

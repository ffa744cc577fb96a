//! DescribeConfigs: settings of topics and of this broker.

use std::collections::HashSet;

use super::Broker;
use crate::config::{ConfigEntry, describe_all_brokers, describe_broker, describe_topic};
use crate::metadata::{ClusterImage, TopicImage};
use crate::wire::ErrorCode;
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

/// The protocol's numbers for kinds of resources.
pub(super) const RESOURCE_TOPIC: i8 = 2;
pub(super) const RESOURCE_BROKER: i8 = 4;

pub(super) fn handle(
    broker: &Broker,
    request: &DescribeConfigsRequest<'_>,
) -> DescribeConfigsResponse<'static> {
    // Each once, however often it is named: the answer is much larger than the question.
    let mut seen = HashSet::new();
    let resources = request
        .resources
        .iter()
        .filter(|resource| seen.insert((resource.resource_type, &*resource.resource_name)));
    let results = resources.map(|resource| {
        let (error, entries) = match entries(broker, resource) {
            Ok(entries) => (None, entries),
            Err(error) => (Some(error), Vec::new()),
        };
        let wanted = |entry: &ConfigEntry| {
            resource
                .configuration_keys
                .as_ref()
                .is_none_or(|keys| keys.iter().any(|k| *k == entry.name))
        };
        DescribeConfigsResult {
            error_code: error.as_ref().map_or(0, |(code, _)| code.as_i16()),
            error_message: error.map(|(_, message)| message.into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone().into_owned().into(),
            configs: entries
                .into_iter()
                .filter(wanted)
                .map(|entry| result(entry, request.include_synonyms, request.include_documentation))
                .collect(),
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn entries(
    broker: &Broker,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<ConfigEntry>, (ErrorCode, String)> {
    let (name, image) = (&*resource.resource_name, broker.image.load());
    match resource.resource_type {
        RESOURCE_TOPIC => match image.topic(name) {
            Some(topic) => Ok(described(broker, &image, topic)),
            None => {
                Err((ErrorCode::UnknownTopicOrPartition, format!("topic {name} does not exist")))
            }
        },
        RESOURCE_BROKER if is_this_broker(broker, name) => {
            Ok(describe_broker(&broker.config, &image.broker_overrides))
        }
        RESOURCE_BROKER if name.is_empty() => Ok(describe_all_brokers(&image.broker_overrides)),
        RESOURCE_BROKER => Err((ErrorCode::InvalidRequest, wrong_broker(broker, name))),
        other => {
            Err((ErrorCode::InvalidRequest, format!("resource type {other} has no settings here")))
        }
    }
}

/// A topic's settings by one image of the cluster.
pub(super) fn described(
    broker: &Broker,
    image: &ClusterImage,
    topic: &TopicImage,
) -> Vec<ConfigEntry> {
    describe_topic(&broker.config, &image.policies, &topic.name, &topic.overrides)
}

pub(super) fn is_this_broker(broker: &Broker, name: &str) -> bool {
    name.parse() == Ok(broker.config.node_id())
}

pub(super) fn wrong_broker(broker: &Broker, name: &str) -> String {
    format!("unexpected broker id {name}, this is broker {}", broker.config.node_id())
}

fn result(
    entry: ConfigEntry,
    with_synonyms: bool,
    with_documentation: bool,
) -> DescribeConfigsResourceResult<'static> {
    let config_source = entry.source_number();
    let synonyms = entry.synonyms.into_iter().filter(|_| with_synonyms).map(|synonym| {
        DescribeConfigsSynonym {
            name: synonym.name.into(),
            value: Some(synonym.value.into()),
            source: synonym.source.number(),
        }
    });
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        config_source,
        is_sensitive: false,
        synonyms: synonyms.collect(),
        config_type: entry.kind as i8,
        documentation: with_documentation.then(|| entry.documentation.into()),
    }
}

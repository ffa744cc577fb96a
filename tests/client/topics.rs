//! What makes a topic.

use icecore::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

/// Makes one topic with these settings of its own.
pub(crate) fn creation(
    name: &str,
    num_partitions: i32,
    settings: &[(&str, &str)],
) -> CreateTopicsRequest<'static> {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned().into(),
        value: Some((*value).to_owned().into()),
    };
    let topic = CreatableTopic {
        name: name.to_owned().into(),
        num_partitions,
        replication_factor: 1,
        configs: settings.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false }
}

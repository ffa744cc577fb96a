//! Settings of topics and brokers, by Kafka's requests.

use icecore::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use icecore::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::client::Client;

/// The kind of brokers.
pub(crate) const BROKER: i8 = 4;

/// A setting as it is described.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Where it came from.
    pub(crate) source: i8,
    /// Whether it cannot be changed.
    pub(crate) read_only: bool,
}

/// These settings of a topic or a broker, or all of them.
pub(crate) async fn described(
    client: &mut Client,
    (kind, name): (i8, &'static str),
    settings: Option<&[&'static str]>,
) -> Vec<Described> {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: settings.map(|all| all.iter().map(|&one| one.into()).collect()),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = client.ask(4, &request).await;
    let described = answer.results[0].configs.iter().map(|config| Described {
        name: config.name.to_string(),
        value: config.value.as_deref().unwrap_or_default().to_owned(),
        source: config.config_source,
        read_only: config.read_only,
    });
    described.collect()
}

/// Gives a setting, or takes it away; the answer's code.
pub(crate) async fn alter(
    client: &mut Client,
    (kind, name): (i8, &'static str),
    (setting, value): (&'static str, Option<&'static str>),
    validate_only: bool,
) -> i16 {
    let (set, delete) = (0, 1);
    let config = AlterableConfig {
        name: setting.into(),
        config_operation: if value.is_some() { set } else { delete },
        value: value.map(Into::into),
    };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: vec![config],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
    client.ask(1, &request).await.responses[0].error_code
}

//! Settings that were given at runtime, by Kafka's requests.

use icecore::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use icecore::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::client::Client;

/// The kind of a topic.
pub(crate) const TOPIC: i8 = 2;
/// The broker of these tests: its kind and its name.
pub(crate) const BROKER: (i8, &str) = (4, "0");
/// Sources of values: given for the topic, for the broker, for all brokers.
const GIVEN: [i8; 3] = [1, 2, 3];

/// What was given for a topic or a broker, by name.
pub(crate) async fn given(
    client: &mut Client,
    (kind, name): (i8, &'static str),
) -> Vec<(String, String)> {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = client.ask(4, &request).await;
    let given = answer.results[0].configs.iter();
    let given = given.filter(|config| GIVEN.contains(&config.config_source)).map(|config| {
        (config.name.to_string(), config.value.as_deref().unwrap_or_default().to_owned())
    });
    let mut given: Vec<_> = given.collect();
    given.sort();
    given
}

/// Gives a setting.
pub(crate) async fn set(
    client: &mut Client,
    (kind, name): (i8, &'static str),
    setting: &'static str,
    value: &'static str,
) {
    let config =
        AlterableConfig { name: setting.into(), value: Some(value.into()), ..Default::default() };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = client.ask(1, &request).await;
    assert_eq!(answer.responses[0].error_code, 0, "{:?}", answer.responses[0].error_message);
}

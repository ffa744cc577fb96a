//! Settings that are refused: by the start, by CreateTopics and by IncrementalAlterConfigs, each
//! with words that say what to change.

use icecore::config::BrokerConfig;
use icecore::wire::ErrorCode;
use icecore::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::broker::{bound, start};
use crate::client::Client;

const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;

/// Sets settings of a topic; the answer.
async fn alter(client: &mut Client, topic: &str, configs: &[(&str, &str)]) -> (i16, String) {
    alter_resource(client, (TOPIC_RESOURCE, topic), configs).await
}

async fn alter_resource(
    client: &mut Client,
    (resource_type, name): (i8, &str),
    configs: &[(&str, &str)],
) -> (i16, String) {
    let config = |(name, value): &(&str, &str)| AlterableConfig {
        name: (*name).to_owned().into(),
        config_operation: 0,
        value: Some((*value).to_owned().into()),
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type,
            resource_name: name.to_owned().into(),
            configs: configs.iter().map(config).collect(),
        }],
        validate_only: false,
    };
    client
        .call(1, &request, |answer| {
            let answer = &answer.responses[0];
            let message = answer.error_message.clone().unwrap_or_default().into_owned();
            (answer.error_code, message)
        })
        .await
}

/// Both ways to give settings to a topic refuse these, and the topic stays as it was.
async fn refused(configs: &[(&str, &str)], said: &str) {
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    let invalid = ErrorCode::InvalidConfig.as_i16();
    let (code, message) = client.create("refused", configs).await;
    assert_eq!(code, invalid, "{configs:?}: {message}");
    assert!(message.contains(said), "{configs:?}: {message}");
    assert_eq!(client.create("kept", &[]).await.0, 0);
    client.acked("kept", b"record").await;
    let (code, message) = alter(&mut client, "kept", configs).await;
    assert_eq!(code, invalid, "{configs:?}: {message}");
    assert!(message.contains(said), "{configs:?}: {message}");
    assert_eq!(client.values("kept", 0).await, [b"record".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_of_the_broker_that_is_read_at_the_start_is_refused_at_runtime() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    for (name, value, said) in [
        ("num.partitions", "3", "num.partitions is read at the start: change it in icecore.toml"),
        ("remote.log.manager.copy.max.bytes.per.second", "0", "at least 1"),
        (
            "remote.log.manager.copy.max.byte.per.second",
            "1",
            "did you mean remote.log.manager.copy",
        ),
    ] {
        for broker in ["0", ""] {
            let config = [(name, value)];
            let (code, message) =
                alter_resource(&mut client, (BROKER_RESOURCE, broker), &config).await;
            assert_eq!(code, ErrorCode::InvalidConfig.as_i16(), "{name}: {message}");
            assert!(message.contains(said), "{name}: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_setting_of_a_topic_is_refused_with_the_nearest_name() {
    refused(&[("retention.byte", "1000")], "did you mean retention.bytes?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_out_of_bounds_is_refused_with_the_bound() {
    refused(&[("segment.bytes", "1000")], "at least 1048576").await;
    refused(&[("cleanup.policy", "shred")], "delete, compact").await;
    refused(&[("tiering.cache.class", "hold")], "one of normal, keep, pass").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_local_than_total_retention_in_time_is_refused() {
    let configs = [("retention.ms", "1000"), ("local.retention.ms", "1001")];
    refused(&configs, "more than retention.ms 1000").await;
    let configs = [("retention.ms", "1000"), ("local.retention.ms", "-1")];
    refused(&configs, "local.retention.ms is -1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_local_than_total_retention_in_bytes_is_refused() {
    let configs = [("retention.bytes", "1000"), ("local.retention.bytes", "1001")];
    refused(&configs, "more than retention.bytes 1000").await;
    let configs = [("retention.bytes", "1000"), ("local.retention.bytes", "-1")];
    refused(&configs, "local.retention.bytes is -1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiered_topic_that_is_compacted_is_refused() {
    let configs = [("remote.storage.enable", "true"), ("cleanup.policy", "compact")];
    refused(&configs, "a compacted topic stays local").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_uploads_with_a_local_retention_of_its_own_is_refused() {
    let configs = [("remote.log.copy.disable", "true"), ("local.retention.ms", "1000")];
    refused(&configs, "with remote.log.copy.disable=true local.retention.ms must be -2").await;
    let configs = [("remote.log.copy.disable", "true"), ("local.retention.bytes", "1000")];
    refused(&configs, "with remote.log.copy.disable=true local.retention.bytes must be -2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_the_remote_tier_without_permission_to_delete_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    assert_eq!(client.create("tiered", &[]).await.0, 0);
    let (code, message) = alter(&mut client, "tiered", &[("remote.storage.enable", "false")]).await;
    assert_eq!(code, ErrorCode::InvalidConfig.as_i16(), "{message}");
    assert!(message.contains("remote.log.delete.on.disable=true"), "{message}");
    let leave = [("remote.storage.enable", "false"), ("remote.log.delete.on.disable", "true")];
    assert_eq!(alter(&mut client, "tiered", &leave).await, (0, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiered_topic_on_a_broker_without_tiering_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let off = [("remote.log.storage.system.enable", "false")];
    let broker = bound(dir.path(), None, &off).await;
    broker.ready().await;
    let mut client = broker.client().await;
    let (code, message) = client.create("tiered", &[("remote.storage.enable", "true")]).await;
    assert_eq!(code, ErrorCode::InvalidConfig.as_i16(), "{message}");
    assert!(message.contains("remote.log.storage.system.enable=true"), "{message}");
    assert_eq!(client.create("local", &[]).await.0, 0, "a topic that does not ask stays local");
}

#[test]
fn a_broker_with_wrong_settings_does_not_start_and_names_all_of_them() {
    let wrong = [("num.partition", "3"), ("num.partitions", "0"), ("log.segment.bytes", "many")];
    let error =
        BrokerConfig::in_dir(std::path::Path::new("/nowhere"), &wrong).expect_err("refused");
    let text = error.to_string();
    for said in ["did you mean num.partitions?", "at least 1", "invalid value many"] {
        assert!(text.contains(said), "{text}");
    }
}

//! The image as the store has it at a start.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::controller::led_by;
use crate::config::{BrokerConfig, Policies, Policy, PolicyText, TopicConfig};
use crate::metadata::{
    BrokerNode, ClusterImage, MetaStore, MetaStoreError, StoredTopic, TopicImage,
};

/// Reads the image, and the topics whose deletion is not finished.
///
/// # Errors
/// When the store fails.
pub async fn load_image(
    config: &BrokerConfig,
    store: &dyn MetaStore,
    cluster_id: &str,
    node: BrokerNode,
) -> Result<(ClusterImage, Vec<TopicImage>), MetaStoreError> {
    let controller = node.id;
    let mut image = ClusterImage::new(cluster_id.into(), vec![node], controller);
    image.broker_overrides = Arc::new(store.broker_overrides().await?);
    image.policies = config.policies_with(taken(store.policies().await?));
    let mut deleting = Vec::new();
    for stored in store.topics().await? {
        let topic = topic_image(config, &image.policies, &stored, controller);
        if stored.deleting { deleting.push(topic) } else { image.insert(topic) }
    }
    Ok((image, deleting))
}

/// Policies that were given while a broker ran. What another version took, this one may not: its
/// topics are then kept without bounds, since the broker's may be narrower.
pub(super) fn taken(stored: Vec<PolicyText>) -> Vec<Policy> {
    let checked = stored.into_iter().filter_map(|text| {
        let checked = Policy::check(text.clone()).or_else(|error| {
            tracing::error!(%error, "a policy does not fit any more: its topics are kept without bounds");
            Policy::check(PolicyText { settings: forever(), ..text })
        });
        checked.ok()
    });
    checked.collect()
}

/// Settings that delete nothing.
fn forever() -> BTreeMap<String, String> {
    let forever = [("retention.ms", "-1"), ("retention.bytes", "-1")];
    forever.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The settings of a topic, whatever it was given by whichever version.
pub(super) fn in_force(
    config: &BrokerConfig,
    policies: &Policies,
    topic: &str,
    overrides: &BTreeMap<String, String>,
) -> TopicConfig {
    let effective = TopicConfig::new(config, policies, topic, overrides).or_else(|error| {
        // A changed policy or broker default can contradict what a topic was given long ago. The topic stays
        // readable with its plain defaults; nothing of it is deleted by a guess.
        tracing::error!(topic, %error, "a topic's settings do not fit any more: kept without bounds");
        TopicConfig::new(config, &Policies::none(), topic, &forever())
    });
    match effective {
        Ok(config) => config,
        Err(error) => unreachable!("settings without bounds fit every broker: {error}"),
    }
}

/// A stored topic with its effective settings, led by that broker.
pub(super) fn topic_image(
    config: &BrokerConfig,
    policies: &Policies,
    stored: &StoredTopic,
    leader: crate::model::BrokerId,
) -> TopicImage {
    let config = in_force(config, policies, &stored.name, &stored.overrides);
    TopicImage {
        id: stored.id,
        name: stored.name.clone(),
        partitions: stored.leader_epochs.iter().map(|epoch| led_by(leader, *epoch)).collect(),
        overrides: stored.overrides.clone(),
        config: Arc::new(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_policy_that_does_not_read_are_kept_without_bounds() {
        let text = PolicyText {
            name: "later".to_owned(),
            topics: vec!["orders-*".to_owned()],
            priority: 0,
            settings: [("retention.of.a.later.version".to_owned(), "1".to_owned())].into(),
        };
        let policies = Policies::new(Arc::new([]), taken(vec![text]));
        let config = BrokerConfig::in_dir(std::path::Path::new("/d"), &[]).expect("defaults");
        let of =
            |topic| TopicConfig::new(&config, &policies, topic, &BTreeMap::new()).expect("fits");
        assert_eq!(of("orders-eu").retention_ms(), None);
        assert!(of("other").retention_ms().is_some(), "the others have the broker's");
    }
}

//! The image as the store has it at a start.

use std::sync::Arc;

use super::controller::led_by;
use crate::config::{BrokerConfig, TopicConfig};
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
    let mut deleting = Vec::new();
    for stored in store.topics().await? {
        let topic = topic_image(config, &stored, controller);
        if stored.deleting { deleting.push(topic) } else { image.insert(topic) }
    }
    Ok((image, deleting))
}

/// A stored topic with its effective settings, led by that broker.
pub(super) fn topic_image(
    config: &BrokerConfig,
    stored: &StoredTopic,
    leader: crate::model::BrokerId,
) -> TopicImage {
    let effective = TopicConfig::new(config, &stored.name, &stored.overrides).or_else(|error| {
        // A changed broker default can contradict what a topic was given long ago. The topic stays
        // readable with its plain defaults; nothing of it is deleted by a guess.
        tracing::error!(topic = %stored.name, %error, "a topic's settings do not fit any more: kept without bounds");
        let forever = [("retention.ms", "-1"), ("retention.bytes", "-1")];
        let forever = forever.map(|(name, value)| (name.to_owned(), value.to_owned()));
        TopicConfig::new(config, &stored.name, &forever.into())
    });
    let config = match effective {
        Ok(config) => config,
        Err(error) => unreachable!("settings without bounds fit every broker: {error}"),
    };
    TopicImage {
        id: stored.id,
        name: stored.name.clone(),
        partitions: stored.leader_epochs.iter().map(|epoch| led_by(leader, *epoch)).collect(),
        overrides: stored.overrides.clone(),
        config: Arc::new(config),
    }
}

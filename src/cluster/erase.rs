//! What a deleted topic leaves is removed beside everything else, and tried until it is gone. The
//! topic is forgotten last: until then a restart goes on where this one ended.

use std::time::Duration;

use crate::metadata::{MetaStore, TopicImage};
use crate::replica::Replicas;

/// Removes the folders and objects of a dropped topic, then forgets it.
pub async fn erase(
    replicas: &Replicas,
    store: &dyn MetaStore,
    topic: &TopicImage,
    retry: Duration,
) {
    loop {
        match replicas.erase_topic(topic).await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(topic = %topic.name, %error, "a deleted topic is not all gone yet");
            }
        }
        tokio::time::sleep(retry).await;
    }
    if let Err(error) = store.forget_topic(topic.id).await {
        tracing::error!(topic = %topic.name, %error, "a deleted topic is gone but not forgotten");
    }
}

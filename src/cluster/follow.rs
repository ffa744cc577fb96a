//! The image follows the topics of a cluster that another broker leads.
//!
//! Invariant: a topic is shown only once its partitions are where their leader is, so that nobody
//! takes a history that is not known yet for an empty one. The topics that this broker keeps for
//! itself (`__consumer_offsets`) are left alone.

use std::collections::HashSet;
use std::sync::Arc;

use super::controller::Controller;
use super::load::{in_force, taken, topic_image};
use crate::config::{Policies, PolicyText};
use crate::metadata::{ClusterImage, StoredTopic, TopicImage};
use crate::model::TopicId;
use crate::replica::HostError;

impl Controller {
    /// Takes over the policies that the cluster's broker was given while it ran, for all topics at
    /// once; what this server's own file says counts as well. Gives the policies in force.
    pub async fn follow_policies(&self, given: Vec<PolicyText>) -> Policies {
        let _one_at_a_time = self.changing.lock().await;
        let (policies, image) = (self.config.policies_with(taken(given)), self.image.load());
        let mut changed = Vec::new();
        for topic in image.topics() {
            let config = in_force(&self.config, &policies, &topic.name, &topic.overrides);
            if config != *topic.config {
                changed.push(TopicImage { config: config.into(), ..TopicImage::clone(topic) });
            }
        }
        changed.iter().for_each(|topic| self.replicas.configure_topic(topic));
        self.image.publish(image.with_policies(policies.clone(), changed));
        policies
    }

    /// Drops the topics that are not among `wanted`, and hosts the partitions that are new. Gives the
    /// dropped ones, and whether all could be hosted. What is hosted is not shown yet: see
    /// [`Controller::show_followed`].
    pub async fn host_followed(
        &self,
        wanted: &[StoredTopic],
    ) -> (Vec<Arc<TopicImage>>, Result<(), HostError>) {
        let _one_at_a_time = self.changing.lock().await;
        let image = self.image.load();
        let ids: HashSet<TopicId> = wanted.iter().map(|topic| topic.id).collect();
        let is_gone = |topic: &&Arc<TopicImage>| !topic.is_internal() && !ids.contains(&topic.id);
        let gone: Vec<_> = image.topics().filter(is_gone).cloned().collect();
        if !gone.is_empty() {
            let left = gone
                .iter()
                .fold(ClusterImage::clone(&image), |left, topic| left.without_topic(topic.id));
            self.image.publish(left);
        }
        for topic in &gone {
            if let Err(error) = self.replicas.drop_followed(topic).await {
                tracing::warn!(topic = %topic.name, %error, "not all of a topic that is gone was removed");
            }
        }
        (gone, self.host_all(wanted, &image).await)
    }

    async fn host_all(
        &self,
        wanted: &[StoredTopic],
        image: &ClusterImage,
    ) -> Result<(), HostError> {
        for stored in wanted {
            let topic = topic_image(&self.config, &image.policies, stored, image.controller);
            self.replicas.host_topic(&topic).await?;
        }
        Ok(())
    }

    /// Shows topics as they are by now: those that are new, and changed settings and leader epochs.
    pub async fn show_followed(&self, topics: &[StoredTopic]) {
        let _one_at_a_time = self.changing.lock().await;
        let mut image = ClusterImage::clone(&self.image.load());
        for stored in topics {
            let topic = topic_image(&self.config, &image.policies, stored, image.controller);
            self.replicas.configure_topic(&topic);
            image.insert(topic);
        }
        self.image.publish(image);
    }
}

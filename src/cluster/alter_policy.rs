//! Policies that change while the broker runs: every topic is judged first, then the policy is stored,
//! then all topics have their new settings at once.
//!
//! A change that one topic cannot take is refused for all.

use std::sync::Arc;

use super::controller::Controller;
use super::overruled::{Overruled, overruled};
use crate::config::{BrokerConfig, ConfigError, Policies, Policy, TopicConfig};
use crate::metadata::{ClusterImage, MetaStoreError, TopicImage};
use crate::task;

/// Topics that are named one by one in a refusal, and in the log.
const TOLD_MAX: usize = 5;

/// Why a policy was not set or deleted.
#[derive(Debug, thiserror::Error)]
pub enum AlterPolicyError {
    /// None of that name was given while the broker ran, and none is in the file.
    #[error("there is no policy {0}")]
    Unknown(String),
    /// It is the file's.
    #[error("policy {0} stands in the configuration file: change it there, or set one of its name")]
    OfFile(String),
    /// It is wrong by itself.
    #[error("{0}")]
    Settings(#[from] ConfigError),
    /// Topics cannot take it.
    #[error("{count} topic(s) cannot take the change: {told}")]
    Topics {
        /// How many.
        count: usize,
        /// The first of them, and why.
        told: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] MetaStoreError),
}

/// A change of policies and what it does to topics.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    /// The policies before.
    pub before: Policies,
    /// The policies after.
    pub after: Policies,
    /// Every topic whose settings in force change: as it was, and as it becomes.
    pub topics: Vec<(Arc<TopicImage>, TopicImage)>,
    /// Where the policy that is set is not in force, because topics have settings of their own.
    pub overruled: Overruled,
}

impl Controller {
    /// Sets a policy, in the place of one of its name (or only tells what would become of the topics).
    /// When this returns, it counts for all topics.
    ///
    /// # Errors
    /// When it does not fit the broker or a topic, or the store fails. Then all stays as it was.
    pub async fn set_policy(
        self: &Arc<Self>,
        policy: Policy,
        dry_run: bool,
    ) -> Result<PolicyChange, AlterPolicyError> {
        let controller = self.clone();
        task::to_its_end(async move { controller.set_one(policy, dry_run).await }).await
    }

    async fn set_one(
        &self,
        policy: Policy,
        dry_run: bool,
    ) -> Result<PolicyChange, AlterPolicyError> {
        let _one_at_a_time = self.changing.lock().await;
        TopicConfig::check_policy(&self.config, &policy)?;
        let image = self.image.load();
        let after = image.policies.with(policy.clone())?;
        let change = self.judge(&image, after, Some(policy.name())).await?;
        if !dry_run {
            self.store.set_policy(policy.text()).await?;
            self.put_policies_in_force(&image, &change);
            let (topics, named) = named(&change);
            let text = policy.text();
            tracing::info!(policy = text.name, settings = ?text.settings, topics, named, "policy set");
        }
        Ok(change)
    }

    /// Deletes a policy that was given while the broker ran (or only tells what would become of the
    /// topics). The file's of its name counts again, if there is one.
    ///
    /// # Errors
    /// When there is none, a topic cannot be without it, or the store fails. Then all stays as it was.
    pub async fn delete_policy(
        self: &Arc<Self>,
        name: &str,
        dry_run: bool,
    ) -> Result<PolicyChange, AlterPolicyError> {
        let (controller, name) = (self.clone(), name.to_owned());
        task::to_its_end(async move { controller.delete_one(&name, dry_run).await }).await
    }

    async fn delete_one(
        &self,
        name: &str,
        dry_run: bool,
    ) -> Result<PolicyChange, AlterPolicyError> {
        let _one_at_a_time = self.changing.lock().await;
        let image = self.image.load();
        if !image.policies.was_given(name) {
            return Err(match image.policies.file_has(name) {
                true => AlterPolicyError::OfFile(name.to_owned()),
                false => AlterPolicyError::Unknown(name.to_owned()),
            });
        }
        let change = self.judge(&image, image.policies.without(name), None).await?;
        if !dry_run {
            self.store.delete_policy(name).await?;
            self.put_policies_in_force(&image, &change);
            let (topics, named) = named(&change);
            tracing::info!(policy = name, topics, named, "policy deleted");
        }
        Ok(change)
    }

    /// Beside the network threads: there may be many topics. `set` is the policy that is set, if one is.
    async fn judge(
        &self,
        image: &Arc<ClusterImage>,
        after: Policies,
        set: Option<&str>,
    ) -> Result<PolicyChange, AlterPolicyError> {
        let (config, image, set) = (self.config.clone(), image.clone(), set.map(str::to_owned));
        task::aside(move || {
            let change = judge(&config, &image, after)?;
            let found = set.map(|name| overruled(&image, &change.after, &name));
            Ok(PolicyChange { overruled: found.unwrap_or_default(), ..change })
        })
        .await
    }

    fn put_policies_in_force(&self, image: &ClusterImage, change: &PolicyChange) {
        for (_, topic) in &change.topics {
            self.replicas.configure_topic(topic);
        }
        let topics = change.topics.iter().map(|(_, topic)| topic.clone());
        self.image.publish(image.with_policies(change.after.clone(), topics));
    }
}

/// How many topics have other settings by a change, and the names of the first of them.
fn named(change: &PolicyChange) -> (usize, String) {
    let names = change.topics.iter().take(TOLD_MAX).map(|(topic, _)| &*topic.name);
    (change.topics.len(), names.collect::<Vec<_>>().join(" "))
}

/// What other policies do to every topic.
fn judge(
    config: &BrokerConfig,
    image: &ClusterImage,
    after: Policies,
) -> Result<PolicyChange, AlterPolicyError> {
    let (mut topics, mut refused) = (Vec::new(), Vec::new());
    for topic in image.topics() {
        match with_policies(config, topic, &after) {
            Ok(altered) if altered == *topic.config => {}
            Ok(altered) => {
                let altered = TopicImage { config: altered.into(), ..TopicImage::clone(topic) };
                topics.push((topic.clone(), altered));
            }
            // Its settings did not fit before: it stays as the start has taken it.
            Err(_) if with_policies(config, topic, &image.policies).is_err() => {}
            Err(error) => refused.push(format!("{}: {error}", topic.name)),
        }
    }
    if refused.is_empty() {
        let (before, overruled) = (image.policies.clone(), Overruled::default());
        return Ok(PolicyChange { before, after, topics, overruled });
    }
    let count = refused.len();
    refused.truncate(TOLD_MAX);
    Err(AlterPolicyError::Topics { count, told: refused.join("; ") })
}

fn with_policies(
    config: &BrokerConfig,
    topic: &TopicImage,
    policies: &Policies,
) -> Result<TopicConfig, ConfigError> {
    let altered = TopicConfig::new(config, policies, &topic.name, &topic.overrides)?;
    altered.check_change_from(&topic.config)?;
    Ok(altered)
}

//! Policies as they are asked for and changed over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::{AlterPolicyError, Controller, Overruled, OwnSetting, PolicyChange};
use crate::config::{
    BrokerConfig, ChosenPolicy, ConfigSource, Policies, Policy, PolicyOrigin, PolicyText,
    RuntimeSettings, Synonym, describe_topic,
};
use crate::http::{
    AskError, ChangedSetting, ChangedTopic, Explained, ExplainedSetting, OverruledSetting,
    OverruledStatus, PolicyFrom, PolicyMatch, PolicyOutcome, PolicyStatus, SettingFrom, ValueFrom,
};
use crate::metadata::TopicImage;
use crate::replica::{Outlook, Replicas};

/// What can be asked and changed.
pub(super) struct PolicyDesk {
    config: Arc<BrokerConfig>,
    controller: Arc<Controller>,
    replicas: Arc<Replicas>,
}

impl PolicyDesk {
    pub(super) fn new(
        config: Arc<BrokerConfig>,
        controller: Arc<Controller>,
        replicas: Arc<Replicas>,
    ) -> Self {
        Self { config, controller, replicas }
    }

    /// Every policy in force.
    pub(super) fn list(&self) -> Vec<PolicyStatus> {
        let image = self.controller.image();
        let has = |topic: &TopicImage, name: &str| {
            image.policies.of_topic(&topic.name).is_some_and(|chosen| chosen.policy.name() == name)
        };
        let status = |(policy, origin): (&Policy, PolicyOrigin)| {
            let used_by = image.topics().filter(|topic| has(topic, policy.name()));
            PolicyStatus {
                policy: policy.text().clone(),
                from: from(origin),
                hides_file: origin == PolicyOrigin::Runtime
                    && image.policies.file_has(policy.name()),
                used_by: used_by.map(|topic| topic.name.to_string()).collect(),
            }
        };
        image.policies.in_force().into_iter().map(status).collect()
    }

    /// Sets a policy.
    pub(super) async fn set(
        &self,
        policy: PolicyText,
        dry_run: bool,
    ) -> Result<PolicyOutcome, AskError> {
        let policy = Policy::check(policy).map_err(|wrong| AskError::Refused(wrong.to_string()))?;
        let name = policy.name().to_owned();
        let change = self.controller.set_policy(policy, dry_run).await.map_err(refused)?;
        let outcome = self.outcome(&change, dry_run).await?;
        Ok(PolicyOutcome { dropped: dropped(&change, &name), ..outcome })
    }

    /// Deletes a policy.
    pub(super) async fn delete(
        &self,
        name: &str,
        dry_run: bool,
    ) -> Result<PolicyOutcome, AskError> {
        let change = self.controller.delete_policy(name, dry_run).await.map_err(refused)?;
        self.outcome(&change, dry_run).await
    }

    async fn outcome(
        &self,
        change: &PolicyChange,
        dry_run: bool,
    ) -> Result<PolicyOutcome, AskError> {
        let mut topics = Vec::with_capacity(change.topics.len());
        for (before, after) in &change.topics {
            let mut changed = self.changed(change, before, after);
            if dry_run {
                changed.outlook_before = Some(self.outlook(before).await?);
                changed.outlook_after = Some(self.outlook(after).await?);
            }
            topics.push(changed);
        }
        let (dropped, overruled) = (BTreeMap::new(), status(&change.overruled));
        Ok(PolicyOutcome { dry_run, topics, dropped, overruled })
    }

    fn changed(
        &self,
        change: &PolicyChange,
        before: &TopicImage,
        after: &TopicImage,
    ) -> ChangedTopic {
        let name = |policies: &Policies| {
            policies.of_topic(&before.name).map(|chosen| chosen.policy.name().to_owned())
        };
        let described = |policies: &Policies, topic: &TopicImage| {
            describe_topic(&self.config, policies, &topic.name, &topic.overrides)
        };
        let old = described(&change.before, before).into_iter();
        let both = old.zip(described(&change.after, after));
        let settings = both.filter(|(old, new)| old.value != new.value);
        let settings = settings.map(|(old, new)| ChangedSetting {
            name: old.name.to_owned(),
            before: old.value,
            after: new.value,
        });
        ChangedTopic {
            topic: before.name.to_string(),
            policy_before: name(&change.before),
            policy_after: name(&change.after),
            settings: settings.collect(),
            outlook_before: None,
            outlook_after: None,
        }
    }

    /// What will be done with all partitions of a topic that has these settings.
    async fn outlook(&self, topic: &TopicImage) -> Result<Outlook, AskError> {
        let mut all = Outlook::default();
        for name in topic.topic_partitions() {
            if let Some(partition) = self.replicas.partition(&name.topic, name.partition) {
                let one = self.replicas.outlook(&partition, &topic.config).await;
                all = all.plus(one.map_err(AskError::Failed)?);
            }
        }
        Ok(all)
    }

    /// The rate of all downloads for readers together, in bytes a second; `None` without a bound.
    pub(super) fn fetch_rate(&self) -> Option<u64> {
        let image = self.controller.image();
        let in_force = RuntimeSettings::new(&self.config, &image.broker_overrides);
        in_force.ok()?.fetch_max_bytes_per_second
    }

    /// Where a topic's settings come from.
    pub(super) fn explain(&self, name: &str) -> Explained {
        let image = self.controller.image();
        let topic = image.topic(name);
        let overrides = topic.map(|topic| topic.overrides.clone()).unwrap_or_default();
        let mut matching = image.policies.matching(name).into_iter();
        let chosen = matching.next();
        let settings = describe_topic(&self.config, &image.policies, name, &overrides);
        let settings = settings.into_iter().map(|entry| {
            let mut places = entry.synonyms.into_iter().map(|synonym| value(&synonym, chosen));
            let unset = ValueFrom { value: None, from: SettingFrom::Default, by: None };
            ExplainedSetting {
                name: entry.name.to_owned(),
                value: places.next().unwrap_or(unset),
                instead_of: places.collect(),
            }
        });
        Explained {
            topic: name.to_owned(),
            exists: topic.is_some(),
            policy: chosen.map(|chosen| matched(&chosen)),
            settings: settings.collect(),
            passed_over: matching.map(|chosen| matched(&chosen)).collect(),
        }
    }
}

/// What the policy of that name gave before, and gives no more.
fn dropped(change: &PolicyChange, name: &str) -> BTreeMap<String, String> {
    let mut had = change.before.get(name).map(Policy::settings).cloned().unwrap_or_default();
    let has = change.after.get(name).map(Policy::settings);
    had.retain(|setting, _| has.is_none_or(|has| !has.contains_key(setting)));
    had
}

fn from(origin: PolicyOrigin) -> PolicyFrom {
    match origin {
        PolicyOrigin::File => PolicyFrom::File,
        PolicyOrigin::Runtime => PolicyFrom::Runtime,
    }
}

fn matched(chosen: &ChosenPolicy<'_>) -> PolicyMatch {
    PolicyMatch {
        name: chosen.policy.name().to_owned(),
        from: from(chosen.origin),
        priority: chosen.policy.text().priority,
        pattern: chosen.pattern.to_string(),
    }
}

fn value(synonym: &Synonym, policy: Option<ChosenPolicy<'_>>) -> ValueFrom {
    let (from, by) = match synonym.source {
        ConfigSource::Topic => (SettingFrom::Topic, None),
        ConfigSource::RuntimePolicy | ConfigSource::FilePolicy => {
            (SettingFrom::Policy, policy.map(|chosen| chosen.policy.name().to_owned()))
        }
        ConfigSource::RuntimeBroker
        | ConfigSource::RuntimeAllBrokers
        | ConfigSource::StaticBroker => (SettingFrom::Broker, Some(synonym.name.to_owned())),
        ConfigSource::Default => (SettingFrom::Default, None),
    };
    ValueFrom { value: Some(synonym.value.clone()), from, by }
}

fn status(overruled: &Overruled) -> OverruledStatus {
    let first = overruled.first.iter().cloned().map(|one| {
        let OwnSetting { topic, setting, own, policy } = one;
        OverruledSetting { topic, setting, own, policy }
    });
    OverruledStatus { count: overruled.count, first: first.collect() }
}

fn refused(error: AlterPolicyError) -> AskError {
    match error {
        AlterPolicyError::Unknown(_) => AskError::NotFound(error.to_string()),
        AlterPolicyError::OfFile(_)
        | AlterPolicyError::Settings(_)
        | AlterPolicyError::Topics { .. } => AskError::Refused(error.to_string()),
        AlterPolicyError::Store(error) => AskError::Failed(Box::new(error)),
    }
}

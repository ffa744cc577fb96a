//! Where a policy's values are not in force, because the topic has its own. Pure.

use crate::config::{Policies, plain_topic_value};
use crate::metadata::ClusterImage;

/// Settings that are named one by one.
const NAMED_MAX: usize = 20;

/// A topic's own setting that counts before its policy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSetting {
    /// The topic's name.
    pub topic: String,
    /// The setting's name.
    pub setting: String,
    /// The topic's value, as Kafka writes it.
    pub own: String,
    /// The policy's value, as Kafka writes it.
    pub policy: String,
}

/// The settings of all topics that count before those of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overruled {
    /// How many.
    pub count: usize,
    /// The first of them, by topic and setting: 20 at most.
    pub first: Vec<OwnSetting>,
}

/// What topics have of their own that the policy of that name gives in another way.
pub(super) fn overruled(image: &ClusterImage, policies: &Policies, name: &str) -> Overruled {
    let mut found = Overruled::default();
    for topic in image.topics().filter(|topic| !topic.overrides.is_empty()) {
        let chosen = policies.of_topic(&topic.name).map(|chosen| chosen.policy);
        let Some(policy) = chosen.filter(|policy| policy.name() == name) else { continue };
        for (setting, value) in policy.settings() {
            let Some(own) = topic.overrides.get(setting) else { continue };
            let own = plain_topic_value(setting, own).unwrap_or_else(|| own.clone());
            if own == *value {
                continue;
            }
            found.count += 1;
            if found.first.len() < NAMED_MAX {
                let (topic, setting, policy) =
                    (topic.name.to_string(), setting.clone(), value.clone());
                found.first.push(OwnSetting { topic, setting, own, policy });
            }
        }
    }
    found
}

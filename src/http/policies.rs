//! Tiering policies over HTTP: what there is, what a change would do, and where a topic's settings
//! come from.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::observed::ObserveError;
use super::replay_plan::AskError;
use crate::config::PolicyText;
use crate::replica::Outlook;

/// Whoever keeps the policies. Nothing here may block the thread.
pub trait TierPolicies: Send + Sync + 'static {
    /// Every policy in force, by name.
    ///
    /// # Errors
    /// The reason why it cannot be told.
    fn policies(&self) -> Result<Vec<PolicyStatus>, ObserveError>;

    /// Sets a policy, in the place of one of its name, or only tells what that would do.
    fn set_policy(
        &self,
        policy: PolicyText,
        dry_run: bool,
    ) -> BoxFuture<'_, Result<PolicyOutcome, AskError>>;

    /// Deletes a policy that was set, or only tells what that would do.
    fn delete_policy(
        &self,
        name: String,
        dry_run: bool,
    ) -> BoxFuture<'_, Result<PolicyOutcome, AskError>>;

    /// Every setting of a topic and where it comes from; of a topic that is not there, what it would
    /// have.
    ///
    /// # Errors
    /// The reason why it cannot be told.
    fn explain(&self, topic: &str) -> Result<Explained, ObserveError>;
}

/// Where a policy came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyFrom {
    /// The configuration file.
    File,
    /// `icecore policy set`.
    Runtime,
}

/// A policy in force. Scripts rely on the names of the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// The policy.
    #[serde(flatten)]
    pub policy: PolicyText,
    /// Where it came from.
    pub from: PolicyFrom,
    /// Whether it stands in the place of one of the file.
    pub hides_file: bool,
    /// The topics that have it, by name.
    pub used_by: Vec<String>,
}

/// The body of PUT `/v1/policies/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyBody {
    /// Patterns of topic names.
    pub topics: Vec<String>,
    /// Where several policies match one topic, the one with the highest priority counts.
    #[serde(default)]
    pub priority: i32,
    /// Topic settings by name.
    pub settings: BTreeMap<String, String>,
}

/// The query of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeQuery {
    /// Whether nothing is changed, and told what would follow.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a change does, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyOutcome {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The topics whose settings change, by name.
    pub topics: Vec<ChangedTopic>,
    /// The settings, with their values, that a policy of the name of the one that is set had in force, and has
    /// no more; nothing of a deletion, and of a broker of an earlier version.
    #[serde(default)]
    pub dropped: BTreeMap<String, String>,
    /// Where the policy that is set is not in force; nothing of a deletion, and of a broker of an earlier
    /// version.
    #[serde(default)]
    pub overruled: OverruledStatus,
}

/// Settings that topics have of their own, in another way than the policy that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverruledStatus {
    /// How many settings of topics.
    pub count: usize,
    /// The first of them, by topic and setting.
    pub first: Vec<OverruledSetting>,
}

/// A topic's own setting that counts before its policy's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverruledSetting {
    /// The topic's name.
    pub topic: String,
    /// The setting's name.
    pub setting: String,
    /// The topic's value, which is in force.
    pub own: String,
    /// The policy's value.
    pub policy: String,
}

/// A topic whose settings change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedTopic {
    /// Its name.
    pub topic: String,
    /// The policy that it had.
    pub policy_before: Option<String>,
    /// The policy that it has then.
    pub policy_after: Option<String>,
    /// The settings whose values change, by name.
    pub settings: Vec<ChangedSetting>,
    /// What the broker is about to do with its partitions by the settings of now; only told of a dry
    /// run.
    pub outlook_before: Option<Outlook>,
    /// What the broker will do with them by the new settings; only told of a dry run.
    pub outlook_after: Option<Outlook>,
}

/// A setting whose value changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedSetting {
    /// Its name.
    pub name: String,
    /// The value before.
    pub before: Option<String>,
    /// The value after.
    pub after: Option<String>,
}

/// The query of `/v1/topic-settings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainQuery {
    /// The topic's name.
    pub topic: String,
}

/// A topic's settings and where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The topic's name.
    pub topic: String,
    /// Whether there is such a topic.
    pub exists: bool,
    /// The policy that it has.
    pub policy: Option<PolicyMatch>,
    /// Policies that match it as well, the next one first.
    pub passed_over: Vec<PolicyMatch>,
    /// Every setting, by name.
    pub settings: Vec<ExplainedSetting>,
}

/// A policy that matches a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyMatch {
    /// Its name.
    pub name: String,
    /// Where it came from.
    pub from: PolicyFrom,
    /// Its priority.
    pub priority: i32,
    /// The pattern by which it matches.
    pub pattern: String,
}

/// A setting and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedSetting {
    /// Its name.
    pub name: String,
    /// The value in force, and where it comes from.
    #[serde(flatten)]
    pub value: ValueFrom,
    /// What would count without it, the next one first.
    pub instead_of: Vec<ValueFrom>,
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueFrom {
    /// As Kafka writes it; none when it is not set.
    pub value: Option<String>,
    /// Which kind of place.
    pub from: SettingFrom,
    /// The policy's name, or the name of the broker's setting.
    pub by: Option<String>,
}

/// Which kind of place a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingFrom {
    /// Given for the topic.
    Topic,
    /// Its policy.
    Policy,
    /// A setting of the broker.
    Broker,
    /// Nobody said anything.
    Default,
}

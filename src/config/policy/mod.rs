//! Named tiering policies: topic settings that count for every topic whose name matches.
//!
//! A topic's own settings count before its policy's, and those before the broker's. A topic has at
//! most one policy, and has it whole: settings of two are never mixed.

mod pattern;
mod policies;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, Problem};
use super::file::{self, PolicyTable};
use super::setting::Setting;
use super::topic_settings::TOPIC_SETTINGS;
use super::value::{nearest, read};

pub use pattern::TopicPattern;
pub use policies::{ChosenPolicy, Policies, PolicyOrigin};

/// The longest name of a policy.
const NAME_LEN_MAX: usize = 100;
/// Most patterns of one policy.
const PATTERNS_MAX: usize = 20;

/// A policy as people write it; nothing of it is checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyText {
    /// Its name.
    pub name: String,
    /// Patterns of topic names.
    pub topics: Vec<String>,
    /// Where several policies match one topic, the one with the highest priority counts.
    #[serde(default)]
    pub priority: i32,
    /// Topic settings by name.
    pub settings: BTreeMap<String, String>,
}

/// A policy whose names, patterns and values are right. Values are written as Kafka writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    text: PolicyText,
    patterns: Vec<TopicPattern>,
}

impl Policy {
    /// Checks a policy by itself. Whether its settings fit together, and fit a broker and its
    /// topics, is judged with those.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(mut text: PolicyText) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        problems.extend(name_problem(&text.name));
        if text.topics.is_empty() || text.topics.len() > PATTERNS_MAX {
            let said = format!("it needs 1 to {PATTERNS_MAX} patterns of topic names");
            problems.push(Problem::Conflict(said));
        }
        let mut patterns = Vec::with_capacity(text.topics.len().min(PATTERNS_MAX));
        for pattern in text.topics.iter().take(PATTERNS_MAX) {
            match TopicPattern::parse(pattern) {
                Ok(pattern) => patterns.push(pattern),
                Err(said) => problems.push(Problem::Conflict(said)),
            }
        }
        if text.settings.is_empty() {
            problems.push(Problem::Conflict("it has no settings".into()));
        }
        for (name, value) in &mut text.settings {
            match setting(name).and_then(|setting| read(setting, value)) {
                Ok(read) => *value = read.text(),
                Err(problem) => problems.push(problem),
            }
        }
        ConfigError::check(problems).map_err(|error| error.of_policy(&text.name))?;
        Ok(Self { text, patterns })
    }

    /// The policy as it is written.
    #[must_use]
    pub fn text(&self) -> &PolicyText {
        &self.text
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text.name
    }

    /// Its settings by name.
    #[must_use]
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.text.settings
    }
}

fn name_problem(name: &str) -> Option<Problem> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let right = (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(legal);
    let said =
        format!("its name needs 1 to {NAME_LEN_MAX} of a-z, A-Z, 0-9, dot, underscore, dash");
    (!right).then_some(Problem::Conflict(said))
}

/// The topic setting of that name, if policies may give it.
fn setting(name: &str) -> Result<&'static Setting, Problem> {
    let of_policies = || TOPIC_SETTINGS.iter().filter(|setting| setting.in_policies);
    match TOPIC_SETTINGS.iter().find(|setting| setting.name == name) {
        Some(setting) if setting.in_policies => Ok(setting),
        Some(_) => {
            let known: Vec<_> = of_policies().map(|setting| setting.name).collect();
            let said =
                format!("{name} is given to topics alone; a policy has {}", known.join(", "));
            Err(Problem::Conflict(said))
        }
        None => {
            let nearest = nearest(name, of_policies().map(|setting| setting.name));
            Err(Problem::Unknown { name: name.to_owned(), nearest })
        }
    }
}

/// The policies of a file that has nothing else, each checked by itself.
///
/// # Errors
/// When it cannot be read, or everything that is wrong with them.
pub fn read_policies(path: &Path) -> Result<Arc<[Policy]>, ConfigError> {
    let mut problems = Vec::new();
    let policies = of_file(file::read_policies(path)?, &mut problems);
    ConfigError::check(problems).map(|()| policies)
}

/// The policies of a configuration file.
pub(super) fn of_file(tables: Vec<PolicyTable>, problems: &mut Vec<Problem>) -> Arc<[Policy]> {
    let mut policies: Vec<Policy> = Vec::with_capacity(tables.len());
    for table in tables {
        let PolicyTable { name, topics, priority, settings } = table;
        let settings = settings.iter().map(|(name, value)| (name.clone(), value.text())).collect();
        if policies.iter().any(|policy| policy.name() == name) {
            problems.push(Problem::Conflict(format!("policy {name} stands in the file twice")));
            continue;
        }
        match Policy::check(PolicyText { name, topics, priority, settings }) {
            Ok(policy) => policies.push(policy),
            Err(error) => problems.extend(error.problems().iter().cloned()),
        }
    }
    problems.extend(policies::too_many(policies.len()));
    policies.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, topics: &[&str], settings: &[(&str, &str)]) -> PolicyText {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        PolicyText {
            name: name.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            priority: 0,
            settings: settings.iter().map(owned).collect(),
        }
    }

    #[test]
    fn values_are_kept_as_kafka_writes_them() {
        let policy = Policy::check(text("p", &["*"], &[("retention.ms", "7d")])).expect("right");
        assert_eq!(policy.settings()["retention.ms"], "604800000");
    }

    #[test]
    fn everything_that_is_wrong_with_a_policy_is_told_at_once_with_its_name() {
        let wrong = [
            ("retention.msec", "1"),
            ("segment.index.bytes", "100"),
            ("local.retention.ms", "soon"),
        ];
        let error = Policy::check(text("p", &["a b"], &wrong)).expect_err("refused");
        assert_eq!(error.problems().len(), 4, "{error}");
        for said in [
            "policy p: unknown setting retention.msec, did you mean retention.ms?",
            "segment.index.bytes is given to topics alone; a policy has local.retention.bytes",
            "invalid value soon for local.retention.ms",
            "\"a b\"",
        ] {
            assert!(error.to_string().contains(said), "{said}: {error}");
        }
        for (name, topics, settings, said) in [
            ("", &["*"][..], &[("retention.ms", "1")][..], "its name"),
            ("p", &[], &[("retention.ms", "1")], "patterns"),
            ("p", &["*"], &[], "no settings"),
        ] {
            let error = Policy::check(text(name, topics, settings)).expect_err("refused");
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}

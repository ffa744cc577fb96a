//! All policies together, and which of them a topic has.
//!
//! What is given while the broker runs wins over the file, as it does for settings: a policy of the
//! same name hides the file's until it is deleted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Policy, TopicPattern};
use crate::config::error::{ConfigError, Problem};

/// Most policies of one origin.
const POLICIES_MAX: usize = 100;

/// Where a policy came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyOrigin {
    /// The configuration file.
    File,
    /// `icecore policy set`, while the broker ran.
    Runtime,
}

/// The policies in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Policies {
    file: Arc<[Policy]>,
    runtime: Arc<BTreeMap<String, Policy>>,
}

/// A policy that matches a topic, and by which of its patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenPolicy<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Where it came from.
    pub origin: PolicyOrigin,
    /// The closest of its patterns that match.
    pub pattern: &'a TopicPattern,
}

impl<'a> ChosenPolicy<'a> {
    /// The policy, if it matches the topic.
    fn of(policy: &'a Policy, origin: PolicyOrigin, topic: &str) -> Option<Self> {
        let matching = policy.patterns.iter().filter(|pattern| pattern.matches(topic));
        let pattern = matching.max_by_key(|pattern| pattern.closeness())?;
        Some(Self { policy, origin, pattern })
    }
}

impl Policies {
    /// Those of the file, and those that were given while the broker ran.
    #[must_use]
    pub fn new(file: Arc<[Policy]>, runtime: Vec<Policy>) -> Self {
        let runtime = runtime.into_iter().map(|policy| (policy.name().to_owned(), policy));
        Self { file, runtime: Arc::new(runtime.collect()) }
    }

    /// No policies.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Arc::new([]), Vec::new())
    }

    /// Every policy that is in force, by name.
    #[must_use]
    pub fn in_force(&self) -> Vec<(&Policy, PolicyOrigin)> {
        let of_file = self.file.iter().filter(|policy| !self.runtime.contains_key(policy.name()));
        let of_file = of_file.map(|policy| (policy, PolicyOrigin::File));
        let given = self.runtime.values().map(|policy| (policy, PolicyOrigin::Runtime));
        let mut all: Vec<_> = of_file.chain(given).collect();
        all.sort_by_key(|(policy, _)| policy.name());
        all
    }

    /// The policy of that name that is in force.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Policy> {
        let of_file = || self.file.iter().find(|policy| policy.name() == name);
        self.runtime.get(name).or_else(of_file)
    }

    /// Whether the file has a policy of that name.
    #[must_use]
    pub fn file_has(&self, name: &str) -> bool {
        self.file.iter().any(|policy| policy.name() == name)
    }

    /// Whether a policy of that name was given while the broker ran.
    #[must_use]
    pub fn was_given(&self, name: &str) -> bool {
        self.runtime.contains_key(name)
    }

    /// The same with `policy` given, in the place of one of its name.
    ///
    /// # Errors
    /// When there would be too many.
    pub fn with(&self, policy: Policy) -> Result<Self, ConfigError> {
        let mut runtime = BTreeMap::clone(&self.runtime);
        runtime.insert(policy.name().to_owned(), policy);
        ConfigError::check(too_many(runtime.len()).into_iter().collect())?;
        Ok(Self { file: self.file.clone(), runtime: Arc::new(runtime) })
    }

    /// The same without the one of that name that was given while the broker ran.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut runtime = BTreeMap::clone(&self.runtime);
        runtime.remove(name);
        Self { file: self.file.clone(), runtime: Arc::new(runtime) }
    }

    /// The policy that a topic of that name has.
    #[must_use]
    pub fn of_topic(&self, topic: &str) -> Option<ChosenPolicy<'_>> {
        self.matching(topic).into_iter().next()
    }

    /// All policies that match a topic of that name; the first one is the one that it has. It has the
    /// highest priority; of those, the closest pattern: a name without wildcards before one with them,
    /// then the one with more characters that are none; of those, the first name in the alphabet.
    /// Topics that brokers keep for themselves have no policy.
    #[must_use]
    pub fn matching(&self, topic: &str) -> Vec<ChosenPolicy<'_>> {
        if topic.starts_with("__") {
            return Vec::new();
        }
        let all = self.in_force().into_iter();
        let mut matching: Vec<_> =
            all.filter_map(|(policy, origin)| ChosenPolicy::of(policy, origin, topic)).collect();
        // Stable: what is alike stays in the order of names.
        matching.sort_by_key(|chosen| {
            (Reverse(chosen.policy.text.priority), Reverse(chosen.pattern.closeness()))
        });
        matching
    }
}

/// What is said of so many policies, if they are too many.
pub(super) fn too_many(count: usize) -> Option<Problem> {
    let said = format!("{count} policies, more than the most of {POLICIES_MAX}");
    (count > POLICIES_MAX).then_some(Problem::Conflict(said))
}

#[cfg(test)]
mod tests {
    use super::super::PolicyText;
    use super::*;

    fn policy(name: &str, topics: &[&str], priority: i32) -> Policy {
        let text = PolicyText {
            name: name.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            priority,
            settings: [("retention.ms".to_owned(), "1000".to_owned())].into(),
        };
        Policy::check(text).expect("right")
    }

    fn names(policies: &Policies, topic: &str) -> Vec<String> {
        policies.matching(topic).iter().map(|chosen| chosen.policy.name().to_owned()).collect()
    }

    #[test]
    fn priority_counts_before_closeness_and_closeness_before_the_name() {
        let file = vec![
            policy("everything", &["*"], 0),
            policy("b-orders", &["orders-*"], 0),
            policy("a-orders", &["x", "orders-*"], 0),
            policy("eu", &["orders-eu-*"], 0),
            policy("one", &["orders-eu-1"], 0),
            policy("first", &["*"], 1),
            policy("last", &["orders-eu-1"], -1),
        ];
        let policies = Policies::new(file.into(), Vec::new());
        let expected = ["first", "one", "eu", "a-orders", "b-orders", "everything", "last"];
        assert_eq!(names(&policies, "orders-eu-1"), expected);
        assert_eq!(names(&policies, "orders-us"), ["first", "a-orders", "b-orders", "everything"]);
        assert_eq!(names(&policies, "other"), ["first", "everything"]);
        let chosen = policies.of_topic("orders-us").expect("a policy");
        assert_eq!(chosen.pattern.to_string(), "*");
    }

    #[test]
    fn what_is_given_while_the_broker_runs_hides_the_files_until_it_is_deleted() {
        let file: Arc<[Policy]> = vec![policy("p", &["a"], 0), policy("q", &["*"], 0)].into();
        let policies = Policies::new(file, Vec::new());
        let given = policies.with(policy("p", &["b"], 0)).expect("few");
        assert_eq!(
            (names(&given, "a"), names(&given, "b")),
            (vec!["q".into()], vec!["p".to_owned(), "q".to_owned()])
        );
        assert!(given.was_given("p") && given.file_has("p"));
        assert_eq!(names(&given.without("p"), "a"), ["p", "q"], "the file's is back");
    }

    #[test]
    fn topics_that_brokers_keep_for_themselves_have_no_policy() {
        let policies = Policies::new(vec![policy("p", &["*"], 0)].into(), Vec::new());
        assert_eq!(policies.of_topic("__consumer_offsets"), None);
    }

    #[test]
    fn there_is_a_bound_to_their_number() {
        let mut policies = Policies::none();
        for number in 0..POLICIES_MAX {
            policies = policies.with(policy(&format!("p{number}"), &["a"], 0)).expect("few");
        }
        assert!(policies.with(policy("p0", &["b"], 0)).is_ok(), "one in the place of another");
        assert!(policies.with(policy("more", &["a"], 0)).is_err());
    }
}

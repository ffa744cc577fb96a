//! A topic's effective settings: what was given for it, over what its policy says, over what the broker
//! says.

use std::collections::BTreeMap;
use std::time::Duration;

use icecore_tiering::CacheClass;

use super::broker::BrokerConfig;
use super::error::{ConfigError, Problem};
use super::policy::{Policies, Policy};
use super::setting::Setting;
use super::topic_settings::{INTERNAL_SEGMENT_BYTES, TOPIC_SETTINGS};
use super::value::{Value, nearest, read};

/// Whose clock stamps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampSource {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// What happens to a topic's producers and local segments when the disk runs full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFullPolicy {
    /// Producers are refused.
    Block,
    /// The oldest local segments that are uploaded go; producers are refused when there are none.
    DropUploadedFirst,
}

/// A topic's settings, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    values: BTreeMap<&'static str, Value>,
    compacted: bool,
    deletes: bool,
    remote_storage: bool,
}

/// The setting of that name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    if name == INTERNAL_SEGMENT_BYTES.name {
        return Some(&INTERNAL_SEGMENT_BYTES);
    }
    TOPIC_SETTINGS.iter().find(|setting| setting.name == name)
}

/// The value of a topic's setting as brokers tell it, without units; `None` for what is no setting
/// or no value of it.
#[must_use]
pub fn plain_topic_value(name: &str, text: &str) -> Option<String> {
    read(find(name)?, text).ok().map(|value| value.text())
}

impl TopicConfig {
    /// Checks `overrides` one by one and together, and fills in what the topic's policy and the broker
    /// say.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(
        broker: &BrokerConfig,
        policies: &Policies,
        topic: &str,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let policy = policies.of_topic(topic).map(|chosen| chosen.policy);
        Self::layered(broker, policy, topic, overrides).map_err(|error| match policy {
            // Values that do not go together: one of them may be the policy's.
            Some(policy) if error.is_conflict() => error.and(beside(policy)),
            _ => error,
        })
    }

    /// Checks that the settings of a policy fit together, and fit the broker's, for a topic without
    /// settings of its own.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check_policy(broker: &BrokerConfig, policy: &Policy) -> Result<(), ConfigError> {
        let checked = Self::layered(broker, Some(policy), "", &BTreeMap::new());
        checked.map(drop).map_err(|error| error.of_policy(policy.name()))
    }

    fn layered(
        broker: &BrokerConfig,
        policy: Option<&Policy>,
        topic: &str,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut values = BTreeMap::new();
        let of_policy = policy.map(Policy::settings);
        for setting in TOPIC_SETTINGS {
            let given = of_policy.and_then(|given| given.get(setting.name)).cloned();
            let text = given.unwrap_or_else(|| broker.topic_default(setting).0);
            // A policy's and a broker's value have been checked; a default fits its own bounds.
            values.insert(setting.name, read(setting, &text).unwrap_or(Value::Text(text)));
        }
        for (name, text) in overrides {
            match find(name).map(|setting| (setting.name, read(setting, text))) {
                Some((name, Ok(value))) => drop(values.insert(name, value)),
                Some((_, Err(problem))) => problems.push(problem),
                None => {
                    let nearest = nearest(name, TOPIC_SETTINGS.iter().map(|setting| setting.name));
                    problems.push(Problem::Unknown { name: name.clone(), nearest });
                }
            }
        }
        ConfigError::check(problems)?;
        let policy = values["cleanup.policy"].text();
        let has = |wanted: &str| policy.split(',').any(|word| word.trim() == wanted);
        let mut config = Self {
            compacted: has("compact"),
            deletes: has("delete"),
            remote_storage: false,
            values,
        };
        let wanted = matches!(config.values["remote.storage.enable"], Value::Boolean(true));
        let asked = wanted && overrides.contains_key("remote.storage.enable");
        let possible = broker.remote_storage_system_enable() && !config.compacted;
        config.check_tiering(broker, asked)?;
        config.remote_storage = wanted && possible && !topic.starts_with("__");
        Ok(config)
    }

    /// Kafka's rules for settings of the two tiers (KIP-405, KIP-950).
    fn check_tiering(&self, broker: &BrokerConfig, asked: bool) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut conflict = |text: String| problems.push(Problem::Conflict(text));
        if asked && !broker.remote_storage_system_enable() {
            conflict(
                "tiered storage is disabled in this broker: set remote.log.storage.system.enable=true \
                 before remote.storage.enable=true"
                    .into(),
            );
        }
        if asked && self.compacted {
            conflict(
                "a compacted topic stays local: leave out remote.storage.enable=true, or set \
                 cleanup.policy=delete"
                    .into(),
            );
        }
        for unit in ["ms", "bytes"] {
            let (local_name, total_name) =
                (format!("local.retention.{unit}"), format!("retention.{unit}"));
            let (local, total) = (self.number(&local_name), self.number(&total_name));
            if local == -2 {
                continue;
            }
            if total != -1 && (local == -1 || local > total) {
                conflict(format!(
                    "{local_name} is {local}, more than {total_name} {total}: lower it, or -2 to \
                     follow {total_name}"
                ));
            }
            if self.flag("remote.log.copy.disable") && local != total {
                conflict(format!(
                    "with remote.log.copy.disable=true {local_name} must be -2 or the same as \
                     {total_name} ({total}), it is {local}"
                ));
            }
        }
        ConfigError::check(problems)
    }

    /// Checks that a topic may change from `old` to these settings.
    ///
    /// # Errors
    /// When the topic would leave the remote tier without permission to delete what lies there.
    pub fn check_change_from(&self, old: &Self) -> Result<(), ConfigError> {
        if old.remote_storage && !self.remote_storage && !self.remote_delete_on_disable() {
            let text = "turning remote.storage.enable off deletes what lies in the remote tier: set \
                        remote.log.delete.on.disable=true with it, or keep it readable with \
                        remote.log.copy.disable=true";
            return Err(Problem::Conflict(text.into()).into());
        }
        Ok(())
    }

    fn number(&self, name: &str) -> i64 {
        self.values.get(name).map_or(0, Value::number)
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Boolean(true)))
    }

    fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(0)
    }

    /// `None` for -1.
    fn bound(&self, name: &str) -> Option<i64> {
        Some(self.number(name)).filter(|bound| *bound >= 0)
    }

    /// Bytes of a segment, at least 1.
    #[must_use]
    pub fn segment_bytes(&self) -> usize {
        let internal = self.size(INTERNAL_SEGMENT_BYTES.name);
        if internal > 0 { internal } else { self.size("segment.bytes") }
    }

    /// Milliseconds that a segment may span.
    #[must_use]
    pub fn segment_ms(&self) -> i64 {
        self.number("segment.ms")
    }

    /// The bound of an index file.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.size("segment.index.bytes")
    }

    /// Bytes between two index entries.
    #[must_use]
    pub fn index_interval_bytes(&self) -> usize {
        self.size("index.interval.bytes")
    }

    /// Milliseconds that records are kept over both tiers; `None` for ever.
    #[must_use]
    pub fn retention_ms(&self) -> Option<i64> {
        self.bound("retention.ms").filter(|_| self.deletes)
    }

    /// Bytes that are kept over both tiers; `None` without bound.
    #[must_use]
    pub fn retention_bytes(&self) -> Option<u64> {
        self.bound("retention.bytes").filter(|_| self.deletes).map(i64::unsigned_abs)
    }

    /// Milliseconds that uploaded records stay local; `None` for ever.
    #[must_use]
    pub fn local_retention_ms(&self) -> Option<i64> {
        match self.number("local.retention.ms") {
            -2 => self.bound("retention.ms"),
            _ => self.bound("local.retention.ms"),
        }
    }

    /// Bytes of uploaded records that stay local; `None` without bound.
    #[must_use]
    pub fn local_retention_bytes(&self) -> Option<u64> {
        let bound = match self.number("local.retention.bytes") {
            -2 => self.bound("retention.bytes"),
            _ => self.bound("local.retention.bytes"),
        };
        bound.map(i64::unsigned_abs)
    }

    /// Most bytes of a batch.
    #[must_use]
    pub fn max_message_bytes(&self) -> usize {
        self.size("max.message.bytes")
    }

    /// Whose clock stamps records.
    #[must_use]
    pub fn timestamp_source(&self) -> TimestampSource {
        match self.values.get("message.timestamp.type") {
            Some(Value::Text(text)) if text == "LogAppendTime" => TimestampSource::LogAppendTime,
            _ => TimestampSource::CreateTime,
        }
    }

    /// The earliest and the latest timestamp that are taken at `now_ms`.
    #[must_use]
    pub fn timestamp_bounds(&self, now_ms: i64) -> (i64, i64) {
        if self.timestamp_source() == TimestampSource::LogAppendTime {
            return (i64::MIN, i64::MAX);
        }
        (
            now_ms.saturating_sub(self.number("message.timestamp.before.max.ms")),
            now_ms.saturating_add(self.number("message.timestamp.after.max.ms")),
        )
    }

    /// Records after which a write is synced.
    #[must_use]
    pub fn flush_messages(&self) -> i64 {
        self.number("flush.messages")
    }

    /// A write is synced at most so long after it was made; absent without bound.
    #[must_use]
    pub fn flush_interval(&self) -> Option<Duration> {
        let ms = self.number("flush.ms");
        (ms < i64::MAX).then(|| Duration::from_millis(ms.unsigned_abs()))
    }

    /// In-sync replicas that there must be before `acks=all` takes a record.
    #[must_use]
    pub fn min_insync_replicas(&self) -> usize {
        usize::try_from(self.number("min.insync.replicas")).unwrap_or(usize::MAX)
    }

    /// Whether every record needs a key.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        self.compacted
    }

    /// Whether retention and DeleteRecords apply.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.deletes
    }

    /// Whether the topic tiers: asked for or by default, and possible.
    #[must_use]
    pub fn remote_storage_enable(&self) -> bool {
        self.remote_storage
    }

    /// Whether nothing more is uploaded.
    #[must_use]
    pub fn remote_copy_disable(&self) -> bool {
        self.flag("remote.log.copy.disable")
    }

    /// Whether what lies in the remote tier may be deleted when the topic leaves it.
    #[must_use]
    pub fn remote_delete_on_disable(&self) -> bool {
        self.flag("remote.log.delete.on.disable")
    }

    /// What happens when the disk runs full. A topic that does not tier has nothing that may go.
    #[must_use]
    pub fn disk_full_policy(&self) -> DiskFullPolicy {
        match self.values.get("tiering.disk.full.policy") {
            Some(Value::Text(text)) if self.remote_storage && text == "drop-uploaded-first" => {
                DiskFullPolicy::DropUploadedFirst
            }
            _ => DiskFullPolicy::Block,
        }
    }

    /// What the read cache does with the topic's chunks.
    #[must_use]
    pub fn cache_class(&self) -> CacheClass {
        match self.values.get("tiering.cache.class") {
            Some(Value::Text(text)) => CacheClass::named(text).unwrap_or_default(),
            _ => CacheClass::default(),
        }
    }

    /// Bytes a second that the topic's partitions here upload together; `None` without a bound.
    #[must_use]
    pub fn copy_max_bytes_per_second(&self) -> Option<u64> {
        self.bound("tiering.copy.max.bytes.per.second").map(i64::unsigned_abs)
    }

    /// Bytes a second that all readers of the topic's remote tier are handed here together; `None`
    /// without a bound.
    #[must_use]
    pub fn fetch_max_bytes_per_second(&self) -> Option<u64> {
        self.bound("tiering.fetch.max.bytes.per.second").map(i64::unsigned_abs)
    }

    /// How old the first record of an active segment may get before it is rolled for upload.
    #[must_use]
    pub fn max_upload_lag(&self) -> Option<Duration> {
        let bound = self.bound("tiering.max.upload.lag.ms")?;
        Some(Duration::from_millis(bound.unsigned_abs()))
    }
}

/// What is told beside a problem of a topic that has a policy.
fn beside(policy: &Policy) -> Problem {
    let given: Vec<_> =
        policy.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let given = given.join(", ");
    Problem::Conflict(format!("policy {} gives the topic {given}", policy.name()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn topic(
        broker: &[(&str, &str)],
        overrides: &[(&str, &str)],
    ) -> Result<TopicConfig, ConfigError> {
        let broker = BrokerConfig::in_dir(Path::new("/d"), broker).expect("broker");
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let overrides = overrides.iter().map(owned).collect();
        TopicConfig::new(&broker, &broker.policies(), "t", &overrides)
    }

    #[test]
    fn a_topic_takes_what_the_broker_says_and_its_own_words_win() {
        let config = topic(
            &[("log.retention.hours", "2"), ("log.segment.bytes", "2MiB")],
            &[("segment.bytes", "3MiB"), ("local.retention.bytes", "1GiB")],
        );
        let config = config.expect("config");
        assert_eq!((config.segment_bytes(), config.retention_ms()), (3 << 20, Some(7_200_000)));
        assert_eq!(config.local_retention_ms(), Some(7_200_000), "-2 follows retention.ms");
        assert_eq!(config.local_retention_bytes(), Some(1 << 30));
        assert!(config.remote_storage_enable(), "topics tier by default");
    }

    #[test]
    fn each_of_kafkas_rules_for_the_two_tiers_is_kept() {
        for (broker, overrides, expected) in [
            (
                &[][..],
                &[("cleanup.policy", "compact"), ("remote.storage.enable", "true")][..],
                "stays local",
            ),
            (
                &[("remote.log.storage.system.enable", "false")],
                &[("remote.storage.enable", "true")],
                "disabled in this broker",
            ),
            (
                &[],
                &[("retention.ms", "1000"), ("local.retention.ms", "1001")],
                "local.retention.ms is 1001",
            ),
            (
                &[],
                &[("retention.bytes", "1000"), ("local.retention.bytes", "-1")],
                "local.retention.bytes is -1",
            ),
            (
                &[],
                &[("remote.log.copy.disable", "true"), ("local.retention.ms", "1000")],
                "must be -2 or the same",
            ),
            (&[], &[("segment.bytes", "1000")], "at least 1048576"),
            (&[], &[("tiering.cache.class", "Keep")], "one of normal, keep, pass"),
            (&[], &[("cleanup.policy", "shred")], "one of delete, compact"),
            (&[], &[("segment.byte", "1000")], "did you mean segment.bytes?"),
            (
                &[],
                &[("tiering.copy.max.bytes.per.second", "0")],
                "invalid value 0 for tiering.copy.max.bytes.per.second: at least 1, or -1 for none",
            ),
            (&[], &[("tiering.fetch.max.bytes.per.second", "-2")], "at least 1, or -1 for none"),
            (&[], &[("tiering.fetch.max.bytes.per.second", "fast")], "a number, or one with KiB"),
        ] {
            let error = topic(broker, overrides).expect_err("refused").to_string();
            assert!(error.contains(expected), "{overrides:?}: {error}");
        }
    }

    #[test]
    fn each_class_of_the_read_cache_has_its_word() {
        let of = |word| topic(&[], &[("tiering.cache.class", word)]).expect(word).cache_class();
        for class in CacheClass::ALL {
            assert_eq!(of(class.name()), class);
        }
        assert_eq!(topic(&[], &[]).expect("default").cache_class(), CacheClass::Normal);
    }

    #[test]
    fn a_topic_has_no_rates_of_its_own_unless_it_is_given_some() {
        let rates = |config: TopicConfig| {
            (config.copy_max_bytes_per_second(), config.fetch_max_bytes_per_second())
        };
        assert_eq!(rates(topic(&[], &[]).expect("config")), (None, None));
        let given = [
            ("tiering.copy.max.bytes.per.second", "2MiB"),
            ("tiering.fetch.max.bytes.per.second", "1"),
        ];
        assert_eq!(rates(topic(&[], &given).expect("config")), (Some(2 << 20), Some(1)));
    }

    #[test]
    fn leaving_the_remote_tier_needs_permission_to_delete() {
        let tiered = topic(&[], &[]).expect("tiered");
        let leaves = topic(&[], &[("remote.storage.enable", "false")]).expect("leaves");
        assert!(leaves.check_change_from(&tiered).is_err());
        let permits =
            [("remote.storage.enable", "false"), ("remote.log.delete.on.disable", "true")];
        assert!(topic(&[], &permits).expect("permits").check_change_from(&tiered).is_ok());
        assert!(tiered.check_change_from(&leaves).is_ok());
    }

    #[test]
    fn compacted_topics_stay_local_when_nobody_asked_otherwise() {
        let config = topic(&[], &[("cleanup.policy", "compact")]).expect("config");
        assert!(!config.remote_storage_enable() && config.retention_ms().is_none());
        let both = topic(&[], &[("cleanup.policy", "compact,delete")]).expect("config");
        assert!(both.is_compacted() && both.deletes() && !both.remote_storage_enable());
    }
}

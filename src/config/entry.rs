//! Settings as DescribeConfigs shows them.

use std::collections::BTreeMap;

use super::broker::BrokerConfig;
use super::listeners::{Address, Listener};
use super::own_settings::BROKER_SETTINGS;
use super::policy::{Policies, PolicyOrigin};
use super::runtime::BrokerOverrides;
use super::setting::{Bounds, ConfigSource, Kind, Setting};
use super::topic_settings::TOPIC_SETTINGS;
use super::value::read;

/// Another place that a value could have come from, the winner first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The setting there.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Which place.
    pub source: ConfigSource,
}

/// One setting with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in force; `None` when it is not set.
    pub value: Option<String>,
    /// Where it came from.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
    /// Every place that has a word, by precedence.
    pub synonyms: Vec<Synonym>,
    /// Its type.
    pub kind: Kind,
    /// What it does.
    pub documentation: &'static str,
}

impl ConfigEntry {
    /// The protocol's number for the source.
    #[must_use]
    pub const fn source_number(&self) -> i8 {
        self.source.number()
    }
}

/// All settings of a topic.
#[must_use]
pub fn describe_topic(
    broker: &BrokerConfig,
    policies: &Policies,
    topic: &str,
    overrides: &BTreeMap<String, String>,
) -> Vec<ConfigEntry> {
    let policy = policies.of_topic(topic).map(|chosen| {
        let source = match chosen.origin {
            PolicyOrigin::File => ConfigSource::FilePolicy,
            PolicyOrigin::Runtime => ConfigSource::RuntimePolicy,
        };
        (chosen.policy.settings(), source)
    });
    TOPIC_SETTINGS.iter().map(|setting| of_topic(broker, policy, overrides, setting)).collect()
}

fn of_topic(
    broker: &BrokerConfig,
    policy: Option<(&BTreeMap<String, String>, ConfigSource)>,
    overrides: &BTreeMap<String, String>,
    setting: &'static Setting,
) -> ConfigEntry {
    let plain =
        |text: &String| read(setting, text).map_or_else(|_| text.clone(), |value| value.text());
    let (inherited, inherited_from) = broker.topic_default(setting);
    let mut synonyms = Vec::new();
    if let Some(value) = overrides.get(setting.name).map(plain) {
        synonyms.push(Synonym { name: setting.name, value, source: ConfigSource::Topic });
    }
    if let Some((given, source)) = policy
        && let Some(value) = given.get(setting.name).cloned()
    {
        synonyms.push(Synonym { name: setting.name, value, source });
    }
    let name = setting.synonym.unwrap_or(setting.name);
    synonyms.push(Synonym { name, value: inherited, source: inherited_from });
    if inherited_from != ConfigSource::Default && !setting.default.is_empty() {
        let value = setting.default.to_owned();
        synonyms.push(Synonym { name, value, source: ConfigSource::Default });
    }
    entry(setting, synonyms, false)
}

/// The places that Kafka keeps as settings, and icecore takes as flags: shown to the tools that look
/// for them, and set by no one under these names.
static ADVERTISED: Setting = place("advertised.listeners", "The addresses that clients are told.");
static LISTENERS: Setting = place("listeners", "The Kafka listeners.");
static LOG_DIRS: Setting = place("log.dirs", "The folder of the local segments.");

const fn place(name: &'static str, doc: &'static str) -> Setting {
    Setting::new(name, Kind::List, "", Bounds::Any, doc)
}

fn places(broker: &BrokerConfig) -> [ConfigEntry; 3] {
    let list = |address: fn(&Listener) -> &Address| {
        let written = |one: &Listener| format!("{}://{}", one.name(), address(one));
        broker.listeners().iter().map(written).collect::<Vec<_>>().join(",")
    };
    [
        (&ADVERTISED, list(|one| one.advertised().unwrap_or(one.address()))),
        (&LISTENERS, list(Listener::address)),
        (&LOG_DIRS, broker.log_dir().display().to_string()),
    ]
    .map(|(setting, value)| {
        let source = ConfigSource::StaticBroker;
        entry(setting, vec![Synonym { name: setting.name, value, source }], true)
    })
}

/// All settings of the broker, by name.
#[must_use]
pub fn describe_broker(broker: &BrokerConfig, overrides: &BrokerOverrides) -> Vec<ConfigEntry> {
    let of_broker = |setting: &'static Setting| {
        let mut synonyms = at_runtime(setting, overrides);
        let (value, source) = broker.get(setting.name).unwrap_or_default_of(setting);
        synonyms.push(Synonym { name: setting.name, value, source });
        if source != ConfigSource::Default {
            let (value, source) = (setting.default.to_owned(), ConfigSource::Default);
            synonyms.push(Synonym { name: setting.name, value, source });
        }
        entry(setting, synonyms, !setting.changes_at_runtime)
    };
    let mut entries: Vec<_> = BROKER_SETTINGS.iter().map(of_broker).collect();
    entries.extend(places(broker));
    entries.sort_unstable_by_key(|entry| entry.name);
    entries
}

/// What was given for all brokers while they ran, by name.
#[must_use]
pub fn describe_all_brokers(overrides: &BrokerOverrides) -> Vec<ConfigEntry> {
    let all = BrokerOverrides { own: BTreeMap::new(), all: overrides.all.clone() };
    let given = BROKER_SETTINGS.iter().filter(|setting| all.all.contains_key(setting.name));
    let mut entries: Vec<_> =
        given.map(|setting| entry(setting, at_runtime(setting, &all), false)).collect();
    entries.sort_unstable_by_key(|entry| entry.name);
    entries
}

/// What was given while the broker ran, the winner first.
fn at_runtime(setting: &Setting, overrides: &BrokerOverrides) -> Vec<Synonym> {
    let given = [
        (&overrides.own, ConfigSource::RuntimeBroker),
        (&overrides.all, ConfigSource::RuntimeAllBrokers),
    ];
    let plain = |text: &String| read(setting, text).ok().map(|value| value.text());
    let synonyms = given.into_iter().filter_map(|(given, source)| {
        let value = given.get(setting.name).and_then(plain)?;
        Some(Synonym { name: setting.name, value, source })
    });
    synonyms.collect()
}

trait OrDefault {
    fn unwrap_or_default_of(self, setting: &Setting) -> (String, ConfigSource);
}

impl OrDefault for Option<(String, ConfigSource)> {
    fn unwrap_or_default_of(self, setting: &Setting) -> (String, ConfigSource) {
        self.unwrap_or_else(|| (setting.default.to_owned(), ConfigSource::Default))
    }
}

fn entry(setting: &'static Setting, mut synonyms: Vec<Synonym>, read_only: bool) -> ConfigEntry {
    synonyms.retain(|synonym| !synonym.value.is_empty() || synonym.source != ConfigSource::Default);
    let first = synonyms.first();
    let source = first.map_or(ConfigSource::Default, |first| first.source);
    let value = first.map(|first| first.value.clone());
    let text = matches!(setting.kind, Kind::List);
    // An empty list is a value, an empty text is none.
    let value = if text { Some(value.unwrap_or_default()) } else { value };
    let (name, kind, documentation) = (setting.name, setting.kind, setting.doc);
    ConfigEntry { name, value, source, read_only, synonyms, kind, documentation }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_broker_shows_its_places_under_the_names_that_kafka_has_for_them() {
        let config = BrokerConfig::in_dir(Path::new("/d"), &[]).expect("config");
        let entries = describe_broker(&config, &BrokerOverrides::default());
        let shown = |name| {
            let entry = entries.iter().find(|entry| entry.name == name).expect(name);
            assert!(entry.read_only && entry.source == ConfigSource::StaticBroker, "{name}");
            entry.value.as_deref().expect(name)
        };
        assert_eq!(shown("listeners"), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(shown("advertised.listeners"), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(shown("log.dirs"), "/d/log");
        assert!(entries.is_sorted_by_key(|entry| entry.name));
    }
}

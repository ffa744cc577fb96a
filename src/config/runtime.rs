//! Settings of the broker that are given while it runs: for all brokers, and for this one, which
//! wins. Both win over what the start was given.

use std::collections::BTreeMap;

use super::broker::BrokerConfig;
use super::error::{ConfigError, Problem};
use super::own_settings::BROKER_SETTINGS;
use super::value::{nearest, read};

/// What was given while the broker ran, as text by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct BrokerOverrides {
    /// For all brokers.
    pub all: BTreeMap<String, String>,
    /// For this broker.
    pub own: BTreeMap<String, String>,
}

/// For whom a setting is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerScope {
    /// All brokers.
    All,
    /// This one.
    Own,
}

impl BrokerOverrides {
    /// What was given for these.
    #[must_use]
    pub fn of(&self, scope: BrokerScope) -> &BTreeMap<String, String> {
        match scope {
            BrokerScope::All => &self.all,
            BrokerScope::Own => &self.own,
        }
    }

    /// The same with `given` for these.
    #[must_use]
    pub fn with(&self, scope: BrokerScope, given: BTreeMap<String, String>) -> Self {
        match scope {
            BrokerScope::All => Self { all: given, own: self.own.clone() },
            BrokerScope::Own => Self { all: self.all.clone(), own: given },
        }
    }
}

/// The settings in force of those that can change while the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// Bytes a second of all uploads together; `None` without a bound.
    pub copy_max_bytes_per_second: Option<u64>,
    /// Bytes a second of all downloads for readers together; `None` without a bound.
    pub fetch_max_bytes_per_second: Option<u64>,
    /// By how many percent replays may slow others down; `None` when nobody looks.
    pub replay_slowdown_max_percent: Option<u32>,
}

impl RuntimeSettings {
    /// Puts what was given over what the start was given.
    ///
    /// # Errors
    /// Names that are no settings, settings that do not change while the broker runs, and values
    /// that do not fit, all of them at once.
    pub fn new(config: &BrokerConfig, overrides: &BrokerOverrides) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut numbers = BTreeMap::new();
        for (name, text) in overrides.all.iter().chain(&overrides.own) {
            match number(name, text) {
                Ok(number) => drop(numbers.insert(name.as_str(), number)),
                Err(problem) => problems.push(problem),
            }
        }
        ConfigError::check(problems)?;
        let in_force = |name| numbers.get(name).copied().unwrap_or_else(|| config.number(name));
        // Kafka's largest number says that there is no bound.
        let rate = |name| Some(in_force(name)).filter(|rate| *rate < i64::MAX);
        let rate = |name| rate(name).map(i64::unsigned_abs);
        let percent = u32::try_from(in_force("tiering.replay.slowdown.max.percent"));
        Ok(Self {
            copy_max_bytes_per_second: rate("remote.log.manager.copy.max.bytes.per.second"),
            fetch_max_bytes_per_second: rate("remote.log.manager.fetch.max.bytes.per.second"),
            replay_slowdown_max_percent: percent.ok(),
        })
    }
}

/// The value of a setting that can change while the broker runs: all of them are numbers.
fn number(name: &str, text: &str) -> Result<i64, Problem> {
    let Some(setting) = BROKER_SETTINGS.iter().find(|setting| setting.name == name) else {
        let names = BROKER_SETTINGS.iter().filter(|setting| setting.changes_at_runtime);
        let nearest = nearest(name, names.map(|setting| setting.name));
        return Err(Problem::Unknown { name: name.to_owned(), nearest });
    };
    if !setting.changes_at_runtime {
        let text = format!(
            "{name} is read at the start: change it in icecore.toml, by --set or in the environment"
        );
        return Err(Problem::Conflict(text));
    }
    read(setting, text).map(|value| value.number())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const COPY: &str = "remote.log.manager.copy.max.bytes.per.second";
    const FETCH: &str = "remote.log.manager.fetch.max.bytes.per.second";

    fn overrides(scope: BrokerScope, given: &[(&str, &str)]) -> BrokerOverrides {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        BrokerOverrides::default().with(scope, given.iter().map(owned).collect())
    }

    fn config(given: &[(&str, &str)]) -> BrokerConfig {
        BrokerConfig::in_dir(Path::new("/d"), given).expect("a configuration")
    }

    #[test]
    fn what_is_given_for_one_broker_wins_over_all_and_all_over_the_start() {
        let config = config(&[(COPY, "1000"), (FETCH, "1000")]);
        let plain = RuntimeSettings::new(&config, &BrokerOverrides::default()).expect("fits");
        assert_eq!(plain.copy_max_bytes_per_second, Some(1000));
        assert_eq!(plain.replay_slowdown_max_percent, Some(20));
        let all = overrides(BrokerScope::All, &[(COPY, "2000"), (FETCH, "2KiB")]);
        let own =
            all.with(BrokerScope::Own, [(COPY.to_owned(), "9223372036854775807".into())].into());
        let set = RuntimeSettings::new(&config, &own).expect("fits");
        assert_eq!(set.copy_max_bytes_per_second, None, "the largest number is no bound");
        assert_eq!(set.fetch_max_bytes_per_second, Some(2048));
        let off = overrides(BrokerScope::Own, &[("tiering.replay.slowdown.max.percent", "-1")]);
        let off = RuntimeSettings::new(&config, &off).expect("fits");
        assert_eq!(off.replay_slowdown_max_percent, None);
    }

    #[test]
    fn what_cannot_change_or_does_not_fit_is_refused_with_what_to_do() {
        for (given, said) in [
            (("num.partitions", "3"), "num.partitions is read at the start"),
            ((COPY, "0"), "at least 1"),
            (("remote.log.manager.copy.max.bytes", "1"), "unknown setting"),
            (("tiering.replay.slowdown.max.percentage", "1"), "did you mean"),
        ] {
            let given = overrides(BrokerScope::All, &[given]);
            let error = RuntimeSettings::new(&config(&[]), &given).expect_err("refused");
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}

//! What the value of a setting says to people, where the value alone does not.
//!
//! Invariant: it is told beside the value and never in its place, so that what is read off a table can be
//! given back.

use super::own_settings::BROKER_SETTINGS;
use super::topic_settings::TOPIC_SETTINGS;
use super::value::{about, with_unit};

/// What the value of the setting of that name says to people: what it stands for (`as retention.ms` for `-2`
/// of `local.retention.ms`), else the same with a unit (`7d`, `16MiB`), else, of bytes and bytes a second
/// that no unit leaves whole, about how many (`about 1.00 MiB`). `None` where the value says it all.
#[must_use]
pub fn meaning(name: &str, value: &str) -> Option<String> {
    let stands_for = stands_for(name, value).map(str::to_owned);
    stands_for.or_else(|| with_unit(name, value)).or_else(|| about(name, value))
}

/// A setting that topics and brokers have under one name is the topics'.
fn stands_for(name: &str, value: &str) -> Option<&'static str> {
    let number: i64 = value.parse().ok()?;
    let mut all = TOPIC_SETTINGS.iter().chain(BROKER_SETTINGS);
    let setting = all.find(|setting| setting.name == name)?;
    let given = setting.meanings.iter().find(|(stands, _)| *stands == number);
    match given {
        Some(&(_, words)) => Some(words),
        // Kafka's way to say so.
        None => (number == i64::MAX).then_some("no limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_stands_for_something_is_told_in_words_as_its_setting_defines_it() {
        for (name, value, expected) in [
            ("local.retention.bytes", "-2", Some("as retention.bytes")),
            ("local.retention.ms", "-2", Some("as retention.ms")),
            ("log.local.retention.ms", "-2", Some("as log.retention.ms")),
            ("local.retention.ms", "-1", Some("for ever")),
            ("retention.bytes", "-1", Some("no limit")),
            ("flush.ms", "9223372036854775807", Some("never")),
            ("max.compaction.lag.ms", "9223372036854775807", Some("no limit")),
            (
                "remote.log.manager.fetch.max.bytes.per.second",
                "9223372036854775807",
                Some("no limit"),
            ),
            ("retention.ms", "604800000", Some("7d")),
            ("tiering.fetch.max.bytes.per.second", "2097152", Some("2MiB")),
            ("tiering.fetch.max.bytes.per.second", "2000000", Some("about 1.91 MiB")),
            ("max.message.bytes", "1048588", Some("about 1.00 MiB")),
            ("segment.bytes", "7", None),
            ("min.insync.replicas", "-2", None),
            ("cleanup.policy", "delete", None),
            ("somebody.elses", "-2", None),
        ] {
            assert_eq!(meaning(name, value).as_deref(), expected, "{value} of {name}");
        }
    }

    #[test]
    fn a_default_below_zero_or_without_a_bound_never_stands_alone() {
        // What has no effect says so itself.
        for setting in TOPIC_SETTINGS.iter().chain(BROKER_SETTINGS) {
            let odd = ["-1", "-2", "2147483647", "9223372036854775807"].contains(&setting.default);
            let told = meaning(setting.name, setting.default).is_some();
            assert!(!odd || told || setting.doc.starts_with("Accepted"), "{}", setting.name);
        }
    }
}

//! From text to value: Kafka's plain numbers, and sizes and durations as people write them.

use super::error::Problem;
use super::setting::{Bounds, Kind, Setting};

/// A value that fits its setting.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Boolean(bool),
    Number(i64),
    Fraction(f64),
    Text(String),
}

impl Value {
    /// As Kafka writes it: numbers without units.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Fraction(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }

    pub(super) fn number(&self) -> i64 {
        if let Self::Number(value) = self { *value } else { 0 }
    }
}

/// Reads a value and checks its bounds.
pub(super) fn read(setting: &Setting, text: &str) -> Result<Value, Problem> {
    let text = text.trim();
    let wrong = |expected: String| Problem::Value {
        name: setting.name.to_owned(),
        value: text.to_owned(),
        expected,
    };
    let value = match setting.kind {
        Kind::Boolean => {
            text.parse().map(Value::Boolean).map_err(|_| wrong("true or false".into()))?
        }
        Kind::Int | Kind::Long => {
            let unit = if setting.name.ends_with(".ms") { Unit::Millis } else { Unit::Bytes };
            let number =
                number(text, unit).ok_or_else(|| wrong(format!("a number{}", unit.hint())))?;
            if setting.kind == Kind::Int && i32::try_from(number).is_err() {
                return Err(wrong("a number of 32 bits".into()));
            }
            Value::Number(number)
        }
        Kind::Double => {
            text.parse().map(Value::Fraction).map_err(|_| wrong("a fraction".into()))?
        }
        Kind::Text | Kind::List => Value::Text(text.to_owned()),
    };
    within(setting, &value).map_err(wrong)?;
    Ok(value)
}

fn within(setting: &Setting, value: &Value) -> Result<(), String> {
    match (setting.bounds, value) {
        (Bounds::AtLeast(least), Value::Number(number)) if *number < least => {
            Err(format!("at least {least}"))
        }
        (Bounds::OffOrAtLeast(least), Value::Number(number))
            if *number != -1 && *number < least =>
        {
            Err(format!("at least {least}, or -1 for none"))
        }
        (Bounds::Between(least, most), Value::Number(number))
            if !(least..=most).contains(number) =>
        {
            Err(format!("from {least} to {most}"))
        }
        (Bounds::Fraction, Value::Fraction(value)) if !(0.0..=1.0).contains(value) => {
            Err("from 0 to 1".into())
        }
        (Bounds::OneOf(names), Value::Text(text)) => {
            let all = if setting.kind == Kind::List { text.as_str() } else { "" };
            let mut parts: Vec<_> =
                all.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
            if setting.kind != Kind::List {
                parts.push(text);
            }
            match parts.iter().find(|part| !names.contains(part)) {
                Some(_) => Err(format!("one of {}", names.join(", "))),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Millis,
}

impl Unit {
    const fn hint(self) -> &'static str {
        match self {
            Self::Bytes => ", or one with KiB, MiB, GiB or TiB",
            Self::Millis => " of milliseconds, or one with ms, s, m, h or d",
        }
    }

    /// From the largest on, without the smallest.
    const fn suffixes(self) -> [&'static str; 4] {
        match self {
            Self::Bytes => ["TiB", "GiB", "MiB", "KiB"],
            Self::Millis => ["d", "h", "m", "s"],
        }
    }

    fn factor(self, suffix: &str) -> Option<i64> {
        Some(match (self, suffix) {
            (_, "") | (Self::Millis, "ms") | (Self::Bytes, "B") => 1,
            (Self::Bytes, "KiB") => 1 << 10,
            (Self::Bytes, "MiB") => 1 << 20,
            (Self::Bytes, "GiB") => 1 << 30,
            (Self::Bytes, "TiB") => 1 << 40,
            (Self::Millis, "s") => 1000,
            (Self::Millis, "m") => 60_000,
            (Self::Millis, "h") => 3_600_000,
            (Self::Millis, "d") => 86_400_000,
            _ => return None,
        })
    }
}

/// A number of bytes as people write it: `16MiB`, `1048576`.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    number(text.trim(), Unit::Bytes).and_then(|bytes| u64::try_from(bytes).ok())
}

/// What the setting of that name counts, by the end of the name; bytes a second count as bytes.
fn unit_of(name: &str) -> Option<Unit> {
    let name = name.strip_suffix(".per.second").unwrap_or(name);
    match name.rsplit('.').next() {
        Some("ms") => Some(Unit::Millis),
        Some("bytes") => Some(Unit::Bytes),
        _ => None,
    }
}

/// The number of a setting of that name with the largest unit that leaves it whole, as people may write it:
/// `7d` for `604800000` of `retention.ms`, `2MiB` for `2097152` of `tiering.fetch.max.bytes.per.second`.
/// `None` for what is no such setting, has no unit (`-1`), or can be written with none but the smallest:
/// of bytes [`about`] tells that.
pub(super) fn with_unit(name: &str, number: &str) -> Option<String> {
    let unit = unit_of(name)?;
    let suffixes = unit.suffixes();
    let number = number.parse::<i64>().ok().filter(|number| *number > 0)?;
    suffixes.into_iter().find_map(|suffix| {
        let factor = unit.factor(suffix)?;
        (number % factor == 0).then(|| format!("{}{suffix}", number / factor))
    })
}

/// About how many bytes the number of a setting of that name is, from 1 KiB on: `about 1.00 MiB`. For what
/// [`with_unit`] leaves; nobody may write it so.
pub(super) fn about(name: &str, number: &str) -> Option<String> {
    let unit = unit_of(name).filter(|unit| *unit == Unit::Bytes)?;
    let number = number.parse::<i64>().ok()?;
    unit.suffixes().into_iter().find_map(|suffix| {
        let factor = unit.factor(suffix).filter(|factor| *factor <= number)?;
        Some(format!("about {:.2} {suffix}", number as f64 / factor as f64))
    })
}

/// `16MiB`, `7d`, `-1`, `1048576`.
fn number(text: &str, unit: Unit) -> Option<i64> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    number.trim().parse::<i64>().ok()?.checked_mul(unit.factor(suffix.trim())?)
}

/// The name among `names` that is spelled most like `name`, if one is near enough.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let bound = (name.len() / 4).max(2);
    let near = names.map(|other| (distance(name, other), other)).min()?;
    (near.0 <= bound).then_some(near.1)
}

/// Letters to insert, delete or replace to come from one text to the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::super::own_settings::BROKER_SETTINGS;
    use super::super::topic_settings::TOPIC_SETTINGS;
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_as_people_write_them() {
        for (text, unit, expected) in [
            ("16MiB", Unit::Bytes, Some(16 << 20)),
            ("16 MiB", Unit::Bytes, Some(16 << 20)),
            ("1048576", Unit::Bytes, Some(1 << 20)),
            ("-1", Unit::Millis, Some(-1)),
            ("7d", Unit::Millis, Some(604_800_000)),
            ("7d", Unit::Bytes, None),
            ("1.5GiB", Unit::Bytes, None),
            ("8388607TiB", Unit::Bytes, Some(8_388_607 << 40)),
            ("99999999TiB", Unit::Bytes, None),
            ("", Unit::Bytes, None),
        ] {
            assert_eq!(number(text, unit), expected, "{text:?}");
        }
    }

    #[test]
    fn a_number_with_its_unit_is_read_as_the_same_number() {
        for (name, text, expected) in [
            ("retention.ms", "604800000", Some("7d")),
            ("retention.ms", "43200000", Some("12h")),
            ("segment.ms", "5400000", Some("90m")),
            ("segment.ms", "1001", None),
            ("retention.ms", "-1", None),
            ("delete.retention.ms", "0", None),
            ("flush.ms", "9223372036854775807", None),
            ("segment.bytes", "1073741824", Some("1GiB")),
            ("segment.bytes", "1610612736", Some("1536MiB")),
            ("max.message.bytes", "1048588", None),
            ("tiering.fetch.max.bytes.per.second", "2097152", Some("2MiB")),
            ("min.insync.replicas", "1024", None),
            ("cleanup.policy", "delete", None),
        ] {
            let written = with_unit(name, text);
            assert_eq!(written.as_deref(), expected, "{text} of {name}");
            let unit = if name.ends_with(".ms") { Unit::Millis } else { Unit::Bytes };
            if let Some(written) = written {
                assert_eq!(number(&written, unit), text.parse().ok(), "{written} is not {text}");
            }
        }
    }

    #[test]
    fn a_setting_without_a_value_is_told_what_it_takes() {
        let all = TOPIC_SETTINGS.iter().chain(BROKER_SETTINGS);
        let wrong = all.filter_map(|setting| read(setting, " ").err().map(|why| why.to_string()));
        let wrong: Vec<_> = wrong.collect();
        for told in [
            "retention.ms is given no value: it takes a number of milliseconds, or one with ms, s, m, h or d",
            "segment.bytes is given no value: it takes a number, or one with KiB, MiB, GiB or TiB",
            "remote.storage.enable is given no value: it takes true or false",
            "tiering.cache.class is given no value: it takes one of normal, keep, pass",
        ] {
            assert!(wrong.iter().any(|why| why == told), "{told}: {wrong:#?}");
        }
        assert!(wrong.iter().all(|why| !why.contains("  ")), "{wrong:#?}");
    }

    #[test]
    fn a_misspelled_name_finds_its_neighbour() {
        let names = ["num.partitions", "log.segment.bytes", "log.retention.ms"];
        let near = |name| nearest(name, names.into_iter());
        assert_eq!(near("num.partition"), Some("num.partitions"));
        assert_eq!(near("log.segments.byte"), Some("log.segment.bytes"));
        assert_eq!(near("something.else.entirely"), None);
    }
}

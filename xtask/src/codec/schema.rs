//! The definitions as they are written: JSON with `//` comments.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// What a definition describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Request,
    Response,
    Header,
    Data,
    CoordinatorKey,
    CoordinatorValue,
}

/// One message.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Definition {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) api_key: Option<i16>,
    #[serde(default)]
    pub(super) listeners: Vec<String>,
    pub(super) valid_versions: String,
    #[serde(default = "none")]
    pub(super) flexible_versions: String,
    #[serde(default)]
    pub(super) latest_version_unstable: bool,
    #[serde(default)]
    pub(super) fields: Vec<Field>,
    #[serde(default)]
    pub(super) common_structs: Vec<CommonStruct>,
}

/// One field of a message or struct.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) versions: Option<String>,
    #[serde(default = "none")]
    pub(super) nullable_versions: String,
    #[serde(default = "none")]
    pub(super) tagged_versions: String,
    pub(super) flexible_versions: Option<String>,
    pub(super) tag: Option<u32>,
    #[serde(default)]
    pub(super) ignorable: bool,
    /// A string of any form, a number, a boolean or null; absent when the type's own applies.
    #[serde(default, deserialize_with = "present")]
    pub(super) default: Option<Value>,
    #[serde(default)]
    pub(super) fields: Vec<Field>,
}

/// A struct that several fields of one message use.
#[derive(Debug, Deserialize)]
pub(super) struct CommonStruct {
    pub(super) name: String,
    pub(super) versions: String,
    pub(super) fields: Vec<Field>,
}

fn none() -> String {
    "none".to_owned()
}

/// Keeps an explicit null apart from an absent key.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Definition {
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(&without_comments(text))?)
    }

    /// Keeps its key but has no version left.
    pub(super) fn is_removed(&self) -> bool {
        self.valid_versions == "none"
    }

    /// `ProduceRequest` -> `Produce`.
    pub(super) fn api_name(&self) -> &str {
        self.name.strip_suffix("Request").unwrap_or(&self.name)
    }
}

/// An inclusive range of versions; empty when `low > high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) low: i16,
    pub(super) high: i16,
}

impl Versions {
    pub(super) const EMPTY: Self = Self { low: 0, high: -1 };

    /// Reads `none`, `3`, `3+` or `3-7`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self::EMPTY);
        }
        let number = |digits: &str| {
            digits.parse::<i16>().with_context(|| format!("not a range of versions: {text:?}"))
        };
        if let Some(low) = text.strip_suffix('+') {
            return Ok(Self { low: number(low)?, high: i16::MAX });
        }
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let parsed = Self { low: number(low)?, high: number(high)? };
        ensure!(!parsed.is_empty(), "a range of versions that ends before it starts: {text:?}");
        Ok(parsed)
    }

    pub(super) fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub(super) fn intersect(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }
}

/// Drops `//` to the end of the line, except inside strings.
fn without_comments(text: &str) -> String {
    text.lines().map(without_comment).collect::<Vec<_>>().join("\n")
}

fn without_comment(line: &str) -> &str {
    let (mut in_string, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '/' if !in_string && line[at..].starts_with("//") => return &line[..at],
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{Versions, without_comments};

    #[test]
    fn comments_end_with_their_line_and_never_start_in_a_string() {
        let text = "// head\n{ \"a\": \"x // \\\" y\" } // tail";
        assert_eq!(without_comments(text), "\n{ \"a\": \"x // \\\" y\" } ");
    }

    #[test]
    fn version_ranges_are_read_in_all_their_forms() {
        assert!(Versions::parse("none").unwrap().is_empty());
        assert_eq!(Versions::parse("3").unwrap(), Versions { low: 3, high: 3 });
        assert_eq!(Versions::parse("3+").unwrap(), Versions { low: 3, high: i16::MAX });
        assert_eq!(Versions::parse("3-7").unwrap(), Versions { low: 3, high: 7 });
        assert!(Versions::parse("7-3").is_err());
        assert!(Versions::parse("all").is_err());
    }
}

//! What goes to standard output: tables for people, JSON for machines.
//!
//! A reader that has seen enough and closed the pipe is no error.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use super::table::Table;
use crate::config::meaning;
use crate::model::time_text;

/// How to write a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For machines: one document.
    Json,
}

/// `--output`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// How to write: a table for people, or one JSON document for machines.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, global = true)]
    pub(super) output: Format,
}

impl OutputArgs {
    /// Writes one or the other.
    pub(super) fn show<T: Serialize>(
        self,
        json: &T,
        table: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self.output {
            Format::Table => print(&table()),
            Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(json)?)),
        }
    }

    /// Writes a table, or the same as JSON.
    pub(super) fn show_table<T: Serialize>(self, json: &T, table: &Table) -> anyhow::Result<()> {
        self.show(json, || table.text())
    }
}

/// Writes text.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut to = io::stdout().lock();
    unless_closed(to.write_all(text.as_bytes()).and_then(|()| to.flush())).map(drop)
}

/// Whether the reader is still there; other errors are errors.
pub(super) fn unless_closed(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
    }
}

/// Milliseconds since 1970 as people read them, in UTC; `-` for none.
pub(super) fn time(timestamp_ms: Option<i64>) -> String {
    timestamp_ms.map_or_else(|| "-".to_owned(), time_text)
}

/// A setting's value as brokers tell it, and behind it what that says to people: `604800000 (7d)`.
pub(super) fn setting(name: &str, value: &str) -> String {
    match meaning(name, value) {
        Some(read) => format!("{value} ({read})"),
        None => value.to_owned(),
    }
}

/// The same with the setting's name before it: `retention.ms=604800000 (7d)`.
pub(super) fn assignment(name: &str, value: &str) -> String {
    format!("{name}={}", setting(name, value))
}

/// Bytes as people read them.
pub(super) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::setting;

    #[test]
    fn a_value_is_told_as_it_is_and_as_people_read_it() {
        for (name, value, expected) in [
            ("retention.ms", "604800000", "604800000 (7d)"),
            ("segment.bytes", "1048576", "1048576 (1MiB)"),
            ("max.message.bytes", "1048588", "1048588 (about 1.00 MiB)"),
            ("retention.bytes", "-1", "-1 (no limit)"),
            ("segment.bytes", "7", "7"),
            ("cleanup.policy", "delete", "delete"),
        ] {
            assert_eq!(setting(name, value), expected);
        }
    }
}

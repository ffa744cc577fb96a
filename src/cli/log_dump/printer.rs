//! Lines of a dump, and the count of what is wrong.

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write as _};

use serde::Serialize;
use serde_json::json;

use crate::cli::output::unless_closed;

/// Writes items; after the reader has closed the pipe it only counts.
pub(super) struct Printer {
    json: bool,
    to: BufWriter<Stdout>,
    open: bool,
    problems: u64,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self { json, to: BufWriter::new(io::stdout()), open: true, problems: 0 }
    }

    /// Writes one item: as a line for people, or as JSON.
    pub(super) fn item(&mut self, item: &(impl Serialize + Display)) -> anyhow::Result<()> {
        if !self.open {
            return Ok(());
        }
        let written = if self.json {
            serde_json::to_writer(&mut self.to, item)
                .map_err(io::Error::from)
                .and_then(|()| self.to.write_all(b"\n"))
        } else {
            writeln!(self.to, "{item}")
        };
        self.open = unless_closed(written)?;
        Ok(())
    }

    /// Tells what is wrong and where.
    pub(super) fn problem(&mut self, place: &str, what: impl Display) -> anyhow::Result<()> {
        self.problems += 1;
        let problem = Problem { place: place.to_owned(), problem: what.to_string() };
        self.item(&problem)
    }

    /// Writes out what is left; returns how much was wrong.
    pub(super) fn finish(mut self) -> anyhow::Result<u64> {
        if self.open {
            unless_closed(self.to.flush())?;
        }
        Ok(self.problems)
    }
}

#[derive(Debug)]
struct Problem {
    place: String,
    problem: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WRONG at {}: {}", self.place, self.problem)
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        json!({ "wrong": self.problem, "at": self.place }).serialize(to)
    }
}

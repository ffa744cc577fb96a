//! Medians of all rounds, side by side.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::figures::Figure;
use super::peer::Peer;

/// Whose figures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Broker(Peer),
    /// No broker's: the machine's own.
    Machine,
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::Broker(peer) => peer.name(),
            Self::Machine => "machine",
        }
    }
}

/// All figures of a run, in the order in which they were first measured.
pub(super) struct Report {
    raw: File,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    unit: &'static str,
    kafka: Vec<f64>,
    icecore: Vec<f64>,
    machine: Vec<f64>,
}

impl Report {
    /// Raw figures go to `raw`, a line each.
    pub(super) fn create(raw: &Path) -> Result<Self> {
        let raw = File::create(raw).with_context(|| raw.display().to_string())?;
        Ok(Self { raw, rows: Vec::new() })
    }

    /// Takes one round's figures.
    pub(super) fn add(&mut self, whose: Whose, figures: &[Figure]) -> Result<()> {
        for Figure { name, unit, value } in figures {
            println!("  {name}: {value:.3} {unit}");
            let line = serde_json::json!({
                "of": whose.name(), "figure": name, "unit": unit, "value": value,
            });
            writeln!(self.raw, "{line}")?;
            let at = self.rows.iter().position(|row| row.name == *name).unwrap_or_else(|| {
                self.rows.push(Row::new(name, unit));
                self.rows.len() - 1
            });
            let row = &mut self.rows[at];
            match whose {
                Whose::Broker(Peer::Kafka) => row.kafka.push(*value),
                Whose::Broker(Peer::Icecore) => row.icecore.push(*value),
                Whose::Machine => row.machine.push(*value),
            }
        }
        Ok(())
    }

    /// Prints medians, and icecore's over Kafka's.
    pub(super) fn print(&self) {
        println!("\n| figure | unit | machine | Kafka | icecore | icecore / Kafka |");
        println!("|---|---|---|---|---|---|");
        for row in &self.rows {
            let (kafka, icecore) = (median(&row.kafka), median(&row.icecore));
            let ratio = kafka.zip(icecore).map(|(kafka, icecore)| icecore / kafka);
            let [machine, kafka, icecore, ratio] =
                [median(&row.machine), kafka, icecore, ratio].map(show);
            println!("| {} | {} | {machine} | {kafka} | {icecore} | {ratio} |", row.name, row.unit);
        }
    }
}

impl Row {
    fn new(name: &str, unit: &'static str) -> Self {
        let (kafka, icecore, machine) = (Vec::new(), Vec::new(), Vec::new());
        Self { name: name.to_owned(), unit, kafka, icecore, machine }
    }
}

fn show(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.3}"))
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

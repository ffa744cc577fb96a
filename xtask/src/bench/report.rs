//! Medians of all rounds, side by side.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::cases::Figure;
use super::peer::Peer;

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
}

impl Report {
    /// Raw figures go to `raw`, a line each.
    pub(super) fn create(raw: &Path) -> Result<Self> {
        let raw = File::create(raw).with_context(|| raw.display().to_string())?;
        Ok(Self { raw, rows: Vec::new() })
    }

    /// Takes one round's figures.
    pub(super) fn add(&mut self, peer: Peer, figures: &[Figure]) -> Result<()> {
        for Figure { name, unit, value } in figures {
            println!("  {name}: {value:.3} {unit}");
            let line = serde_json::json!({
                "broker": peer.name(), "figure": name, "unit": unit, "value": value,
            });
            writeln!(self.raw, "{line}")?;
            let at = self.rows.iter().position(|row| row.name == *name).unwrap_or_else(|| {
                let (kafka, icecore) = (Vec::new(), Vec::new());
                self.rows.push(Row { name: name.clone(), unit, kafka, icecore });
                self.rows.len() - 1
            });
            let row = &mut self.rows[at];
            match peer {
                Peer::Kafka => row.kafka.push(*value),
                Peer::Icecore => row.icecore.push(*value),
            }
        }
        Ok(())
    }

    /// Prints medians, and icecore's over Kafka's.
    pub(super) fn print(&self) {
        println!("\n| figure | unit | Kafka | icecore | icecore / Kafka |\n|---|---|---|---|---|");
        for Row { name, unit, kafka, icecore } in &self.rows {
            let (kafka, icecore) = (median(kafka), median(icecore));
            let ratio = kafka.zip(icecore).map(|(kafka, icecore)| icecore / kafka);
            let show = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
            println!("| {name} | {unit} | {} | {} | {} |", show(kafka), show(icecore), show(ratio));
        }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

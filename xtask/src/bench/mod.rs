//! `cargo xtask bench`: icecore beside Apache Kafka, in turn, with the same client.
//!
//! Each round starts both from nothing, with a full page cache. Kafka does the same work once before
//! it is measured, for the JVM doubles its speed in its first gigabytes. Where the machine sets a
//! bound, it is measured in the same round. What is printed was measured in this run, medians and
//! ratios; raw figures go to `target/bench.jsonl`.

mod cases;
mod client;
mod figures;
mod icecore;
mod isolation;
mod kafka;
mod load;
mod machine;
mod page_cache;
mod peer;
mod report;
mod tail;

use anyhow::Result;
use clap::Args;

use crate::components::Components;
use crate::groups::end_on_signal;
use cases::Case;
use peer::{Peer, Place};
use report::{Report, Whose};

#[derive(Args)]
pub(crate) struct Bench {
    /// Rounds that count; the medians of each figure are compared
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Divides the number of records of every case, for a quick look
    #[arg(long, default_value_t = 1)]
    shrink: u64,
    /// Measure icecore alone
    #[arg(long)]
    alone: bool,
    /// Cases to run; all when none is given
    #[arg(value_enum)]
    cases: Vec<Case>,
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    end_on_signal()?;
    let components = Components::install_for_benchmarks()?;
    let icecore = icecore::build()?;
    let cases = match bench.cases.is_empty() {
        true => Case::ALL.to_vec(),
        false => bench.cases.clone(),
    };
    let mut place = Place::new(&components, icecore)?;
    let mut report = Report::create(&crate::root()?.join("target/bench.jsonl"))?;
    let peers: &[Peer] = if bench.alone { &[Peer::Icecore] } else { &Peer::ALL };
    for round in 1..=bench.rounds {
        println!("xtask: the machine, round {round}");
        let folder = place.fresh()?;
        std::fs::create_dir_all(&folder)?;
        report.add(Whose::Machine, &machine::run(&folder, &cases)?)?;
        for peer in peers {
            println!("xtask: {}, round {round}", peer.name());
            let figures = cases::run(&mut place, *peer, &cases, bench.shrink)?;
            report.add(Whose::Broker(*peer), &figures)?;
        }
    }
    report.print();
    Ok(())
}

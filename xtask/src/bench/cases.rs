//! What is measured, in which order, and what comes before it.

use anyhow::Result;
use clap::ValueEnum;

use super::client::produce;
use super::figures::{Figure, figure};
use super::load::{LOCAL, Load};
use super::peer::{Peer, Place};

/// A group of figures that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Case {
    /// 1 KiB records: produced, then read from the page cache
    OneKib,
    /// 100 B records: produced, then read from the page cache
    Small,
    /// 1 KiB records from an idempotent producer
    Idempotent,
    /// Time to the ack at 5,000 records a second
    Latency,
    /// Time to a consumer at the tail; the same beside one that reads pages that left memory
    Tail,
    /// 2 GB into the remote tier, replayed; then time to the ack beside a replay
    Tiered,
    /// Produce and tail consumer alone, then beside a replay at full speed
    Isolation,
    /// Resident memory, idle and after the other cases
    Memory,
    /// Ready after kill -9 with 2,000 partitions
    Restart,
}

impl Case {
    pub(super) const ALL: [Self; 9] = [
        Self::OneKib,
        Self::Small,
        Self::Idempotent,
        Self::Latency,
        Self::Tail,
        Self::Tiered,
        Self::Isolation,
        Self::Memory,
        Self::Restart,
    ];
}

/// Runs the cases against a broker that starts from nothing.
///
/// A broker that gets faster as it runs is measured when it is: it did the same work once before,
/// unmeasured, in topics of their own.
pub(super) fn run(
    place: &mut Place,
    peer: Peer,
    cases: &[Case],
    shrink: u64,
) -> Result<Vec<Figure>> {
    let folder = place.fresh()?;
    let broker = peer.start(place, &folder)?;
    let idle = broker.resident_mib()?;
    if peer.needs_warming() {
        measure(cases, &Load { place, broker: &broker, shrink, topics: "warming" })?;
    }
    let mut figures = measure(cases, &Load { place, broker: &broker, shrink, topics: "measured" })?;
    if cases.contains(&Case::Memory) {
        figures.push(figure("memory idle", "MiB", idle));
        figures.push(figure("memory after all", "MiB", broker.resident_mib()?));
    }
    drop(broker);
    if cases.contains(&Case::Restart) {
        figures.push(restart(place, peer, (2_000 / shrink).max(1))?);
    }
    Ok(figures)
}

fn measure(cases: &[Case], load: &Load<'_>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for case in cases {
        match case {
            Case::OneKib => figures.extend(load.there_and_back("1 KiB", 1024, 1_500_000)?),
            Case::Small => figures.extend(load.there_and_back("100 B", 100, 8_000_000)?),
            Case::Idempotent => figures.extend(load.idempotent()?),
            Case::Latency => figures.extend(load.latency()?),
            Case::Tail => figures.extend(load.tail()?),
            Case::Tiered => figures.extend(load.tiered()?),
            Case::Isolation => figures.extend(load.isolation()?),
            Case::Memory | Case::Restart => {}
        }
    }
    Ok(figures)
}

/// Kills a broker that holds many partitions, and takes the time until it answers again.
fn restart(place: &mut Place, peer: Peer, partitions: u64) -> Result<Figure> {
    let folder = place.fresh()?;
    let broker = peer.start(place, &folder)?;
    broker.create_topic(place, "many", u32::try_from(partitions)?, &LOCAL)?;
    produce(place, &broker, "many", 1024, 1000, false)?;
    broker.kill()?;
    let broker = peer.start(place, &folder)?;
    let name = format!("ready after kill -9, {partitions} partitions");
    Ok(figure(&name, "s", broker.ready.as_secs_f64()))
}

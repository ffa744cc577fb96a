//! What is measured.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use super::client::{Latency, Run, consume, latency, latency_beside_replay, produce};
use super::peer::{Broker, Peer, Place};

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
    /// 2 GB into the remote tier, replayed; then time to the ack beside a replay
    Tiered,
    /// Resident memory, idle and after the other cases
    Memory,
    /// Ready after kill -9 with 2,000 partitions
    Restart,
}

impl Case {
    pub(super) const ALL: [Self; 7] = [
        Self::OneKib,
        Self::Small,
        Self::Idempotent,
        Self::Latency,
        Self::Tiered,
        Self::Memory,
        Self::Restart,
    ];
}

/// One measured number.
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) value: f64,
}

fn figure(name: &str, unit: &'static str, value: f64) -> Figure {
    Figure { name: name.to_owned(), unit, value }
}

fn of_run(name: &str, run: &Run) -> [Figure; 2] {
    [
        figure(name, "MB/s", run.mb_per_s),
        figure(&format!("{name}, broker CPU"), "s/GiB", run.cpu_s_per_gib),
    ]
}

fn of_latency(name: &str, latency: &Latency) -> [Figure; 2] {
    [
        figure(&format!("{name}, p50"), "ms", latency.p50),
        figure(&format!("{name}, p99"), "ms", latency.p99),
    ]
}

/// Where uploads are not what is measured, neither broker does any.
const LOCAL: [&str; 1] = ["remote.storage.enable=false"];

/// Runs the cases against a broker that starts from nothing. A warm-up runs those that load it.
pub(super) fn run(
    place: &mut Place,
    peer: Peer,
    cases: &[Case],
    shrink: u64,
    warm_up: bool,
) -> Result<Vec<Figure>> {
    let folder = place.fresh()?;
    let broker = peer.start(place, &folder)?;
    let idle = broker.resident_mib()?;
    let mut figures = Vec::new();
    for case in cases {
        match case {
            Case::OneKib => {
                figures.extend(pair(place, &broker, "1 KiB", 1024, 1_500_000 / shrink)?)
            }
            Case::Small => figures.extend(pair(place, &broker, "100 B", 100, 8_000_000 / shrink)?),
            Case::Idempotent => {
                broker.create_topic(place, "idempotent", 1, &LOCAL)?;
                let count = 1_500_000 / shrink;
                let run = produce(place, &broker, "idempotent", 1024, count, true)?;
                figures.extend(of_run("produce 1 KiB idempotent", &run));
            }
            Case::Latency => {
                broker.create_topic(place, "latency", 1, &LOCAL)?;
                let latency = latency(place, &broker, "latency", 60_000 / shrink)?;
                figures.extend(of_latency("ack at 5,000/s", &latency));
            }
            Case::Tiered => figures.extend(tiered(place, &broker, shrink)?),
            Case::Memory | Case::Restart => {}
        }
    }
    if cases.contains(&Case::Memory) {
        figures.push(figure("memory idle", "MiB", idle));
        figures.push(figure("memory after all", "MiB", broker.resident_mib()?));
    }
    drop(broker);
    if cases.contains(&Case::Restart) && !warm_up {
        figures.push(restart(place, peer, (2_000 / shrink).max(1))?);
    }
    Ok(figures)
}

/// Produced, then read back from the page cache.
fn pair(place: &Place, broker: &Broker, name: &str, size: u64, count: u64) -> Result<Vec<Figure>> {
    let topic = format!("records-{size}");
    broker.create_topic(place, &topic, 1, &LOCAL)?;
    let produced = produce(place, broker, &topic, size, count, false)?;
    let consumed = consume(place, broker, &topic, size, count)?;
    let mut figures: Vec<_> = of_run(&format!("produce {name}"), &produced).into();
    figures.extend(of_run(&format!("consume {name}"), &consumed));
    Ok(figures)
}

/// Local copies may take no longer to go.
const FREED: Duration = Duration::from_secs(180);
/// What may stay on the local disk: three segments of 64 MiB.
const LOCAL_BYTES: u64 = 3 * (64 << 20);

/// Fills the remote tier, waits until the local copies are gone, and replays.
fn tiered(place: &Place, broker: &Broker, shrink: u64) -> Result<Vec<Figure>> {
    let settings = [
        "remote.storage.enable=true",
        "segment.bytes=67108864",
        "local.retention.bytes=67108864",
        "retention.ms=-1",
    ];
    broker.create_topic(place, "tiered", 1, &settings)?;
    let (count, replayed) = (2_000_000 / shrink, 1_850_000 / shrink);
    let produced = produce(place, broker, "tiered", 1024, count, false)?;
    let began = Instant::now();
    while broker.local_bytes("tiered")? > LOCAL_BYTES {
        ensure!(began.elapsed() < FREED, "{}: local copies stay", broker.peer.name());
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut figures: Vec<_> = of_run("produce 1 KiB while uploading", &produced).into();
    figures.extend(of_run("replay 1 KiB", &consume(place, broker, "tiered", 1024, replayed)?));
    broker.create_topic(place, "beside", 1, &LOCAL)?;
    let beside = ("tiered", replayed);
    let latency = latency_beside_replay(place, broker, "beside", 60_000 / shrink, beside)?;
    figures.extend(of_latency("ack beside a replay", &latency));
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

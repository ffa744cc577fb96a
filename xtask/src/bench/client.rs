//! librdkafka's `rdkafka_performance`: the same client against both brokers.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::peer::{Broker, Place};

/// What one run of the client cost.
pub(super) struct Run {
    /// Bytes of records over wall time, in MB/s.
    pub(super) mb_per_s: f64,
    /// CPU seconds of the broker for each GiB of records.
    pub(super) cpu_s_per_gib: f64,
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
fn measure(broker: &Broker, bytes: u64, command: &mut Command) -> Result<Run> {
    let (cpu, began) = (broker.cpu_seconds()?, Instant::now());
    let output = command.output().context("rdkafka_performance")?;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), broker.cpu_seconds()? - cpu);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rdkafka_performance failed: {said}");
    Ok(Run {
        mb_per_s: bytes as f64 / 1e6 / seconds,
        cpu_s_per_gib: cpu / (bytes as f64 / f64::from(1 << 30)),
    })
}

pub(super) fn tool(place: &Place, broker: &Broker, mode: &str, topic: &str) -> Command {
    let mut command = Command::new(&place.performance_tool);
    command.args([mode, "-q", "-b", &broker.address, "-t", topic, "-p", "0"]);
    command
}

/// Produces `count` records of `size` bytes to partition 0 with `acks=all`.
pub(super) fn produce(
    place: &Place,
    broker: &Broker,
    topic: &str,
    size: u64,
    count: u64,
    idempotent: bool,
) -> Result<Run> {
    let mut command = tool(place, broker, "-P", topic);
    command.args(["-s", &size.to_string(), "-c", &count.to_string(), "-a", "-1"]);
    command.args(["-X", "linger.ms=5", "-X"]);
    command.arg(format!("enable.idempotence={idempotent}"));
    measure(broker, size * count, &mut command)
}

fn consume_command(place: &Place, broker: &Broker, topic: &str, count: u64) -> Command {
    let mut command = tool(place, broker, "-C", topic);
    whole(&mut command, count);
    command
}

/// Makes it read the first `count` records as fast as they come.
fn whole(command: &mut Command, count: u64) {
    command.args(["-o", "beginning", "-e", "-c", &count.to_string()]);
    command.args(["-X", "fetch.message.max.bytes=4194304"]);
}

/// Reads the first `count` records of partition 0 as another machine would: its client takes no
/// processor that the brokers or the other clients want.
pub(super) fn consume_from_afar(
    place: &Place,
    broker: &Broker,
    topic: &str,
    count: u64,
) -> Result<()> {
    let near = tool(place, broker, "-C", topic);
    let mut far = Command::new("chrt");
    far.args(["--idle", "0"]).arg(near.get_program()).args(near.get_args());
    whole(&mut far, count);
    let output = far.output().context("chrt rdkafka_performance")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rdkafka_performance failed: {said}");
    Ok(())
}

/// Reads the first `count` records of partition 0.
pub(super) fn consume(
    place: &Place,
    broker: &Broker,
    topic: &str,
    size: u64,
    count: u64,
) -> Result<Run> {
    measure(broker, size * count, &mut consume_command(place, broker, topic, count))
}

/// Times to the ack in milliseconds, at chosen shares.
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Latency {
    /// Of at least one time in milliseconds.
    pub(super) fn of(mut millis: Vec<f64>) -> Self {
        millis.sort_by(f64::total_cmp);
        let at = |per_mille: usize| millis[(millis.len() - 1) * per_mille / 1000];
        Self { p50: at(500), p99: at(990) }
    }
}

/// Sends 5,000 records a second and notes how long each ack takes.
pub(super) fn latency(
    place: &Place,
    broker: &Broker,
    topic: &str,
    count: u64,
    acks: &str,
) -> Result<Latency> {
    let log = tempfile::NamedTempFile::new()?;
    let mut command = tool(place, broker, "-P", topic);
    command.args(["-l", "-u", "-r", "5000", "-s", "1024", "-c", &count.to_string(), "-a", acks]);
    command.args(["-X", "linger.ms=0", "-A"]).arg(log.path());
    let output = command.output().context("rdkafka_performance")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rdkafka_performance failed: {said}");
    let millis = times(log.path())?;
    ensure!(!millis.is_empty(), "rdkafka_performance noted no time to an ack");
    Ok(Latency::of(millis))
}

/// The times that the client noted, in milliseconds, in the order in which they came.
pub(super) fn times(log: &Path) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(log)?;
    let micros = text.lines().filter_map(|line| line.split_whitespace().last()?.parse().ok());
    Ok(micros.map(|micros: u32| f64::from(micros) / 1000.0).collect())
}

/// Measures while `work` is done over and over beside it.
pub(super) fn beside<T>(
    work: impl Fn() -> Result<()> + Sync,
    measure: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let working = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                work()?;
            }
            Ok(())
        });
        let measured = measure();
        done.store(true, Ordering::Relaxed);
        match working.join() {
            Ok(worked) => worked.and(measured),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

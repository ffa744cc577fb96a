//! A consumer at the tail, alone and beside one that reads pages which are not in memory.
//!
//! What it waits for is the time from a record's `produce` call to its arrival at the consumer, by
//! one clock: both ends are on this machine.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{Advice, fadvise};

use super::client::{Latency, consume_command, times, tool};
use super::peer::{Broker, Place};

/// Records a second.
const RATE: &str = "1000";
/// Records at the beginning that do not count: the consumer is still finding its place.
const SETTLING: usize = 1000;

/// Produces `count` records at a steady rate and notes when the tail consumer has each.
pub(super) fn tail(place: &Place, broker: &Broker, topic: &str, count: u64) -> Result<Latency> {
    let (log, count) = (tempfile::NamedTempFile::new()?, count.to_string());
    let mut consumer = tool(place, broker, "-C", topic);
    consumer.args(["-l", "-o", "beginning", "-c", &count, "-X", "fetch.wait.max.ms=500", "-A"]);
    let mut consumer = consumer.arg(log.path()).spawn().context("rdkafka_performance")?;
    let mut producer = tool(place, broker, "-P", topic);
    producer.args(["-l", "-u", "-r", RATE, "-s", "1024", "-c", &count, "-a", "1"]);
    let produced = producer.args(["-X", "linger.ms=0"]).output();
    let consumed = consumer.wait()?;
    ensure!(consumed.success() && produced?.status.success(), "rdkafka_performance failed");
    let mut millis = times(log.path())?;
    ensure!(millis.len() > SETTLING, "rdkafka_performance noted {} times", millis.len());
    Ok(Latency::of(millis.split_off(SETTLING)))
}

/// The same while `cold`, a partition's folder, is read over and over and made to leave the page
/// cache each time.
pub(super) fn tail_beside_cold(
    place: &Place,
    broker: &Broker,
    topic: &str,
    count: u64,
    (cold_topic, cold_count): (&str, u64),
) -> Result<Latency> {
    let (folder, done) = (broker.partition_folder(cold_topic), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                evict(&folder)?;
                let output = consume_command(place, broker, cold_topic, cold_count).output()?;
                ensure!(output.status.success(), "the consumer beside failed");
            }
            Ok(())
        });
        let latency = tail(place, broker, topic, count);
        done.store(true, Ordering::Relaxed);
        match beside.join() {
            Ok(beside) => beside.and(latency),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Asks the kernel to forget a folder's record files.
fn evict(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "log") {
            let file = File::open(path)?;
            file.sync_data()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

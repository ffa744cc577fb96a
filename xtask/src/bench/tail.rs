//! A consumer at the tail, and the page cache that its neighbour does without.
//!
//! What it waits for is the time from a record's `produce` call to its arrival at the consumer, by
//! one clock: both ends are on this machine.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{Advice, fadvise};

use super::client::{Latency, times, tool};
use super::peer::{Broker, Place};

/// Records a second.
const RATE: &str = "1000";
/// Records at the beginning that do not count: the consumer is still finding its place.
pub(super) const SETTLING: usize = 1000;

/// Produces `count` records at a steady rate and notes when the tail consumer has each.
pub(super) fn tail(place: &Place, broker: &Broker, topic: &str, count: u64) -> Result<Latency> {
    let (log, count) = (tempfile::NamedTempFile::new()?, count.to_string());
    let mut consumer = tool(place, broker, "-C", topic);
    consumer.args(["-l", "-o", "beginning", "-c", &count, "-X", "fetch.wait.max.ms=500", "-A"]);
    consumer.arg(log.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut consumer = consumer.spawn().context("rdkafka_performance")?;
    let mut producer = tool(place, broker, "-P", topic);
    producer.args(["-l", "-u", "-r", RATE, "-s", "1024", "-c", &count, "-a", "1"]);
    let produced = producer.args(["-X", "linger.ms=0"]).output();
    if !produced.as_ref().is_ok_and(|output| output.status.success()) {
        // It would wait for the missing records for ever.
        consumer.kill()?;
    }
    let consumed = consumer.wait()?;
    ensure!(consumed.success() && produced?.status.success(), "rdkafka_performance failed");
    let mut millis = times(log.path())?;
    ensure!(millis.len() > SETTLING, "rdkafka_performance noted {} times", millis.len());
    Ok(Latency::of(millis.split_off(SETTLING)))
}

/// Asks the kernel to forget a folder's record files.
pub(super) fn evict(folder: &Path) -> Result<()> {
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

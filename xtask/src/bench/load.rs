//! The work that a broker is given.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::client::{beside, consume, latency, produce};
use super::figures::{Figure, of_latency, of_run};
use super::peer::{Broker, Place};
use super::tail::{SETTLING, evict, tail};

/// Where uploads are not what is measured, neither broker does any.
pub(super) const LOCAL: [&str; 1] = ["remote.storage.enable=false"];
/// Uploads at once, and keeps little.
const TIERED: [&str; 4] = [
    "remote.storage.enable=true",
    "segment.bytes=67108864",
    "local.retention.bytes=67108864",
    "retention.ms=-1",
];
/// Local copies may take no longer to go.
const FREED: Duration = Duration::from_secs(180);
/// What may stay on the local disk: three segments of 64 MiB.
const LOCAL_BYTES: u64 = 3 * (64 << 20);
/// Acks that are timed, at 5,000 a second.
const ACKS: u64 = 60_000;

/// Records that a consumer at the tail is timed with, at 1,000 a second.
const ARRIVALS: u64 = 20_000;

/// A broker, and the topics that the work goes to.
pub(super) struct Load<'a> {
    pub(super) place: &'a Place,
    pub(super) broker: &'a Broker,
    /// Divides the number of records.
    pub(super) shrink: u64,
    /// What the names of topics begin with.
    pub(super) topics: &'a str,
}

impl Load<'_> {
    pub(super) fn topic(&self, name: &str, settings: &[&str]) -> Result<String> {
        let topic = format!("{}-{name}", self.topics);
        self.broker.create_topic(self.place, &topic, 1, settings)?;
        Ok(topic)
    }

    /// Produced, then read back from the page cache.
    pub(super) fn there_and_back(&self, name: &str, size: u64, count: u64) -> Result<Vec<Figure>> {
        let (topic, count) = (self.topic(&format!("records-{size}"), &LOCAL)?, count / self.shrink);
        let produced = produce(self.place, self.broker, &topic, size, count, false)?;
        let consumed = consume(self.place, self.broker, &topic, size, count)?;
        let mut figures: Vec<_> = of_run(&format!("produce {name}"), &produced).into();
        figures.extend(of_run(&format!("consume {name}"), &consumed));
        Ok(figures)
    }

    /// Produced by an idempotent producer.
    pub(super) fn idempotent(&self) -> Result<[Figure; 2]> {
        let (topic, count) = (self.topic("idempotent", &LOCAL)?, 1_500_000 / self.shrink);
        let run = produce(self.place, self.broker, &topic, 1024, count, true)?;
        Ok(of_run("produce 1 KiB idempotent", &run))
    }

    /// Time to the ack with nothing beside it. With `acks=all` icecore waits for the disk, with
    /// `acks=1` it promises what Kafka does: the page cache has it.
    pub(super) fn latency(&self) -> Result<Vec<Figure>> {
        self.acks("ack at 5,000/s", "latency")
    }

    fn acks(&self, name: &str, topic: &str) -> Result<Vec<Figure>> {
        let topic = self.topic(topic, &LOCAL)?;
        let count = ACKS / self.shrink;
        let mut figures = Vec::new();
        for (acks, promise) in [("-1", "acks=all"), ("1", "acks=1")] {
            let latency = latency(self.place, self.broker, &topic, count, acks)?;
            figures.extend(of_latency(&format!("{name}, {promise}"), &latency));
        }
        Ok(figures)
    }

    /// Time to a consumer at the tail, alone and beside one that makes the broker wait for the disk.
    pub(super) fn tail(&self) -> Result<Vec<Figure>> {
        let Self { place, broker, shrink, .. } = *self;
        let (cold, count) = (self.topic("cold", &LOCAL)?, 1_500_000 / shrink);
        produce(place, broker, &cold, 1024, count, false)?;
        let topic = self.topic("tail", &LOCAL)?;
        let arrivals = (ARRIVALS / shrink).max(2 * SETTLING as u64);
        let mut figures: Vec<_> =
            of_latency("tail consumer", &tail(place, broker, &topic, arrivals)?).into();
        let topic = self.topic("tail-beside", &LOCAL)?;
        let read_from_disk = || {
            evict(&broker.partition_folder(&cold))?;
            consume(place, broker, &cold, 1024, count).map(drop)
        };
        let beside = beside(read_from_disk, || tail(place, broker, &topic, arrivals))?;
        figures.extend(of_latency("tail consumer beside cold pages", &beside));
        Ok(figures)
    }

    /// Fills the remote tier, waits until the local copies are gone, and replays.
    pub(super) fn tiered(&self) -> Result<Vec<Figure>> {
        let Self { place, broker, shrink, .. } = *self;
        let topic = self.topic("tiered", &TIERED)?;
        let (count, replayed) = (2_000_000 / shrink, 1_850_000 / shrink);
        let produced = produce(place, broker, &topic, 1024, count, false)?;
        self.wait_until_freed(&topic)?;
        let mut figures: Vec<_> = of_run("produce 1 KiB while uploading", &produced).into();
        figures.extend(of_run("replay 1 KiB", &consume(place, broker, &topic, 1024, replayed)?));
        let replay = || consume(place, broker, &topic, 1024, replayed).map(drop);
        figures.extend(beside(replay, || self.acks("ack beside a replay", "beside"))?);
        Ok(figures)
    }

    /// A topic of 2 million records of 1 KiB of which the remote tier alone has most.
    pub(super) fn tiered_history(&self, name: &str) -> Result<String> {
        let topic = self.topic(name, &TIERED)?;
        produce(self.place, self.broker, &topic, 1024, 2_000_000 / self.shrink, false)?;
        self.wait_until_freed(&topic)?;
        Ok(topic)
    }

    fn wait_until_freed(&self, topic: &str) -> Result<()> {
        let began = Instant::now();
        while self.broker.local_bytes(topic)? > LOCAL_BYTES {
            ensure!(began.elapsed() < FREED, "{}: local copies stay", self.broker.peer.name());
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

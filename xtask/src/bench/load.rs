//! The work that a broker is given.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::client::{consume, latency, latency_beside_replay, produce};
use super::figures::{Figure, of_latency, of_run};
use super::peer::{Broker, Place};
use super::tail::{tail, tail_beside_cold};

/// Where uploads are not what is measured, neither broker does any.
pub(super) const LOCAL: [&str; 1] = ["remote.storage.enable=false"];
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
    fn topic(&self, name: &str, settings: &[&str]) -> Result<String> {
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

    /// Time to the ack with nothing beside it.
    pub(super) fn latency(&self) -> Result<[Figure; 2]> {
        let topic = self.topic("latency", &LOCAL)?;
        let latency = latency(self.place, self.broker, &topic, ACKS / self.shrink)?;
        Ok(of_latency("ack at 5,000/s", &latency))
    }

    /// Time to a consumer at the tail, alone and beside one that makes the broker wait for the disk.
    pub(super) fn tail(&self) -> Result<Vec<Figure>> {
        let Self { place, broker, shrink, .. } = *self;
        let (cold, count) = (self.topic("cold", &LOCAL)?, 1_500_000 / shrink);
        produce(place, broker, &cold, 1024, count, false)?;
        let [alone, beside] = ["tail", "tail-beside"].map(|name| self.topic(name, &LOCAL));
        let (alone, beside) = (alone?, beside?);
        let alone = tail(place, broker, &alone, ARRIVALS)?;
        let beside = tail_beside_cold(place, broker, &beside, ARRIVALS, (&cold, count))?;
        let mut figures: Vec<_> = of_latency("tail consumer", &alone).into();
        figures.extend(of_latency("tail consumer beside cold pages", &beside));
        Ok(figures)
    }

    /// Fills the remote tier, waits until the local copies are gone, and replays.
    pub(super) fn tiered(&self) -> Result<Vec<Figure>> {
        let Self { place, broker, shrink, .. } = *self;
        let settings = [
            "remote.storage.enable=true",
            "segment.bytes=67108864",
            "local.retention.bytes=67108864",
            "retention.ms=-1",
        ];
        let topic = self.topic("tiered", &settings)?;
        let (count, replayed) = (2_000_000 / shrink, 1_850_000 / shrink);
        let produced = produce(place, broker, &topic, 1024, count, false)?;
        self.wait_until_freed(&topic)?;
        let mut figures: Vec<_> = of_run("produce 1 KiB while uploading", &produced).into();
        figures.extend(of_run("replay 1 KiB", &consume(place, broker, &topic, 1024, replayed)?));
        let beside = self.topic("beside", &LOCAL)?;
        let latency =
            latency_beside_replay(place, broker, &beside, ACKS / shrink, (&topic, replayed))?;
        figures.extend(of_latency("ack beside a replay", &latency));
        Ok(figures)
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

//! What a replay at full speed does to a producer and to a consumer at the tail, in one run: their
//! times without it and beside it, by turns, and what each of them moved. By turns, because a disk
//! that is slow for a minute would otherwise count for one side alone. The replay's client stands for
//! one on another machine.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::client::{Latency, beside, consume, consume_from_afar, times, tool};
use super::figures::{Figure, figure, of_latency};
use super::load::{LOCAL, Load};

/// Records a second, of 1 KiB each. From 1,000 on the load generator spins from one to the next, which
/// takes a processor away from everybody, the brokers among them.
const RATE: u64 = 990;
/// Turns of each: alone, then beside a replay.
const TURNS: u64 = 3;
/// Seconds of a turn.
const SECONDS: u64 = 30;
/// Seconds at the beginning of each that do not count: a broker that steers finds its way.
const SETTLING: u64 = 10;
/// Records that one round of the replay reads.
const ROUND: u64 = 200_000;

/// What the hot path took, in milliseconds, and for how long it ran.
#[derive(Default)]
struct Hot {
    produce: Vec<f64>,
    tail: Vec<f64>,
    records: u64,
    seconds: f64,
}

impl Hot {
    fn add(&mut self, turn: Self) {
        self.produce.extend(turn.produce);
        self.tail.extend(turn.tail);
        self.records += turn.records;
        self.seconds += turn.seconds;
    }

    /// What the producer came to.
    fn mb_per_s(&self) -> f64 {
        mb(self.records) / self.seconds
    }
}

/// So many records in MB.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
fn mb(records: u64) -> f64 {
    (records * 1024) as f64 / 1e6
}

impl Load<'_> {
    /// The hot path alone and beside a replay, with each promise of a producer.
    pub(super) fn isolation(&self) -> Result<Vec<Figure>> {
        let history = self.tiered_history("isolated")?;
        let round = ROUND / self.shrink;
        let mut figures = vec![figure(
            "replay alone",
            "MB/s",
            consume(self.place, self.broker, &history, 1024, round)?.mb_per_s,
        )];
        for (acks, promise) in [("1", "acks=1"), ("-1", "acks=all")] {
            let (mut alone, mut beside, mut replayed) = (Hot::default(), Hot::default(), 0);
            for turn in 1..=TURNS {
                alone.add(self.hot(&format!("alone{acks}-{turn}"), acks)?);
                let (hot, records) = self.hot_beside(&history, round, turn, acks)?;
                beside.add(hot);
                replayed += records;
            }
            let rate = mb(replayed) / beside.seconds;
            figures.extend(compared(promise, alone, beside));
            figures.push(figure(&format!("replay beside {promise}"), "MB/s", rate));
        }
        Ok(figures)
    }

    /// The hot path beside a replay, and the records that were replayed until it was over.
    fn hot_beside(&self, history: &str, round: u64, turn: u64, acks: &str) -> Result<(Hot, u64)> {
        let replayed = AtomicU64::new(0);
        let replay = || {
            consume_from_afar(self.place, self.broker, history, round)?;
            replayed.fetch_add(round, Ordering::Relaxed);
            Ok(())
        };
        let measured = || {
            let hot = self.hot(&format!("beside{acks}-{turn}"), acks)?;
            Ok((hot, replayed.load(Ordering::Relaxed)))
        };
        beside(replay, measured)
    }

    /// A producer at a steady rate, and a consumer who waits for each record.
    fn hot(&self, name: &str, acks: &str) -> Result<Hot> {
        let topic = self.topic(name, &LOCAL)?;
        let (rate, count) = (RATE, (RATE * SECONDS / self.shrink).max(2));
        let (acked, arrived) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
        let mut consumer = tool(self.place, self.broker, "-C", &topic);
        consumer.args(["-l", "-o", "beginning", "-c", &count.to_string(), "-A"]);
        consumer.arg(arrived.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut consumer = consumer.spawn().context("rdkafka_performance")?;
        let mut producer = tool(self.place, self.broker, "-P", &topic);
        producer.args(["-l", "-u", "-r", &rate.to_string(), "-s", "1024", "-a", acks]);
        producer.args(["-c", &count.to_string(), "-X", "linger.ms=0", "-A"]).arg(acked.path());
        let began = Instant::now();
        let produced = producer.output();
        let seconds = began.elapsed().as_secs_f64();
        if !produced.as_ref().is_ok_and(|output| output.status.success()) {
            // It would wait for the missing records for ever.
            consumer.kill()?;
        }
        let consumed = consumer.wait()?;
        ensure!(consumed.success() && produced?.status.success(), "rdkafka_performance failed");
        let settled = |mut millis: Vec<f64>| {
            let first = millis.len() * usize::try_from(SETTLING)? / usize::try_from(SECONDS)?;
            ensure!(millis.len() > first, "rdkafka_performance noted {} times", millis.len());
            Ok(millis.split_off(first))
        };
        let (produce, tail) = (settled(times(acked.path())?)?, settled(times(arrived.path())?)?);
        Ok(Hot { produce, tail, records: count, seconds })
    }
}

fn compared(promise: &str, alone: Hot, beside: Hot) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut p99s = Vec::new();
    for (name, hot) in [("alone", alone), ("beside a replay", beside)] {
        figures.push(figure(&format!("produce {promise} {name}"), "MB/s", hot.mb_per_s()));
        let (produce, tail) = (Latency::of(hot.produce), Latency::of(hot.tail));
        figures.extend(of_latency(&format!("produce {promise} {name}"), &produce));
        figures.extend(of_latency(&format!("tail {promise} {name}"), &tail));
        p99s.push([produce.p99, tail.p99]);
    }
    for (at, what) in ["produce", "tail"].into_iter().enumerate() {
        let name = format!("{what} {promise}, p99 beside / alone");
        figures.push(figure(&name, "", p99s[1][at] / p99s[0][at]));
    }
    figures
}

//! What a replay at full speed does to a producer and to a consumer at the tail, in one run: their
//! times without it, then beside it, and what each of them moved. The replay's client stands for one on
//! another machine.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::client::{Latency, beside, consume, consume_from_afar, times, tool};
use super::figures::{Figure, figure, of_latency};
use super::load::{LOCAL, Load};

/// Records a second, of 1 KiB each.
const RATE: u64 = 2_000;
/// Seconds of them.
const SECONDS: u64 = 45;
/// Seconds at the beginning that do not count: a broker that steers finds its way.
const SETTLING: u64 = 15;
/// Records that one round of the replay reads.
const ROUND: u64 = 200_000;

/// What the hot path took.
struct Hot {
    produce: Latency,
    tail: Latency,
    /// What the producer came to, in MB/s.
    mb_per_s: f64,
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
            let alone = self.hot(&format!("alone{acks}"), acks)?;
            let (rounds, began) = (AtomicU64::new(0), Instant::now());
            let replay = || {
                consume_from_afar(self.place, self.broker, &history, round)?;
                rounds.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            let measured = || {
                let hot = self.hot(&format!("beside{acks}"), acks)?;
                let bytes = rounds.load(Ordering::Relaxed) * round * 1024;
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
                Ok((hot, bytes as f64 / 1e6 / began.elapsed().as_secs_f64()))
            };
            let (beside, replayed) = beside(replay, measured)?;
            figures.extend(compared(promise, &alone, &beside));
            figures.push(figure(&format!("replay beside {promise}"), "MB/s", replayed));
        }
        Ok(figures)
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
            Ok(Latency::of(millis.split_off(first)))
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let mb_per_s = (count * 1024) as f64 / 1e6 / seconds;
        let (produce, tail) = (settled(times(acked.path())?)?, settled(times(arrived.path())?)?);
        Ok(Hot { produce, tail, mb_per_s })
    }
}

fn compared(promise: &str, alone: &Hot, beside: &Hot) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (name, hot) in [("alone", alone), ("beside a replay", beside)] {
        figures.push(figure(&format!("produce {promise} {name}"), "MB/s", hot.mb_per_s));
        figures.extend(of_latency(&format!("produce {promise} {name}"), &hot.produce));
        figures.extend(of_latency(&format!("tail {promise} {name}"), &hot.tail));
    }
    for (what, beside, alone) in
        [("produce", &beside.produce, &alone.produce), ("tail", &beside.tail, &alone.tail)]
    {
        let name = format!("{what} {promise}, p99 beside / alone");
        figures.push(figure(&name, "", beside.p99 / alone.p99));
    }
    figures
}

//! The replay fleet: readers beside the broker, and after it, from the bucket alone.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::cluster::{POD, RELEASE, Values};
use super::flow::Clients;
use super::steps::eventually;
use super::{Run, TOPIC, small};
use crate::components::Versitygw;

/// The bucket of the fleet.
const BUCKET: &str = "fleet";
const DEPLOYMENT: &str = "deployment/icecore-replay";
const SELECTOR: &str = "app.kubernetes.io/component=replay";
/// Where clients inside begin.
const SERVICE: &str = "icecore-replay:9092";
const PATIENCE: Duration = Duration::from_secs(180);

impl Run {
    pub(super) fn fleet(&self) -> Result<()> {
        self.steps.part("Replay fleet");
        let cluster = &self.cluster;
        let store = self.s3_store(BUCKET)?;
        let values = of(&store);
        self.steps.step("without a bucket it is refused with words", || {
            let none = Values::default().with("replayFleet.enabled", true);
            cluster.refuses(&none, "readers serve what is in an object store")
        })?;
        self.steps.step("installed with two readers, which get ready beside the broker", || {
            cluster.install(&values)?;
            self.readers(2).map(drop)
        })?;
        self.steps.step("helm test, which asks a reader as well", || cluster.test())?;
        let clients = self.clients()?;
        let flow = clients.start()?;
        self.steps.step("clients outside write 6,000 records", || self.grown(6000))?;
        self.steps.tell("they saw each record once and in order", || flow.end())?;
        self.steps.step("all of it is in the bucket, and no copy is local", || self.drained())?;
        let end = self.end()?;
        self.steps.tell("a client inside reads all of it from the fleet", || self.history(end))?;
        self.refused()?;
        self.scaled(&values, end)?;
        self.killed(end)?;
        self.followed(&clients, end)?;
        self.without_broker(&values)?;
        self.steps.step("uninstalled, and the claims deleted", || {
            cluster.uninstall()?;
            cluster.delete_claims()
        })
    }

    /// Waits for so many ready readers and no others; their names.
    fn readers(&self, count: usize) -> Result<Vec<String>> {
        let ready = "{.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        let list = |path: &str| {
            let path = format!("jsonpath={path}");
            let arguments = ["get", "pods", "--selector", SELECTOR, "--output", &path];
            let told = self.cluster.kubectl(&arguments)?;
            Ok::<_, anyhow::Error>(told.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        eventually(PATIENCE, "ready readers", || {
            let (names, ready) = (list("{.items[*].metadata.name}")?, list(ready)?);
            Ok(names.len() == count && ready.len() == count && ready.iter().all(|is| is == "True"))
        })?;
        list("{.items[*].metadata.name}")
    }

    /// How many records the clients' topic has by its broker.
    fn end(&self) -> Result<usize> {
        let partitions = self.cluster.partitions(TOPIC)?;
        let ends = partitions.iter().filter_map(|one| one["high_watermark"].as_u64());
        Ok(usize::try_from(ends.sum::<u64>())?)
    }

    /// Reads the whole topic from the fleet, in a pod: so many records, and each partition's in order.
    fn history(&self, expected: usize) -> Result<String> {
        let words = format!("consume {TOPIC} --from beginning --to end --broker {SERVICE}");
        let read = self.cluster.icecore_in(&self.client()?, &words, None)?;
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        let mut count = 0;
        for line in read.lines() {
            let mut parts = line.split(':');
            let partition = parts.next().context("a partition")?;
            let number: i64 = parts.next().context("a number")?.parse()?;
            let before = last.insert(partition, number);
            ensure!(before.is_none_or(|before| before < number), "{line} came after {before:?}");
            count += 1;
        }
        ensure!(count == expected, "{count} of {expected} records were read");
        let fetched: f64 = self.readers_metric("icecore_replay_fetched_bytes_total")?;
        ensure!(fetched > 0.0, "nothing was fetched from the bucket by readers");
        Ok(format!(
            "{count} records, each partition in order; the readers have fetched {:.1} MB",
            fetched / 1e6
        ))
    }

    /// A pod with the image, from which a client inside talks to the fleet: the broker's, or a reader
    /// where there is no broker.
    fn client(&self) -> Result<String> {
        let broker = ["get", "pod", POD, "--ignore-not-found", "--output", "name"];
        let there = !self.cluster.kubectl(&broker)?.is_empty();
        Ok(if there { POD } else { DEPLOYMENT }.to_owned())
    }

    /// A metric of all readers together.
    fn readers_metric(&self, name: &str) -> Result<f64> {
        let path = "jsonpath={.items[*].metadata.name}";
        let pods =
            self.cluster.kubectl(&["get", "pods", "--selector", SELECTOR, "--output", path])?;
        pods.split_whitespace().map(|pod| self.cluster.metric_of(pod, name)).sum()
    }

    fn refused(&self) -> Result<()> {
        self.steps.step("what would write is refused with words", || {
            for (words, input, why) in [
                // There is no room for words in the answer to a producer that asks for an id.
                ("produce flow", Some("no\n"), "it is read-only"),
                ("topic create more", None, "this is a read-only server"),
            ] {
                let words = format!("{words} --broker {SERVICE}");
                let told = self.cluster.icecore_refuses(&words, input)?;
                ensure!(told.contains(why), "{words}: {told}");
            }
            Ok(())
        })
    }

    fn scaled(&self, values: &Values, end: usize) -> Result<()> {
        let cluster = &self.cluster;
        let more = values.clone().with("replayFleet.replicas", 3);
        self.steps.step("an upgrade to three readers, and the broker is not restarted", || {
            let uid = cluster.pod(".metadata.uid")?;
            cluster.upgrade(&more)?;
            self.readers(3)?;
            ensure!(cluster.pod(".metadata.uid")? == uid, "the broker was restarted");
            Ok(())
        })?;
        self.steps.step("each of the three tells clients of itself alone", || {
            for pod in self.readers(3)? {
                let words = format!("consume {TOPIC} --from beginning --to end");
                let read = cluster.icecore_in(&pod, &words, None)?.lines().count();
                ensure!(read == end, "{pod} gave {read} of {end} records");
            }
            Ok(())
        })
    }

    fn killed(&self, end: usize) -> Result<()> {
        let cluster = &self.cluster;
        let victim = self.readers(3)?.into_iter().next().context("a reader")?;
        self.steps.step(
            "a reader is killed without grace: another one comes and gets ready",
            || {
                cluster.kubectl(&["delete", "pod", &victim, "--grace-period=0", "--force"])?;
                let now = self.readers(3)?;
                ensure!(!now.contains(&victim), "{victim} is still there");
                Ok(())
            },
        )?;
        self.steps.tell("the fleet serves all of it", || self.history(end))
    }

    fn followed(&self, clients: &Clients, before: usize) -> Result<()> {
        let flow = clients.start()?;
        self.steps.step("clients outside write on", || self.grown(1000))?;
        flow.end()?;
        self.steps.step("all of it is in the bucket", || self.drained())?;
        let end = self.end()?;
        ensure!(end > before, "nothing was written");
        self.steps.step("the readers see it without a restart", || {
            for pod in self.readers(3)? {
                eventually(PATIENCE, "a reader that has followed", || {
                    let words = format!("consume {TOPIC} --from beginning --to end");
                    let read = self.cluster.icecore_in(&pod, &words, None)?;
                    Ok(read.lines().count() == end)
                })?;
            }
            Ok(())
        })
    }

    fn without_broker(&self, values: &Values) -> Result<()> {
        let cluster = &self.cluster;
        let end = self.end()?;
        let none = values.clone().with("replayFleet.replicas", 3).with("replicas", 0);
        self.steps.step("the broker is stopped by an upgrade, and the readers stay", || {
            let before = self.readers(3)?;
            cluster.upgrade(&none)?;
            eventually(PATIENCE, "an end of the broker", || {
                let gone = ["get", "pod", POD, "--ignore-not-found", "--output", "name"];
                Ok(cluster.kubectl(&gone)?.is_empty())
            })?;
            ensure!(self.readers(3)? == before, "the readers were restarted");
            Ok(())
        })?;
        self.steps.tell("the fleet serves all of it without a broker", || self.history(end))?;
        let scaled = none.with("replayFleet.autoscaler.enabled", true);
        let scaled = scaled.with("replayFleet.autoscaler.minReplicas", 2);
        self.steps.step("with an autoscaler there are as many as it has at least", || {
            cluster.upgrade(&scaled)?;
            cluster.kubectl(&["get", "horizontalpodautoscaler", &format!("{RELEASE}-replay")])?;
            self.readers(2).map(drop)
        })
    }
}

/// The example on that store, with what is small.
fn of(store: &Versitygw) -> Values {
    small(&["replay-fleet.yaml", "node-port.yaml"])
        .with("store.url", format!("s3://{BUCKET}/icecore"))
        .with("store.options.endpoint", store.endpoint())
        .with("store.options.region", "us-east-1")
        .with("settings.tiering\\.meta\\.upload\\.interval\\.ms", "1s")
        .with("replayFleet.followInterval", "1s")
        .with("replayFleet.cache.bytes", "64MiB")
        .with("replayFleet.cache.size", "1Gi")
        .with("replayFleet.resources.requests.cpu", "50m")
        .with("replayFleet.resources.requests.memory", "64Mi")
}

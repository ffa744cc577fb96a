//! What a newcomer does: install with the defaults, write a first record, install topics.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::cluster::{RELEASE, Values};
use super::steps::eventually;
use super::{NODE_PORT, Run};

impl Run {
    pub(super) fn defaults(&self) -> Result<()> {
        let (steps, cluster) = (&self.steps, &self.cluster);
        let values = Values::default();
        steps.part("Default values");
        steps.step("three replicas are refused with words", || {
            cluster
                .refuses(&values.clone().with("replicas", 3), "several brokers are no cluster yet")
        })?;
        steps.step(
            "helm install, under the restricted Pod Security Standard, until ready",
            || cluster.install(&values),
        )?;
        steps.tell("what an idle broker takes", || {
            let resident = cluster.metric("process_resident_memory_bytes")?;
            let started = cluster.pod(".status.containerStatuses[0].state.running.startedAt")?;
            let ready =
                cluster.pod(".status.conditions[?(@.type==\"Ready\")].lastTransitionTime")?;
            Ok(format!("{:.1} MB resident; started {started}, ready {ready}", resident / 1e6))
        })?;
        steps.step("a client in a pod produces and consumes (helm test)", || cluster.test())?;
        steps.step("a first record as the notes say", || {
            cluster.icecore("topic create snow", None)?;
            cluster.icecore("produce snow", Some("hello\n"))?;
            self.first_record()
        })?;
        self.killed_and_installed_again(&values)
    }

    fn first_record(&self) -> Result<()> {
        let read = self.cluster.icecore("consume snow --max 1", None)?;
        ensure!(read == "hello", "{read:?} was read");
        Ok(())
    }

    fn killed_and_installed_again(&self, values: &Values) -> Result<()> {
        let cluster = &self.cluster;
        let uid = cluster.pod(".metadata.uid")?;
        self.steps.step("the pod is deleted: an orderly end, and ready again", || {
            cluster.kubectl(&["delete", "pod", super::cluster::POD, "--wait=false"])?;
            cluster.replaced(&uid)
        })?;
        self.steps.step("uninstalled, the volume claim stays", || {
            cluster.uninstall()?;
            cluster.kubectl(&["get", "pvc", &format!("data-{RELEASE}-0")]).map(drop)
        })?;
        self.steps.step("installed again onto the old volume", || cluster.install(values))?;
        self.steps.step("the first record is there", || self.first_record())?;
        self.steps.step("uninstalled, and the claim deleted", || {
            cluster.uninstall()?;
            cluster.delete_claims()
        })
    }

    pub(super) fn topics(&self) -> Result<()> {
        let (steps, cluster) = (&self.steps, &self.cluster);
        let values = Values::of(&["topics.yaml", "node-port.yaml"]);
        let job = format!("job/{RELEASE}-topics");
        steps.part("Topics from values, and clients outside");
        steps.step("installed with topics", || cluster.install(&values))?;
        steps.tell("a Job made them", || {
            let told = cluster.kubectl(&["logs", &job])?;
            ensure!(told.matches("created").count() == 3, "{told}");
            Ok(told)
        })?;
        steps.step("with the settings of the values", || {
            let orders = cluster.icecore("topic describe orders", None)?;
            ensure!(orders.contains("local.retention.bytes  1073741824"), "{orders}");
            Ok(())
        })?;
        let changed =
            values.clone().with("topics.payments\\.v1", "null").with("topics.orders.partitions", 5);
        steps.step("upgraded with a topic less and a partition more", || {
            cluster.upgrade(&changed)
        })?;
        steps.tell("the Job grew one, and tells of the other and leaves it", || {
            let told = cluster.kubectl(&["logs", &job])?;
            ensure!(
                told.contains("partitions=5 (was 4)") && told.contains("is not in the file"),
                "{told}"
            );
            ensure!(
                cluster.icecore("topic list", None)?.contains("payments.v1"),
                "the topic is gone"
            );
            Ok(told)
        })?;
        let clients = self.clients()?;
        steps.tell(
            &format!("a client outside produces and consumes by node port {NODE_PORT}"),
            || {
                cluster.icecore("topic create flow --partitions 3", None)?;
                let flow = clients.start()?;
                eventually(Duration::from_secs(60), "records", || {
                    let partitions = cluster.partitions("flow")?;
                    Ok(partitions.iter().all(|one| one["high_watermark"].as_i64() > Some(500)))
                })?;
                flow.end()
            },
        )?;
        steps.step("uninstalled, and the claim deleted", || {
            cluster.uninstall()?;
            cluster.delete_claims()
        })
    }
}

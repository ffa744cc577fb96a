//! What happens to pods: they are killed, drained and run out of memory, under clients at work.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Run;
use super::cluster::{POD, Values};
use super::flow::Clients;
use super::steps::eventually;

/// Enough for a broker at work, and too little for one that holds two of the largest requests.
const LITTLE_MEMORY: &str = "160Mi";

impl Run {
    pub(super) fn failures(&self, values: &Values, clients: &Clients) -> Result<()> {
        self.steps.part("Failures, with clients at work");
        let flow = clients.start()?;
        self.grown(1000)?;
        let cluster = &self.cluster;
        let uid = cluster.pod(".metadata.uid")?;
        self.steps.step("the pod is killed without grace, and ready again", || {
            cluster.kubectl(&["delete", "pod", POD, "--grace-period=0", "--force"])?;
            cluster.replaced(&uid)
        })?;
        self.grown(1000)?;
        self.drained_node()?;
        self.grown(1000)?;
        self.out_of_memory(values, clients)?;
        self.grown(1000)?;
        self.steps.tell("the clients lost nothing, and saw nothing twice", || flow.end())?;
        self.steps.tell("everything from the beginning", || clients.check())
    }

    fn drained_node(&self) -> Result<()> {
        let cluster = &self.cluster;
        let (uid, node) = (cluster.pod(".metadata.uid")?, cluster.pod(".spec.nodeName")?);
        self.steps.step("its node is drained: the broker ends in order and waits", || {
            cluster.kubectl(&[
                "drain",
                &node,
                "--ignore-daemonsets",
                "--delete-emptydir-data",
                "--timeout=150s",
            ])?;
            eventually(Duration::from_secs(60), "a pod that waits", || {
                Ok(cluster.pod(".metadata.uid")? != uid
                    && cluster.pod(".status.phase")? == "Pending")
            })
        })?;
        self.steps.step("the node comes back, and the broker is ready again", || {
            cluster.kubectl(&["uncordon", &node])?;
            cluster.replaced(&uid)
        })
    }

    fn out_of_memory(&self, values: &Values, clients: &Clients) -> Result<()> {
        let cluster = &self.cluster;
        let before = cluster.revision()?;
        let little = values.clone().with("resources.limits.memory", LITTLE_MEMORY);
        let little = little.with("resources.requests.memory", LITTLE_MEMORY);
        self.steps
            .step(&format!("upgraded to {LITTLE_MEMORY} of memory"), || cluster.upgrade(&little))?;
        self.steps.step("the kernel kills it for its memory, and it is ready again", || {
            clients.crowd()?;
            eventually(
                Duration::from_secs(60),
                "a container that was killed for its memory",
                || {
                    let path = ".status.containerStatuses[0].lastState.terminated.reason";
                    Ok(cluster.pod(path)? == "OOMKilled")
                },
            )?;
            cluster.ready()
        })?;
        self.steps.step("rolled back to the memory that it had", || {
            cluster.rollback(&before)?;
            let limit = cluster.pod(".spec.containers[0].resources.limits.memory")?;
            ensure!(limit == "1Gi", "the limit is {limit}");
            Ok(())
        })
    }
}

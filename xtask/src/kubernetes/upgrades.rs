//! Upgrades under clients at work: they wait for some seconds, and lose and see twice nothing.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::cluster::{RELEASE, Values};
use super::flow::Clients;
use super::steps::eventually;
use super::{NEXT, Run};

impl Run {
    pub(super) fn upgrades(&self, values: &Values, clients: &Clients) -> Result<()> {
        self.steps.part("Upgrades, with clients at work");
        let flow = clients.start()?;
        self.grown(1000)?;
        let cluster = &self.cluster;
        let settings = values.clone().with("settings.num\\.partitions", 7);
        self.steps.step("another setting: restarted with it", || {
            cluster.upgrade(&settings)?;
            let made = cluster.icecore("topic create seven", None)?;
            ensure!(made.contains("7 partitions"), "{made}");
            Ok(())
        })?;
        let image = settings.with("image.tag", NEXT);
        self.steps.step("another image: restarted with it", || {
            cluster.upgrade(&image)?;
            let runs = cluster.pod(".spec.containers[0].image")?;
            ensure!(runs.ends_with(NEXT), "{runs} runs");
            Ok(())
        })?;
        let grown = image.clone().with("data.size", "2Gi");
        self.steps.step("a larger data volume, without a restart", || {
            let uid = cluster.pod(".metadata.uid")?;
            cluster.upgrade(&grown)?;
            eventually(Duration::from_secs(60), "the larger volume", || {
                let (claim, path) =
                    (format!("data-{RELEASE}-0"), "jsonpath={.status.capacity.storage}");
                Ok(cluster.kubectl(&["get", "pvc", &claim, "--output", path])? == "2Gi")
            })?;
            ensure!(cluster.pod(".metadata.uid")? == uid, "the pod was restarted");
            Ok(())
        })?;
        let good = cluster.revision()?;
        let wrong = grown.clone().with("settings.num\\.partition", 3);
        self.steps.step(
            "a setting that there is not: refused by a Job, and no broker is stopped",
            || {
                let uid = cluster.pod(".metadata.uid")?;
                cluster.upgrade_in_vain(&wrong)?;
                let told = cluster.kubectl(&["logs", &format!("job/{RELEASE}-check")])?;
                ensure!(told.contains("did you mean num.partitions?"), "{told}");
                ensure!(cluster.pod(".metadata.uid")? == uid, "the pod was restarted");
                Ok(())
            },
        )?;
        let vain = grown.clone().with("image.tag", "not-there");
        self.steps.step("an image that is not there: the upgrade fails", || {
            cluster.upgrade_in_vain(&vain.clone().with("checkFirst", false)).map(drop)
        })?;
        self.steps.step("rolled back, without a hand on the pod", || {
            cluster.rollback(&good)?;
            cluster.ready()
        })?;
        self.grown(1000)?;
        self.steps.tell("the clients lost nothing, and saw nothing twice", || flow.end())?;
        self.steps.step("helm test", || self.cluster.test())
    }
}

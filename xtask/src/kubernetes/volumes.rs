//! Releases come and go: onto their old volumes, and onto empty ones with the old bucket.

use anyhow::{Result, ensure};

use super::Run;
use super::cluster::{POD, Values};
use super::flow::Clients;

impl Run {
    pub(super) fn volumes(&self, values: &Values, clients: &Clients) -> Result<()> {
        self.steps.part("Uninstalled and installed again");
        let cluster = &self.cluster;
        // The volume was grown meanwhile, and none shrinks.
        let values = values.clone().with("data.size", "2Gi");
        self.steps.step("uninstalled, and installed onto the old volumes", || {
            cluster.uninstall()?;
            cluster.install(&values)
        })?;
        self.steps.tell("everything is there", || clients.check())?;
        self.steps.step("all of it is in the store", || self.drained())?;
        self.steps.step("uninstalled, and the claims deleted", || {
            cluster.uninstall()?;
            cluster.delete_claims()
        })?;
        self.steps.tell("installed onto empty volumes with the old bucket: restored", || {
            cluster.install(&values)?;
            let log = cluster.kubectl(&["logs", POD])?;
            let line = log.lines().find(|line| line.contains("restored from the object store"));
            ensure!(line.is_some(), "nothing was restored:\n{log}");
            Ok(line.unwrap_or_default().to_owned())
        })?;
        self.steps.tell("everything is there", || clients.check())?;
        let flow = clients.start()?;
        self.steps.step("and it goes on", || self.grown(1000))?;
        self.steps.tell("with each record once and in order", || flow.end())?;
        self.steps.step("uninstalled", || cluster.uninstall())
    }
}

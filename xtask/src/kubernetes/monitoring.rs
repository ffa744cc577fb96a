//! What Prometheus' operator reads: the server takes it by the operator's own definitions.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Run;
use super::cluster::{RELEASE, Values};
use crate::command::answer;

/// Where the definitions come from.
const OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator@v0.92.1";
const KINDS: [&str; 2] = ["servicemonitors", "prometheusrules"];

impl Run {
    pub(super) fn monitoring(&self) -> Result<()> {
        let (steps, cluster) = (&self.steps, &self.cluster);
        steps.part("Monitoring");
        let defined = KINDS.map(|kind| format!("crd/{kind}.monitoring.coreos.com"));
        let there = cluster.kubectl(&["get", &defined[0], &defined[1]]).is_ok();
        if !there {
            steps.step("the operator's definitions, as the cluster has none", || {
                for file in definitions()? {
                    cluster.kubectl(&[
                        "apply",
                        "--server-side",
                        "--filename",
                        &file.to_string_lossy(),
                    ])?;
                }
                cluster.kubectl(&["wait", "--for=condition=Established", &defined[0], &defined[1]])
            })?;
        }
        let done = self.monitored();
        if !there {
            cluster.kubectl(&["delete", &defined[0], &defined[1], "--timeout=60s"])?;
        }
        done
    }

    fn monitored(&self) -> Result<()> {
        let (steps, cluster) = (&self.steps, &self.cluster);
        steps.step(
            "installed with everything for Prometheus and Grafana, and a NetworkPolicy",
            || cluster.install(&Values::of(&["monitoring.yaml"])),
        )?;
        steps.step("the server has taken all of it", || {
            for kind in ["servicemonitor", "prometheusrule", "networkpolicy"] {
                cluster.kubectl(&["get", kind, RELEASE])?;
            }
            cluster.kubectl(&["get", "configmap", &format!("{RELEASE}-dashboard")])
        })?;
        steps.step("the metrics page ends as OpenMetrics asks", || {
            ensure!(cluster.http("/metrics")?.ends_with("# EOF"), "the page is cut");
            Ok(())
        })?;
        steps.step("uninstalled, and the claim deleted", || {
            cluster.uninstall()?;
            cluster.delete_claims()
        })
    }
}

/// The files of the definitions, from the operator's own module.
fn definitions() -> Result<[PathBuf; 2]> {
    let told = answer(Command::new("go").args(["mod", "download", "-json", OPERATOR]))?;
    let told: Value = serde_json::from_str(&told)?;
    let folder = told["Dir"].as_str().context("the module has a folder")?;
    let folder = PathBuf::from(folder).join("example/prometheus-operator-crd");
    Ok(KINDS.map(|kind| folder.join(format!("monitoring.coreos.com_{kind}.yaml"))))
}

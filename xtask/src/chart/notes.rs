//! What helm tells after an install: of a broker that runs, or of one that is stopped, and never of the other.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{BUCKET, FLEET};
use crate::command::answer;
use crate::components::Helm;

const STOPPED: &str = "replicas=0";
/// Only a broker that runs has an answer to these.
const OF_ONE_THAT_RUNS: [&str; 4] =
    ["rollout status", "icecore-0", "helm --namespace snow test", "job/"];
/// Policies and topics, whose Jobs a stopped broker has not.
const GIVEN: [&str; 3] =
    ["policies.p.topics[0]=t", "policies.p.settings.retention\\.ms=1d", "topics.t.partitions=1"];

/// Holds the notes to that.
pub(super) fn judge(helm: &Helm, chart: &Path) -> Result<()> {
    let running = told(helm, chart, &GIVEN)?;
    for words in OF_ONE_THAT_RUNS {
        ensure!(
            running.contains(words),
            "the notes of a broker that runs lack {words:?}: {running}"
        );
    }
    ensure!(!running.contains("stopped"), "the notes call a broker stopped that runs: {running}");
    for more in [&GIVEN[..], &[FLEET, BUCKET]] {
        let stopped = told(helm, chart, &[&[STOPPED][..], more].concat())?;
        for words in
            ["stopped (replicas: 0)", "upgrade icecore CHART --reuse-values --set replicas=1"]
        {
            ensure!(
                stopped.contains(words),
                "the notes of a stopped broker lack {words:?}: {stopped}"
            );
        }
        for words in OF_ONE_THAT_RUNS {
            ensure!(
                !stopped.contains(words),
                "the notes of a stopped broker say {words:?}: {stopped}"
            );
        }
        let has_fleet = more.contains(&FLEET);
        ensure!(stopped.contains("deployment/icecore-replay") == has_fleet, "the fleet: {stopped}");
    }
    Ok(())
}

/// The notes with these values, without a cluster.
fn told(helm: &Helm, chart: &Path, values: &[&str]) -> Result<String> {
    let mut install = helm.command();
    install.args(["install", "icecore", "--namespace", "snow", "--dry-run=client"]).arg(chart);
    let text = answer(install.args(values.iter().flat_map(|value| ["--set", value])))?;
    let (_, notes) = text.split_once("\nNOTES:\n").context("helm tells no notes")?;
    Ok(notes.to_owned())
}

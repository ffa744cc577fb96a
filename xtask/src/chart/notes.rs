//! What helm tells after an install: of a broker that runs, or of one that is stopped, and never of the other.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{BUCKET, FLEET, VERSIONS};
use crate::command::answer;
use crate::components::Helm;

const STOPPED: &str = "replicas=0";
/// Only a broker that runs has an answer to these.
const OF_ONE_THAT_RUNS: [&str; 4] =
    ["rollout status", "icecore-0", "helm --namespace snow test", "job/"];
/// Policies and topics, whose Jobs a stopped broker has not.
const GIVEN: [&str; 3] =
    ["policies.p.topics[0]=t", "policies.p.settings.retention\\.ms=1d", "topics.t.partitions=1"];

/// The notes as a resource.
const RESOURCE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: notes\ndata:\n  notes: |\n    \
    {{- tpl (.Files.Get \"NOTES.txt\") . | nindent 4 }}\n";

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

/// The notes with these values. Helm shows them where there is a cluster alone: here a resource of a copy of the
/// chart has them.
fn told(helm: &Helm, chart: &Path, values: &[&str]) -> Result<String> {
    let copy = crate::root()?.join("target/chart/with-notes");
    if copy.exists() {
        std::fs::remove_dir_all(&copy)?;
    }
    copy_folder(chart, &copy)?;
    std::fs::copy(chart.join("templates/NOTES.txt"), copy.join("NOTES.txt"))?;
    std::fs::write(copy.join("templates/notes.yaml"), RESOURCE)?;
    let mut template = helm.command();
    template.args(["template", "icecore", "--namespace", "snow", "--kube-version", VERSIONS[0]]);
    template.args(["--show-only", "templates/notes.yaml"]).arg(&copy);
    answer(template.args(values.iter().flat_map(|value| ["--set", value])))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        match path.is_dir() {
            true => copy_folder(&path, &to.join(name))?,
            false => drop(std::fs::copy(&path, to.join(name))?),
        }
    }
    Ok(())
}

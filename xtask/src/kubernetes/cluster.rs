//! The cluster as helm and kubectl reach it by KUBECONFIG, and one release of the chart in a namespace of
//! its own that admits nothing but the restricted Pod Security Standard.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::steps::eventually;
use crate::command::{answer, refusal};
use crate::components::Helm;

/// The release, and so the names of what the chart makes.
pub(super) const RELEASE: &str = "icecore";
/// The pod.
pub(super) const POD: &str = "icecore-0";
const HTTP_PORT: u16 = 9600;
/// What a start, a pull of nothing and a recovery may take together.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) struct Cluster {
    helm: Helm,
    chart: PathBuf,
    namespace: String,
}

impl Cluster {
    /// Makes the namespace.
    pub(super) fn open(helm: Helm, namespace: &str) -> Result<Self> {
        let chart = crate::chart::folder()?;
        let cluster = Self { helm, chart, namespace: namespace.to_owned() };
        answer(Command::new("kubectl").args(["create", "namespace", namespace]))?;
        let labels =
            ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
        answer(Command::new("kubectl").args(["label", "namespace", namespace]).args(labels))?;
        Ok(cluster)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.args(["--namespace", &self.namespace]).args(arguments);
        command
    }

    /// What kubectl answers.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        answer(&mut self.command(arguments))
    }

    fn helm(&self, arguments: &[&str]) -> Command {
        let mut command = self.helm.command();
        command.args(["--namespace", &self.namespace]).args(arguments);
        command
    }

    fn with_chart(&self, verb: &str, values: &Values) -> Command {
        let mut command = self.helm(&[verb, RELEASE]);
        command.arg(&self.chart);
        for file in &values.files {
            command.arg("--values").arg(self.chart.join("examples").join(file));
        }
        command.args(values.set.iter().flat_map(|value| ["--set", value]));
        command
    }

    /// Installs, and waits until all is ready.
    pub(super) fn install(&self, values: &Values) -> Result<()> {
        answer(self.with_chart("install", values).args(["--wait", "--timeout", "5m"])).map(drop)
    }

    /// Upgrades, and waits until all is ready.
    pub(super) fn upgrade(&self, values: &Values) -> Result<()> {
        answer(self.with_chart("upgrade", values).args(["--wait", "--timeout", "5m"])).map(drop)
    }

    /// Upgrades to what cannot get ready.
    pub(super) fn upgrade_in_vain(&self, values: &Values) -> Result<String> {
        refusal(self.with_chart("upgrade", values).args(["--wait", "--timeout", "20s"]))
    }

    /// The number of the release's last revision.
    pub(super) fn revision(&self) -> Result<String> {
        let status = answer(&mut self.helm(&["status", RELEASE, "--output", "json"]))?;
        let status: Value = serde_json::from_str(&status)?;
        Ok(status["version"].to_string())
    }

    /// Goes back to a revision.
    pub(super) fn rollback(&self, revision: &str) -> Result<()> {
        let back = ["rollback", RELEASE, revision, "--wait", "--timeout", "5m"];
        answer(&mut self.helm(&back)).map(drop)
    }

    /// Writes and reads some records from a pod inside.
    pub(super) fn test(&self) -> Result<()> {
        let told = answer(&mut self.helm(&["test", RELEASE, "--logs", "--timeout", "3m"]))?;
        ensure!(told.contains("3 records were written and read back"), "{told}");
        let topics = self.icecore("topic list", None)?;
        ensure!(!topics.contains("icecore-check-"), "the test left its topic behind: {topics}");
        Ok(())
    }

    /// Takes the release away; its claims stay.
    pub(super) fn uninstall(&self) -> Result<()> {
        answer(&mut self.helm(&["uninstall", RELEASE, "--wait", "--timeout", "3m"])).map(drop)
    }

    /// Removes the claims, with all that is on their volumes.
    pub(super) fn delete_claims(&self) -> Result<()> {
        self.kubectl(&["delete", "pvc", "--all", "--wait", "--timeout=60s"]).map(drop)
    }

    /// A command of the image in the broker's own container.
    pub(super) fn icecore(&self, words: &str, input: Option<&str>) -> Result<String> {
        self.icecore_in(POD, words, input)
    }

    /// A command of the image in the container of a pod, or of any pod of a deployment.
    pub(super) fn icecore_in(&self, pod: &str, words: &str, input: Option<&str>) -> Result<String> {
        answer(&mut self.exec(pod, words, input)?)
    }

    /// What such a command says that fails, in the broker's own container.
    pub(super) fn icecore_refuses(&self, words: &str, input: Option<&str>) -> Result<String> {
        refusal(&mut self.exec(POD, words, input)?)
    }

    fn exec(&self, pod: &str, words: &str, input: Option<&str>) -> Result<Command> {
        let mut arguments = vec!["exec"];
        arguments.extend(input.is_some().then_some("--stdin"));
        arguments.extend([pod, "--", "icecore"]);
        arguments.extend(words.split_whitespace());
        let mut command = self.command(&arguments);
        if let Some(input) = input {
            let mut file = tempfile::tempfile()?;
            std::io::Write::write_all(&mut file, input.as_bytes())?;
            std::io::Seek::rewind(&mut file)?;
            command.stdin(file);
        }
        Ok(command)
    }

    /// What the broker's HTTP port answers, by way of the API server.
    pub(super) fn http(&self, path: &str) -> Result<String> {
        self.http_of(POD, path)
    }

    fn http_of(&self, pod: &str, path: &str) -> Result<String> {
        let pod =
            format!("/api/v1/namespaces/{}/pods/{pod}:{HTTP_PORT}/proxy{path}", self.namespace);
        self.kubectl(&["get", "--raw", &pod])
    }

    /// The value of the broker's metric without labels.
    pub(super) fn metric(&self, name: &str) -> Result<f64> {
        self.metric_of(POD, name)
    }

    /// The same of another pod.
    pub(super) fn metric_of(&self, pod: &str, name: &str) -> Result<f64> {
        let page = self.http_of(pod, "/metrics")?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("{name} is not there"))?.parse()?)
    }

    /// Where the partitions of a topic lie.
    pub(super) fn partitions(&self, topic: &str) -> Result<Vec<Value>> {
        let all: Vec<Value> = serde_json::from_str(&self.http("/v1/partitions")?)?;
        let of: Vec<_> = all.into_iter().filter(|one| one["topic"] == topic).collect();
        ensure!(!of.is_empty(), "topic {topic} is not there");
        Ok(of)
    }

    /// The pod's facts by a path of kubectl's.
    pub(super) fn pod(&self, path: &str) -> Result<String> {
        self.kubectl(&["get", "pod", POD, "--output", &format!("jsonpath={{{path}}}")])
    }

    /// Waits until the pod is ready.
    pub(super) fn ready(&self) -> Result<()> {
        eventually(PATIENCE, "a ready pod", || {
            let conditions = self.pod(".status.conditions[?(@.type==\"Ready\")].status")?;
            Ok(conditions == "True" && self.pod(".metadata.deletionTimestamp")?.is_empty())
        })
    }

    /// Waits until the pod is another one than `uid`, and ready.
    pub(super) fn replaced(&self, uid: &str) -> Result<()> {
        eventually(PATIENCE, "another pod", || Ok(self.pod(".metadata.uid")? != uid))?;
        self.ready()
    }

    /// The address of the first node.
    pub(super) fn node_address(&self) -> Result<String> {
        let path = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
        let addresses = self.kubectl(&["get", "nodes", "--output", path])?;
        let first = addresses.split_whitespace().next();
        first.map(str::to_owned).context("the nodes have no address")
    }

    /// Everything that helps to see why a step failed.
    pub(super) fn explain(&self) {
        for arguments in [
            &["get", "all,pvc", "--output", "wide"][..],
            &["describe", "pod"],
            &["logs", POD, "--tail", "40"],
            &["logs", POD, "--previous", "--tail", "20"],
            &["logs", "--selector", "app.kubernetes.io/component=replay", "--prefix"],
            &["get", "events", "--sort-by", ".lastTimestamp"],
        ] {
            let told = self.kubectl(arguments).unwrap_or_else(|error| format!("{error:#}"));
            eprintln!("--- kubectl {}\n{told}\n", arguments.join(" "));
        }
    }

    /// Takes the namespace away with all that is in it.
    pub(super) fn close(&self) -> Result<()> {
        let gone = ["delete", "namespace", &self.namespace, "--timeout=120s"];
        answer(Command::new("kubectl").args(gone)).map(drop)
    }

    /// That values are refused, with a word of the reason.
    pub(super) fn refuses(&self, values: &Values, reason: &str) -> Result<()> {
        let told = refusal(&mut self.with_chart("install", values))?;
        if !told.contains(reason) {
            bail!("{told:?} does not say {reason:?}");
        }
        Ok(())
    }
}

/// Values of a release: files of the examples, and single ones on top.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    files: Vec<&'static str>,
    set: Vec<String>,
}

impl Values {
    /// An example with values on top.
    pub(super) fn of(files: &[&'static str]) -> Self {
        Self { files: files.to_vec(), set: Vec::new() }
    }

    /// One value more; the last word on a name counts.
    pub(super) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.set.push(format!("{name}={value}"));
        self
    }
}

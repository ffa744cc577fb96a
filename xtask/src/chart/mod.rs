//! `cargo xtask chart`: the chart as a text.
//!
//! helm reads it strictly, with its defaults and with every example, for every Kubernetes that it is
//! for; what comes out is held against the schemas that Kubernetes publishes. What only a real
//! cluster can say is said by `cargo xtask kubernetes`.

mod hooks;
mod notes;
mod table;
mod values;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::command::{answer, refusal};
use crate::components::{Components, Helm};

/// What Kubernetes had when this was written, from the oldest that the chart is for to the newest
/// that schemas are published of.
const VERSIONS: [&str; 9] =
    ["1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"];
/// Kinds that operators bring: their schemas are not Kubernetes' own.
const FOREIGN: &str = "monitoring.coreos.com/";

/// Values that have to be refused, each with a word of the reason.
const REFUSED: [(&[&str], &str); 28] = [
    (&["replicas=3"], "several brokers are no cluster yet"),
    (&["replicas=-1"], "replicas"),
    (&["replica=1"], "replica"),
    (&["store.url=bucket"], "url"),
    (&["store.url=memory://"], "loses everything with the process"),
    (&["store.url=file:///x"], "leave store.url empty"),
    (&["store.options.region=eu"], "store.url is empty"),
    (&["store.url=s3://b", "store.secret.env.A=b"], "set store.secret.name"),
    (&["store.url=s3://b", "store.options.secret_access_key=x"], "is a secret"),
    (&["store.url=s3://b", "cache.bytes=10GiB"], "raise cache.size"),
    (&["store.onEmptyDisk=guess"], "onEmptyDisk"),
    (&["settings.cache\\.bytes=1"], "use the value cache.bytes"),
    (&["topics.a\\/b.partitions=1"], "invalid propertyName"),
    (&["external.enabled=true", "external.type=LoadBalancer"], "brokers[0].host is not set"),
    (&["external.enabled=true", "external.brokers[0].host=h"], "nodePort is not set"),
    (&["external.enabled=true", "external.port=9600"], "give each a port of its own"),
    (&["policies.p.settings.retention\\.ms=1d"], "policies.p needs topics"),
    (&["policies.p.topics[0]=a/b", "policies.p.settings.a=b"], "topics/0"),
    (&["policies.p.topics=t", "policies.p.settings.a=b"], "got string, want array"),
    (&["policies.a\\/b.topics[0]=t"], "invalid propertyName"),
    (&["replayFleet.enabled=true"], "readers serve what is in an object store"),
    (&["replayFleet.readers=2"], "readers"),
    (&[FLEET, BUCKET, "replayFleet.cache.bytes=10GiB"], "raise replayFleet.cache.size"),
    (&[FLEET, BUCKET, "replayFleet.cache.storageClass=fast"], "set it to claim"),
    (&[FLEET, BUCKET, "replayFleet.service.port=9600"], "give each a port of its own"),
    (
        &[FLEET, BUCKET, "replayFleet.settings.cache\\.bytes=1"],
        "use the value replayFleet.cache.bytes",
    ),
    (&[FLEET, BUCKET, SCALED, "replayFleet.autoscaler.minReplicas=9"], "more than maxReplicas 8"),
    (&[FLEET, BUCKET, SCALED, "replayFleet.autoscaler.cpu="], "nothing to go by"),
];
const FLEET: &str = "replayFleet.enabled=true";
const BUCKET: &str = "store.url=s3://b";
const SCALED: &str = "replayFleet.autoscaler.enabled=true";

/// What no example has by itself: examples together, and values on top.
const TOGETHER: [(&[&str], &[&str]); 2] = [
    (
        &["replay-fleet.yaml", "policies.yaml", "monitoring.yaml"],
        &[
            SCALED,
            "replayFleet.cache.volume=claim",
            "replayFleet.cache.storageClass=fast",
            "replayFleet.serviceAccount.create=true",
            "replayFleet.image.tag=next",
            "replayFleet.settings.fetch\\.max\\.bytes=1MiB",
            "replayFleet.autoscaler.metrics[0].type=Pods",
            "replayFleet.autoscaler.metrics[0].pods.metric.name=icecore_replay_readers",
            "replayFleet.autoscaler.metrics[0].pods.target.type=AverageValue",
            "replayFleet.autoscaler.metrics[0].pods.target.averageValue=4",
        ],
    ),
    (
        &["hdfs.yaml", "policies.yaml"],
        &[
            FLEET,
            "replicas=0",
            "replayFleet.replicas=1",
            "replayFleet.service.stickySeconds=0",
            "store.hadoopConfigMap=hadoop",
            "policies.orders.settings.retention\\.ms=null",
            "networkPolicy.enabled=true",
        ],
    ),
];

#[derive(clap::Args)]
pub(crate) struct Chart {
    /// Write nothing; fail when the committed table of values differs from what would be written
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(chart: &Chart) -> Result<()> {
    table::write(chart.check)?;
    judge(&Components::install_for_chart()?)
}

/// Where the chart lies.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(crate::root()?.join("helm/icecore"))
}

/// Holds the chart against helm and the schemas.
pub(crate) fn judge(components: &Components) -> Result<()> {
    let (chart, helm) = (folder()?, Helm::of(components));
    let out = crate::root()?.join("target/chart");
    std::fs::create_dir_all(&out)?;
    let examples = examples(&chart)?;
    let mut resources = vec![rendered(&helm, &chart, &[])?];
    for values in &examples {
        resources.push(rendered(&helm, &chart, &["--values".as_ref(), values.as_os_str()])?);
    }
    for (files, set) in TOGETHER {
        let files: Vec<_> = files.iter().map(|name| chart.join("examples").join(name)).collect();
        let files = files.iter().flat_map(|path| ["--values".as_ref(), path.as_os_str()]);
        let set = set.iter().flat_map(|value| ["--set".as_ref(), OsStr::new(value)]);
        resources.push(rendered(&helm, &chart, &files.chain(set).collect::<Vec<_>>())?);
    }
    notes::judge(&helm, &chart)?;
    let all = resources.join("\n---\n");
    let (every, file) = (out.join("every-kind.yaml"), out.join("resources.yaml"));
    std::fs::write(&every, &all)?;
    answer(&mut helm.query_parser(&every))?;
    std::fs::write(&file, own_kinds(&all))?;
    for version in VERSIONS {
        answer(&mut helm.validator(version, &file))
            .with_context(|| format!("Kubernetes {version}"))?;
    }
    for (wrong, reason) in REFUSED {
        let mut template = helm.command();
        template.args(["template", "icecore", "--kube-version", VERSIONS[0]]).arg(&chart);
        template.args(wrong.iter().flat_map(|value| ["--set", value]));
        let told = refusal(&mut template)?;
        ensure!(told.contains(reason), "{wrong:?} is refused without {reason:?}: {told}");
    }
    println!(
        "xtask: the chart holds for Kubernetes {} to {}, with its defaults and {} examples, alone and together; {} wrong \
         values are refused",
        VERSIONS[0],
        VERSIONS[VERSIONS.len() - 1],
        examples.len(),
        REFUSED.len()
    );
    Ok(())
}

/// The resources that come of these values, after the strict lint.
fn rendered(helm: &Helm, chart: &Path, given: &[&OsStr]) -> Result<String> {
    let mut lint = helm.command();
    lint.args(["lint", "--strict", "--kube-version", VERSIONS[0]]).args(given).arg(chart);
    answer(&mut lint)?;
    let rendered = |version: &str| {
        let mut template = helm.command();
        template.args(["template", "icecore", "--namespace", "snow", "--kube-version", version]);
        answer(template.args(given).arg(chart))
    };
    // Nothing in the chart asks for the version: one text is for all.
    let (oldest, newest) = (rendered(VERSIONS[0])?, rendered(VERSIONS[VERSIONS.len() - 1])?);
    ensure!(oldest == newest, "the chart is another one for another Kubernetes");
    hooks::judge(&oldest)?;
    Ok(oldest)
}

/// The values files beside the chart, by name.
fn examples(chart: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(chart.join("examples"))? {
        found.push(entry?.path());
    }
    found.sort();
    ensure!(!found.is_empty(), "there are examples");
    Ok(found)
}

/// The documents whose schemas Kubernetes publishes.
fn own_kinds(text: &str) -> String {
    let own = |document: &&str| {
        let kind = document.lines().find(|line| line.starts_with("apiVersion:"));
        kind.is_some_and(|line| !line.contains(FOREIGN))
    };
    text.split("\n---\n").filter(own).collect::<Vec<_>>().join("\n---\n")
}

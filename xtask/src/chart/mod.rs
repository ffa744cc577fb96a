//! `cargo xtask chart`: the chart as a text.
//!
//! helm reads it strictly, with its defaults and with every example, for every Kubernetes that it is
//! for; what comes out is held against the schemas that Kubernetes publishes. What only a real
//! cluster can say is said by `cargo xtask kubernetes`.

mod table;
mod values;

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
const REFUSED: [(&[&str], &str); 16] = [
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
    let mut resources = Vec::new();
    for values in std::iter::once(None).chain(examples.iter().map(Some)) {
        let given =
            values.map_or_else(Vec::new, |path| vec!["--values".as_ref(), path.as_os_str()]);
        let mut lint = helm.command();
        lint.args(["lint", "--strict", "--kube-version", VERSIONS[0]]).args(&given).arg(&chart);
        answer(&mut lint)?;
        let rendered = |version: &str| {
            let mut template = helm.command();
            template.args([
                "template",
                "icecore",
                "--kube-version",
                version,
                "--namespace",
                "snow",
            ]);
            answer(template.args(&given).arg(&chart))
        };
        // Nothing in the chart asks for the version: one text is for all.
        let (oldest, newest) = (rendered(VERSIONS[0])?, rendered(VERSIONS[VERSIONS.len() - 1])?);
        ensure!(oldest == newest, "the chart is another one for another Kubernetes");
        resources.push(oldest);
    }
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
        "xtask: the chart holds for Kubernetes {} to {}, with its defaults and {} examples; {} wrong \
         values are refused",
        VERSIONS[0],
        VERSIONS[VERSIONS.len() - 1],
        examples.len(),
        REFUSED.len()
    );
    Ok(())
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

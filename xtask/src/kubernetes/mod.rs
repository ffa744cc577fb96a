//! `cargo xtask kubernetes`: the chart on a real cluster, the one that KUBECONFIG names.
//!
//! The image is built and loaded, and the chart is installed in a namespace of its own that enforces the
//! restricted Pod Security Standard: with its defaults, with examples, and with stores that run
//! beside the cluster. Then things happen to it, while real clients outside produce and consume.

mod cluster;
mod failures;
mod first;
mod fleet;
mod flow;
mod monitoring;
mod policies;
mod steps;
mod stores;
mod upgrades;
mod volumes;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::command::answer;
use crate::components::{Components, Helm, Place};
use crate::groups::end_on_signal;
use crate::image;
use cluster::{Cluster, Values};
use flow::Clients;
use steps::{Steps, eventually};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The tag of the image that the release is upgraded to: another image with the same program.
const NEXT: &str = "next";
const NODE_PORT: u16 = 30092;
/// What the clients write to.
const TOPIC: &str = "flow";

#[derive(clap::Args)]
pub(crate) struct Kubernetes {
    /// A command that gives an image archive, its last argument, to the cluster's nodes, such as "kind load
    /// image-archive"
    #[arg(long, value_name = "COMMAND")]
    image_load: String,
    /// A command that runs another one where the nodes' addresses are reached; not needed when they are
    /// reached from here
    #[arg(long, value_name = "COMMAND", default_value = "")]
    outside: String,
    /// An address there that pods reach: stores listen on it
    #[arg(long, value_name = "IP")]
    outside_address: String,
    /// The namespace to make, and to remove at the end
    #[arg(long, default_value = "icecore-xtask")]
    namespace: String,
    /// Only these parts
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Take the program of the image as it was compiled before
    #[arg(long)]
    compiled: bool,
    /// Leave everything as it is when a step fails
    #[arg(long)]
    keep: bool,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Default values: ready, admitted, first records, kill, uninstall, install again
    Defaults,
    /// Topics from values
    Topics,
    /// Policies and topics from values: where settings come from, changes, differences
    Policies,
    /// ServiceMonitor, alerts and NetworkPolicy, with the definitions of Prometheus' operator
    Monitoring,
    /// HDFS beside the cluster
    Hdfs,
    /// LocalStack's S3 beside the cluster
    LocalStack,
    /// The replay fleet on S3 beside the cluster: read, scaled, killed, without the broker
    Fleet,
    /// S3 beside the cluster: replay, failures, upgrades, volumes, restore
    S3,
}

/// What all parts use.
struct Run {
    steps: Steps,
    cluster: Cluster,
    components: Components,
    place: Place,
}

pub(crate) fn run(kubernetes: &Kubernetes) -> Result<()> {
    end_on_signal()?;
    let components = Components::install_for_kubernetes()?;
    let steps = Steps::new();
    images(kubernetes, &steps)?;
    let cluster = Cluster::open(Helm::of(&components), &kubernetes.namespace)?;
    let place = Place::new(&kubernetes.outside, &kubernetes.outside_address);
    let run = Run { steps, cluster, components, place };
    let done = run.parts(&kubernetes.only);
    if done.is_err() {
        run.cluster.explain();
    }
    if done.is_ok() || !kubernetes.keep {
        run.cluster.close()?;
    }
    done?;
    run.steps.end();
    Ok(())
}

/// Builds two images and loads them.
fn images(kubernetes: &Kubernetes, steps: &Steps) -> Result<()> {
    steps.part("Images");
    if !kubernetes.compiled {
        steps.step("the program is compiled, linked statically", image::compile)?;
    }
    for tag in [VERSION, NEXT] {
        let name = format!("icecore:{tag}");
        let archive = format!("target/image/icecore-{tag}.tar");
        steps.tell(&format!("{name} is packed twice, to the same digest, and loaded"), || {
            let packed = image::pack(&name, tag, Path::new(&archive))?;
            let mut words = kubernetes.image_load.split_whitespace();
            let mut load = Command::new(words.next().context("--image-load names a command")?);
            answer(load.args(words).arg(&packed.archive))?;
            Ok(format!("{}, {:.1} MB", packed.id, packed.bytes as f64 / 1e6))
        })?;
    }
    Ok(())
}

impl Run {
    fn parts(&self, only: &[Part]) -> Result<()> {
        let wanted = |part| only.is_empty() || only.contains(&part);
        if wanted(Part::Defaults) {
            self.defaults()?;
        }
        if wanted(Part::Topics) {
            self.topics()?;
        }
        if wanted(Part::Policies) {
            self.policies()?;
        }
        if wanted(Part::Monitoring) {
            self.monitoring()?;
        }
        if wanted(Part::Hdfs) {
            self.hdfs()?;
        }
        if wanted(Part::LocalStack) {
            self.localstack()?;
        }
        if wanted(Part::Fleet) {
            self.fleet()?;
        }
        if wanted(Part::S3) {
            self.s3()?;
        }
        Ok(())
    }

    /// The clients outside, who come in by the port of a node.
    fn clients(&self) -> Result<Clients> {
        let broker = format!("{}:{NODE_PORT}", self.cluster.node_address()?);
        Clients::new(&self.components, &self.place, broker)
    }

    /// Waits until so many records more are in the clients' topic.
    fn grown(&self, records: i64) -> Result<()> {
        let end = || -> Result<i64> {
            let partitions = self.cluster.partitions(TOPIC)?;
            Ok(partitions.iter().filter_map(|one| one["high_watermark"].as_i64()).sum())
        };
        let mut wanted = None;
        eventually(Duration::from_secs(120), "more records", || {
            let end = end()?;
            Ok(end >= *wanted.get_or_insert(end + records))
        })
    }

    /// Waits until all records of the clients' topic are in the store, and none on the local disk.
    fn drained(&self) -> Result<()> {
        eventually(Duration::from_secs(180), "a topic that is in the store alone", || {
            let partitions = self.cluster.partitions(TOPIC)?;
            Ok(partitions.iter().all(|one| one["local_log_start_offset"] == one["high_watermark"]))
        })
    }

    /// Bytes that the broker has fetched from the store for readers, since it started.
    fn fetched_bytes(&self) -> Result<f64> {
        self.cluster.metric("icecore_replay_fetched_bytes_total")
    }
}

/// A small volume and cache, and the topic of the clients with segments that soon leave the local disk.
fn small(files: &[&'static str]) -> Values {
    let setting = |name: &str| format!("topics.{TOPIC}.settings.{}", name.replace('.', "\\."));
    Values::of(files)
        .with("data.size", "1Gi")
        .with("cache.size", "1Gi")
        .with("cache.bytes", "64MiB")
        .with(&format!("topics.{TOPIC}.partitions"), 3)
        .with(&setting("segment.bytes"), "1MiB")
        .with(&setting("local.retention.ms"), "1s")
        .with(&setting("tiering.max.upload.lag.ms"), "10s")
}

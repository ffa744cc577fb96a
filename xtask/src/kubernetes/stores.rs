//! Stores beside the cluster: segments reach them, and a replay reads them back.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::cluster::Values;
use super::{Run, small};
use crate::components::versitygw::{ACCESS_KEY, SECRET_KEY};
use crate::components::{Hdfs, LocalStack, Versitygw, free_ports, hdfs};

const BUCKET: &str = "tiers";

impl Run {
    pub(super) fn hdfs(&self) -> Result<()> {
        self.steps.part("HDFS");
        let (place, components) = (&self.place, &self.components);
        let store = self.steps.step("a NameNode and a DataNode beside the cluster", || {
            Hdfs::start(components, place, free_ports(hdfs::PORTS)?)
        })?;
        let values = small(&["hdfs.yaml", "node-port.yaml"])
            .with("store.url", format!("{}/icecore", store.url()));
        self.steps.step("installed on it", || self.cluster.install(&values))?;
        self.seen_to_work_and_removed()
    }

    pub(super) fn localstack(&self) -> Result<()> {
        self.steps.part("S3 of LocalStack");
        let (place, components) = (&self.place, &self.components);
        let store = self.steps.step("LocalStack beside the cluster, with a bucket", || {
            let port = free_ports(1)?;
            let store = LocalStack::start(components, place, port)?;
            let answer = place.ask(port, "PUT", &format!("/{BUCKET}")).context("no answer")?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "no bucket: {answer}");
            self.secrets()?;
            Ok(store)
        })?;
        let values = on_s3(&store.endpoint());
        self.steps
            .step("installed on it, with keys from a Secret", || self.cluster.install(&values))?;
        self.seen_to_work_and_removed()
    }

    fn seen_to_work_and_removed(&self) -> Result<()> {
        self.written_and_read_back()?;
        let cluster = &self.cluster;
        self.steps.step("uninstalled, and the claims deleted", || {
            cluster.uninstall()?;
            cluster.delete_claims()
        })
    }

    pub(super) fn s3(&self) -> Result<()> {
        self.steps.part("S3");
        let cluster = &self.cluster;
        let store = self.s3_store(BUCKET)?;
        let values = on_s3(&store.endpoint());
        self.steps
            .step("installed on it, with its keys from a Secret", || cluster.install(&values))?;
        let clients = self.written_and_read_back()?;
        self.steps.tell("what lies in the bucket", || {
            let (logs, bytes) = objects(&store.folder().join(BUCKET))?;
            ensure!(logs > 3, "{logs} segments are in the bucket");
            Ok(format!("{logs} segments, {:.1} MB with all else", bytes as f64 / 1e6))
        })?;
        self.failures(&values, &clients)?;
        self.upgrades(&values, &clients)?;
        self.volumes(&values, &clients)
    }

    /// An S3 with a bucket, and the Secrets of the examples with its keys.
    pub(super) fn s3_store(&self, bucket: &str) -> Result<Versitygw> {
        let (place, components) = (&self.place, &self.components);
        self.steps.step("an S3 that checks signatures beside the cluster", || {
            let store = Versitygw::start(components, place, free_ports(1)?)?;
            std::fs::create_dir(store.folder().join(bucket))?;
            self.secrets()?;
            Ok(store)
        })
    }

    /// The Secrets of the examples, with the keys of the S3 beside the cluster.
    fn secrets(&self) -> Result<()> {
        let keys = [("access-key", ACCESS_KEY), ("secret-key", SECRET_KEY)];
        let keys = keys.map(|(name, value)| format!("--from-literal={name}={value}"));
        for secret in ["icecore-s3", "icecore-s3-read"] {
            self.cluster.kubectl(&["delete", "secret", secret, "--ignore-not-found"])?;
            self.cluster.kubectl(&["create", "secret", "generic", secret, &keys[0], &keys[1]])?;
        }
        Ok(())
    }

    /// Clients outside write; when the local copies are gone, they read all of it again.
    fn written_and_read_back(&self) -> Result<super::flow::Clients> {
        let clients = self.clients()?;
        let flow = clients.start()?;
        self.steps
            .step("clients outside produce and consume, 12,000 records", || self.grown(12_000))?;
        self.steps.tell("they saw each record once and in order", || flow.end())?;
        self.steps.step("all of it is in the store, and no copy is local", || self.drained())?;
        let before = self.fetched_bytes()?;
        self.steps.tell("a replay reads it back", || clients.check())?;
        let after = self.fetched_bytes()?;
        self.steps.tell("from the store", || {
            ensure!(after > before, "nothing was fetched from the store");
            Ok(format!("{:.1} MB fetched", (after - before) / 1e6))
        })?;
        Ok(clients)
    }
}

/// The example for S3, with a bucket beside the cluster.
fn on_s3(endpoint: &str) -> Values {
    small(&["s3.yaml", "node-port.yaml"])
        .with("store.url", format!("s3://{BUCKET}/icecore"))
        .with("store.options.endpoint", endpoint)
        .with("store.options.region", "us-east-1")
}

/// How many segments lie below a folder, and the bytes of all that does.
fn objects(folder: &Path) -> Result<(usize, u64)> {
    let (mut logs, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let (path, facts) = {
            let entry = entry?;
            (entry.path(), entry.metadata()?)
        };
        if facts.is_dir() {
            let (more, size) = objects(&path)?;
            logs += more;
            bytes += size;
        } else {
            logs += usize::from(path.extension().is_some_and(|extension| extension == "log"));
            bytes += facts.len();
        }
    }
    Ok((logs, bytes))
}

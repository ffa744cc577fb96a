//! A real HDFS in one process: a NameNode and a DataNode.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Components, Place, maven};
use crate::groups::Group;

const READY: Duration = Duration::from_secs(180);
/// NameNode, three of the DataNode, the NameNode's HTTP.
pub(crate) const PORTS: u16 = 5;

pub(super) fn install(components: &Components) -> Result<()> {
    maven::install(components, "hdfs", include_str!("hdfs/pom.xml"))
}

/// A running one, empty at its start.
pub(crate) struct Hdfs {
    url: String,
    group: Group,
}

impl Hdfs {
    pub(crate) fn start(components: &Components, place: &Place, port: u16) -> Result<Self> {
        let folder = components.folder().join("hdfs");
        let (state, log) = (components.folder().join("hdfs-state"), components.log("hdfs"));
        super::remove(&state)?;
        let source = folder.join("Hdfs.java");
        std::fs::write(&source, include_str!("hdfs/Hdfs.java"))?;
        // Its web server unpacks itself there, and does not clear it up.
        let scratch = components.fresh("hdfs-tmp")?;
        let mut command = place.command("java");
        command.arg(format!("-Djava.io.tmpdir={}", scratch.display()));
        command.args(["-Xmx512m", "-cp", &maven::class_path(&folder)]).arg(&source);
        command.arg(&state).arg(place.address()).arg(port.to_string());
        let mut group = Group::start_logged("HDFS", &mut command, &log)?;
        let ready = || {
            std::fs::read_to_string(&log)
                .is_ok_and(|text| text.lines().any(|line| line.starts_with("ready hdfs://")))
        };
        group.wait_until(READY, ready).with_context(|| format!("see {}", log.display()))?;
        Ok(Self { url: format!("hdfs://{}:{port}", place.address()), group })
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(super) fn id(&self) -> u32 {
        self.group.id()
    }
}

//! A broker under measurement: started from nothing, watched from outside.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::page_cache::PageCache;
use super::{icecore, kafka};
use crate::components::{Components, free_ports, performance_tool, remove};
use crate::groups::Group;

/// A start takes no longer.
pub(super) const READY: Duration = Duration::from_secs(120);

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Kafka,
    Icecore,
}

impl Peer {
    pub(super) const ALL: [Self; 2] = [Self::Kafka, Self::Icecore];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kafka => "Apache Kafka 4.3.1",
            Self::Icecore => "icecore",
        }
    }

    /// Whether it gets faster in its first gigabytes, as a JVM does.
    pub(super) fn needs_warming(self) -> bool {
        self == Self::Kafka
    }

    /// Starts it on what `folder` holds, or from nothing when it is not there.
    pub(super) fn start(self, place: &Place, folder: &Path) -> Result<Broker> {
        std::fs::create_dir_all(folder)?;
        let port = free_ports(3)?;
        let (command, log_dir) = match self {
            Self::Kafka => kafka::command(place, folder, port)?,
            Self::Icecore => icecore::command(place, folder, port),
        };
        Broker::start(self, command, log_dir, folder, port)
    }
}

/// What a run needs.
pub(super) struct Place {
    pub(super) components: Components,
    pub(super) icecore: PathBuf,
    pub(super) performance_tool: PathBuf,
    data: PathBuf,
    page_cache: PageCache,
}

impl Place {
    pub(super) fn new(components: &Components, icecore: PathBuf) -> Result<Self> {
        let data = crate::root()?.join("target/bench-data");
        let performance_tool = performance_tool(components.folder());
        let page_cache = PageCache::new(&crate::root()?.join("target"))?;
        Ok(Self { components: components.clone(), icecore, performance_tool, data, page_cache })
    }

    /// An empty folder for a broker's data, and a full page cache.
    pub(super) fn fresh(&mut self) -> Result<PathBuf> {
        remove(&self.data)?;
        self.page_cache.fill()?;
        Ok(self.data.clone())
    }
}

/// A running broker.
pub(super) struct Broker {
    pub(super) peer: Peer,
    pub(super) address: String,
    /// From the start of the process until it took a connection and answered.
    pub(super) ready: Duration,
    log_dir: PathBuf,
    group: Group,
}

impl Broker {
    fn start(
        peer: Peer,
        mut command: Command,
        log_dir: PathBuf,
        folder: &Path,
        port: u16,
    ) -> Result<Self> {
        let log = folder.join("broker.log");
        let began = Instant::now();
        let mut group = Group::start_logged(peer.name(), &mut command, &log)?;
        group
            .wait_until(READY, || answers(port))
            .with_context(|| format!("see {}", log.display()))?;
        let ready = began.elapsed();
        Ok(Self { peer, address: format!("127.0.0.1:{port}"), ready, log_dir, group })
    }

    /// User and system time of the process so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.group.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |at: usize| fields.split_whitespace().nth(at)?.parse::<u64>().ok();
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            bail!("{stat:?} is no line of /proc")
        };
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 ticks")]
        Ok((user + system) as f64 / ticks_per_second as f64)
    }

    /// Resident memory of the process, in MiB.
    pub(super) fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.group.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.context("no VmRSS")? / 1024.0)
    }

    /// Where partition 0 of a topic lies.
    pub(super) fn partition_folder(&self, topic: &str) -> PathBuf {
        self.log_dir.join(format!("{topic}-0"))
    }

    /// Bytes of record files that partition 0 of a topic has on the local disk.
    pub(super) fn local_bytes(&self, topic: &str) -> Result<u64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.partition_folder(topic))? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "log") {
                // A segment may go while we look.
                bytes += path.metadata().map_or(0, |metadata| metadata.len());
            }
        }
        Ok(bytes)
    }

    /// Makes a topic, with icecore's own command for both.
    pub(super) fn create_topic(
        &self,
        place: &Place,
        name: &str,
        partitions: u32,
        settings: &[&str],
    ) -> Result<()> {
        let mut command = Command::new(&place.icecore);
        command.args(["topic", "create", name, "--broker", &self.address, "--partitions"]);
        command.arg(partitions.to_string());
        command.args(settings.iter().flat_map(|setting| ["--config", setting]));
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "topic {name} was not made: {said}");
        Ok(())
    }

    /// Ends the process without a word, as a crash does.
    pub(super) fn kill(self) -> Result<()> {
        self.group.kill()
    }
}

/// Whether a broker takes a connection and answers ApiVersions.
fn answers(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    // ApiVersions version 0, correlation id 1, no client id.
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let mut answer = [0; 8];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.write_all(&request).is_ok()
        && stream.read_exact(&mut answer).is_ok()
}

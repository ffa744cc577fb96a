//! The real things that the tests run against, installed below `target/components`.
//!
//! A component is there when its stamp holds exactly the recipe that this source asks for; the
//! stamp is written last, so an install that was cut off is done again from nothing.

mod azurite;
mod bad_s3;
mod clients;
mod fake_gcs;
mod golang;
pub(crate) mod hdfs;
mod helm;
mod librdkafka;
mod localstack;
mod maven;
mod place;
mod probe;
mod prometheus;
mod stores;
mod tools;
pub(crate) mod versitygw;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};

use azurite::Azurite;
use bad_s3::BadS3;
use fake_gcs::FakeGcs;
pub(crate) use hdfs::Hdfs;
pub(crate) use helm::Helm;
pub(crate) use librdkafka::performance_tool;
pub(crate) use localstack::LocalStack;
pub(crate) use place::Place;
pub(crate) use stores::Stores;
pub(crate) use versitygw::Versitygw;

use crate::groups::Group;

type Installer = fn(&Components) -> Result<()>;

/// Where everything lies.
#[derive(Clone)]
pub(crate) struct Components {
    folder: PathBuf,
}

impl Components {
    /// Installs what all tests need: real clients, every store, and what judges the chart.
    pub(crate) fn install() -> Result<Self> {
        let mut all = Self::CLIENTS.to_vec();
        all.extend(Self::STORES);
        all.extend(Self::CHART);
        Self::install_all(&all)
    }

    /// Installs what the end-to-end tests need: real clients, and LocalStack.
    pub(crate) fn install_for_end_to_end() -> Result<Self> {
        let mut all = Self::CLIENTS.to_vec();
        all.push(localstack::install);
        Self::install_all(&all)
    }

    /// Installs what judges the chart as a text.
    pub(crate) fn install_for_chart() -> Result<Self> {
        Self::install_all(&Self::CHART)
    }

    /// Installs what is needed beside a Kubernetes cluster.
    pub(crate) fn install_for_kubernetes() -> Result<Self> {
        tools::require_buildah()?;
        let installers: [Installer; 5] = [
            helm::install,
            versitygw::install,
            localstack::install,
            hdfs::install,
            clients::install_python,
        ];
        Self::install_all(&installers)
    }

    /// Installs what packs an image.
    pub(crate) fn install_for_image() -> Result<()> {
        tools::require_buildah()
    }

    /// Installs every store.
    pub(crate) fn install_stores() -> Result<Self> {
        Self::install_all(&Self::STORES)
    }

    const CHART: [Installer; 2] = [helm::install, helm::install_judges];
    const CLIENTS: [Installer; 3] =
        [prometheus::install, clients::install_python, clients::install_kafka];
    /// The slowest first.
    const STORES: [Installer; 5] = [
        fake_gcs::install,
        versitygw::install,
        localstack::install,
        azurite::install,
        hdfs::install,
    ];

    /// Side by side.
    fn install_all(installers: &[Installer]) -> Result<Self> {
        tools::require()?;
        let components = Self { folder: crate::root()?.join("target/components") };
        std::fs::create_dir_all(components.logs())?;
        let place = &components;
        thread::scope(|scope| {
            let running: Vec<_> =
                installers.iter().map(|install| scope.spawn(move || install(place))).collect();
            running.into_iter().try_for_each(|installer| {
                installer.join().map_err(|_| anyhow!("an installer panicked"))?
            })
        })?;
        Ok(components)
    }

    /// Installs what the benchmarks need: Kafka and librdkafka's load generator.
    pub(crate) fn install_for_benchmarks() -> Result<Self> {
        tools::require()?;
        let components = Self { folder: crate::root()?.join("target/components") };
        std::fs::create_dir_all(components.logs())?;
        clients::install_kafka(&components)?;
        librdkafka::install(&components)?;
        Ok(components)
    }

    /// Where everything lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the components' logs lie.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// An empty folder for what a component writes while it runs.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        remove(&folder)?;
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Runs `install` in an empty folder `name`, unless `recipe` was installed there before.
    fn once(
        &self,
        name: &str,
        recipe: &str,
        install: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let (folder, stamp) = (self.folder.join(name), self.folder.join(format!("{name}.stamp")));
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == recipe) {
            return Ok(());
        }
        println!("xtask: installing {name}");
        let start = Instant::now();
        for old in [&folder, &stamp] {
            remove(old)?;
        }
        std::fs::create_dir_all(&folder)?;
        install(&folder).with_context(|| {
            format!(
                "installing {name} (its log: {})",
                self.log(&format!("{name}-install")).display()
            )
        })?;
        println!("xtask: installed {name} in {} s", start.elapsed().as_secs());
        Ok(std::fs::write(&stamp, recipe)?)
    }

    /// Runs one command of an install, logged.
    fn run(&self, name: &str, command: &mut Command) -> Result<()> {
        Group::start_logged(name, command, &self.log(&format!("{name}-install")))?.succeed()
    }
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

/// The first of `count` ports in a row that are free now. Below the range that the system gives to
/// outgoing connections, so that none of them takes one before it is bound.
pub(crate) fn free_ports(count: u16) -> Result<u16> {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let first = 12_000 + u16::try_from(std::process::id() % 700)? * 10;
    let found = (first..20_000)
        .step_by(10)
        .chain((12_000..first).step_by(10))
        .find(|start| (*start..start + count).all(free));
    found.context("no free ports between 12000 and 20000")
}

/// A virtual environment with `packages` in it.
fn virtual_environment(components: &Components, name: &str, packages: &[&str]) -> Result<()> {
    components.once(name, &packages.join("\n"), |folder| {
        components.run(name, Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        ensure!(folder.join("bin/pip").exists(), "python3 -m venv made no pip");
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
        components.run(name, &mut pip)
    })
}

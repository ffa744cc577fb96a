//! Azurite, for Azure's blobs.
//!
//! Without `--disableTelemetry` it calls home.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Components, probe};
use crate::groups::Group;

const PACKAGE: &str = "azurite@3.35.0";
const READY: Duration = Duration::from_secs(60);
/// The account that every Azurite has.
const ACCOUNT: &str = "devstoreaccount1";

pub(super) fn install(components: &Components) -> Result<()> {
    components.once("azurite", PACKAGE, |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(folder).arg(PACKAGE);
        components.run("azurite", npm.current_dir(folder))
    })
}

/// A running one, empty at its start.
pub(crate) struct Azurite {
    port: u16,
    group: Group,
}

impl Azurite {
    pub(crate) fn start(components: &Components, port: u16) -> Result<Self> {
        let state = components.fresh("azurite-state")?;
        let log = components.log("azurite");
        let program = components.folder().join("azurite/node_modules/.bin/azurite-blob");
        let mut command = Command::new(program);
        command
            .args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"])
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--location".as_ref(), state.as_os_str()])
            .current_dir(&state);
        let mut group = Group::start_logged("Azurite", &mut command, &log)?;
        group
            .wait_until(READY, || probe::answers(port, &format!("/{ACCOUNT}")))
            .with_context(|| format!("see {}", log.display()))?;
        Ok(Self { port, group })
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    pub(super) fn id(&self) -> u32 {
        self.group.id()
    }
}

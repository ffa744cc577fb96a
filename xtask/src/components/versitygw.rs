//! versitygw, a second S3: it checks signatures and checksums, and keeps plain files with extended
//! attributes in its folder.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Components, golang, probe};
use crate::groups::Group;

const PACKAGE: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
const READY: Duration = Duration::from_secs(60);

/// The credentials that it takes; the tests name the same ones.
const ACCESS_KEY: &str = "test";
const SECRET_KEY: &str = "testtest";

pub(super) fn install(components: &Components) -> Result<()> {
    golang::install(components, "versitygw", PACKAGE)
}

/// A running one, empty at its start.
pub(crate) struct Versitygw {
    port: u16,
    group: Group,
}

impl Versitygw {
    pub(crate) fn start(components: &Components, port: u16) -> Result<Self> {
        let state = components.fresh("versitygw-state")?;
        let log = components.log("versitygw");
        let mut command = Command::new(components.folder().join("versitygw/bin/versitygw"));
        command
            .args(["--quiet", "--port", &format!("127.0.0.1:{port}"), "--health", "/health"])
            .args(["posix".as_ref(), state.as_os_str()])
            .env("ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("ROOT_SECRET_KEY", SECRET_KEY);
        let mut group = Group::start_logged("versitygw", &mut command, &log)?;
        group
            .wait_until(READY, || probe::is_well(port, "/health"))
            .with_context(|| format!("see {}", log.display()))?;
        Ok(Self { port, group })
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn id(&self) -> u32 {
        self.group.id()
    }
}

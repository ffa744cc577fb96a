//! The proxy that misbehaves on order (`cargo xtask bad-store`), in front of a running S3.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Components, probe};
use crate::groups::Group;

const READY: Duration = Duration::from_secs(20);

/// A running one.
pub(crate) struct BadS3 {
    port: u16,
    _group: Group,
}

impl BadS3 {
    pub(crate) fn start(components: &Components, port: u16, upstream: &str) -> Result<Self> {
        let log = components.log("bad-store");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bad-store", "--upstream", upstream]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        let mut group = Group::start_logged("the bad store", &mut command, &log)?;
        group
            .wait_until(READY, || probe::is_well(port, "/_bad/orders"))
            .with_context(|| format!("see {}", log.display()))?;
        Ok(Self { port, _group: group })
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

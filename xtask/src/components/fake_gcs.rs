//! fake-gcs-server, for Google Cloud Storage: reads and lists. It lacks the XML uploads that the
//! client library sends, so the tests make its objects through the JSON API.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Components, golang, probe};
use crate::groups::Group;

const PACKAGE: &str = "github.com/fsouza/fake-gcs-server@v1.56.1";
const READY: Duration = Duration::from_secs(60);

pub(super) fn install(components: &Components) -> Result<()> {
    golang::install(components, "fake-gcs-server", PACKAGE)
}

/// A running one, empty at its start.
pub(crate) struct FakeGcs {
    port: u16,
    group: Group,
}

impl FakeGcs {
    pub(crate) fn start(components: &Components, port: u16) -> Result<Self> {
        let state = components.fresh("fake-gcs-server-state")?;
        let log = components.log("fake-gcs-server");
        let program = components.folder().join("fake-gcs-server/bin/fake-gcs-server");
        let mut command = Command::new(program);
        command
            .args(["-backend", "filesystem", "-filesystem-root"])
            .arg(&state)
            .args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()])
            .args(["-public-host", &format!("127.0.0.1:{port}")]);
        let mut group = Group::start_logged("fake-gcs-server", &mut command, &log)?;
        group
            .wait_until(READY, || probe::is_well(port, "/_internal/healthcheck"))
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

//! versitygw, a second S3: it checks signatures and checksums, and keeps plain files with extended
//! attributes in its folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Components, Place, golang};
use crate::groups::Group;

const PACKAGE: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
const READY: Duration = Duration::from_secs(60);

/// The credentials that it takes; the tests name the same ones.
pub(crate) const ACCESS_KEY: &str = "test";
pub(crate) const SECRET_KEY: &str = "testtest";

pub(super) fn install(components: &Components) -> Result<()> {
    golang::install(components, "versitygw", PACKAGE)
}

/// A running one, empty at its start.
pub(crate) struct Versitygw {
    endpoint: String,
    folder: PathBuf,
    group: Group,
}

impl Versitygw {
    pub(crate) fn start(components: &Components, place: &Place, port: u16) -> Result<Self> {
        let folder = components.fresh("versitygw-state")?;
        let log = components.log("versitygw");
        let address = format!("{}:{port}", place.address());
        let mut command = place.command(components.folder().join("versitygw/bin/versitygw"));
        command
            .args(["--quiet", "--port", &address])
            .args(["posix".as_ref(), folder.as_os_str()])
            .env("ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("ROOT_SECRET_KEY", SECRET_KEY);
        let mut group = Group::start_logged("versitygw", &mut command, &log)?;
        group
            .wait_until(READY, || place.listens(port))
            .with_context(|| format!("see {}", log.display()))?;
        Ok(Self { endpoint: format!("http://{address}"), folder, group })
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Where its buckets are folders.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn id(&self) -> u32 {
        self.group.id()
    }
}

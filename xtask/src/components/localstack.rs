//! LocalStack, for S3.
//!
//! The pins belong together: later releases install on Python 3.11 but do not run there, and
//! newer cbor2, pyOpenSSL and cryptography lack what this release calls. What fails then says only
//! "No component plugins found", so readiness asks for S3 itself, not for an answer.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Components, probe, virtual_environment};
use crate::groups::Group;

const PACKAGES: &[&str] = &[
    "localstack-core[base-runtime]==4.9.2",
    "cbor2<6",
    "pyopenssl<26",
    "cryptography<47",
    "service_identity",
];
const READY: Duration = Duration::from_secs(120);

pub(super) fn install(components: &Components) -> Result<()> {
    virtual_environment(components, "localstack", PACKAGES)
}

/// A running one; it forgets its objects when it ends.
pub(crate) struct LocalStack {
    port: u16,
    group: Group,
}

impl LocalStack {
    pub(crate) fn start(components: &Components, port: u16) -> Result<Self> {
        let state = components.fresh("localstack-state")?;
        let mut command = Command::new(components.folder().join("localstack/bin/python"));
        command
            .args(["-m", "localstack.runtime.main"])
            .current_dir(&state)
            .env("TMPDIR", &state)
            .env("SERVICES", "s3")
            .env("EAGER_SERVICE_LOADING", "1")
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            .env("DISABLE_EVENTS", "1")
            .env("SKIP_SSL_CERT_DOWNLOAD", "1")
            .env("DNS_ADDRESS", "0");
        let log = components.log("localstack");
        let mut group = Group::start_logged("LocalStack", &mut command, &log)?;
        group
            .wait_until(READY, || {
                probe::get(port, "/_localstack/health").is_ok_and(|health| serves_s3(&health))
            })
            .with_context(|| format!("see {}", log.display()))?;
        Ok(Self { port, group })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn id(&self) -> u32 {
        self.group.id()
    }
}

fn serves_s3(health: &str) -> bool {
    ["running", "available"].iter().any(|state| health.contains(&format!("\"s3\": \"{state}\"")))
}

//! LocalStack, for S3.
//!
//! The pins belong together: later releases install on Python 3.11 but do not run there, and
//! newer cbor2, pyOpenSSL and cryptography lack what this release calls. What fails then says only
//! "No component plugins found", so readiness asks for S3 itself, not for an answer.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Components, Place, virtual_environment};
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
    endpoint: String,
    group: Group,
}

impl LocalStack {
    pub(crate) fn start(components: &Components, place: &Place, port: u16) -> Result<Self> {
        let state = components.fresh("localstack-state")?;
        let address = format!("{}:{port}", place.address());
        let mut command = place.command(components.folder().join("localstack/bin/python"));
        command
            .args(["-m", "localstack.runtime.main"])
            .current_dir(&state)
            .env("TMPDIR", &state)
            .env("SERVICES", "s3")
            .env("EAGER_SERVICE_LOADING", "1")
            .env("GATEWAY_LISTEN", &address)
            .env("DISABLE_EVENTS", "1")
            .env("SKIP_SSL_CERT_DOWNLOAD", "1")
            .env("DNS_ADDRESS", "0");
        let log = components.log("localstack");
        let mut group = Group::start_logged("LocalStack", &mut command, &log)?;
        group
            .wait_until(READY, || {
                let health = place.ask(port, "GET", "/_localstack/health");
                health.is_some_and(|health| serves_s3(&health))
            })
            .with_context(|| format!("see {}", log.display()))?;
        Ok(Self { endpoint: format!("http://{address}"), group })
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub(super) fn id(&self) -> u32 {
        self.group.id()
    }
}

fn serves_s3(health: &str) -> bool {
    ["running", "available"].iter().any(|state| health.contains(&format!("\"s3\": \"{state}\"")))
}

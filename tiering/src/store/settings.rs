//! How the store is reached, and how long a call may take.

use std::collections::BTreeMap;
use std::time::Duration;

use super::StoreOpenError;

/// Which kind of store a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// A folder: `file:///path`.
    File,
    /// This process's memory: `memory://`. Everything is lost with the process.
    Memory,
    /// S3 and what speaks its protocol: `s3://bucket/prefix`.
    S3,
    /// Google Cloud Storage: `gs://bucket/prefix`.
    Gcs,
    /// Azure Blob Storage: `az://container/prefix`.
    Azure,
    /// The Hadoop file system: `hdfs://name-node:port/path`.
    Hdfs,
}

/// How an upload is verified before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verify {
    /// By the size that the store tells. Enough where the store checked a checksum on the way in.
    Size,
    /// By reading everything back and comparing its checksum.
    ReadBack,
}

/// How to reach a store.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `file:///path`, `memory://`, `s3://bucket/prefix`, `gs://…`, `az://…`, `hdfs://host:port/…`.
    pub url: String,
    /// Further options by name. For S3: `endpoint`, `region`, `access_key_id`,
    /// `secret_access_key`, `session_token`, `virtual_hosted` (false), `checksum` (`crc64nvme`,
    /// `sha256` or `none`). For gs and az: the names of the client library (`service_account_key`,
    /// `access_key`, …) and `ambient_credentials` (false) to ask the cloud's metadata address. For
    /// hdfs: Hadoop's own names. For all: `call_timeout` and `request_timeout`, such as `30s`, which
    /// take the place of the fields below.
    pub options: BTreeMap<String, String>,
    /// The longest time a call may take, all its retries included. Default 60 s.
    pub call_timeout: Duration,
    /// Calls that move bytes get one more second for each of these. Default 1 MiB.
    pub transfer_bytes_per_second_min: u64,
    /// The longest time of one HTTP request with its body. Default 30 s.
    pub request_timeout: Duration,
    /// The longest time to wait for a connection. Default 5 s.
    pub connect_timeout: Duration,
    /// Retries of one call inside the client. Default 4.
    pub retries_max: usize,
    /// How uploads are verified. By default, by size where the store checks a checksum on the way
    /// in (S3 with `checksum`, HDFS), else by reading back.
    pub verify: Option<Verify>,
    /// Whether the store is only read: then every change of it is refused, whoever asks. Default
    /// false.
    pub read_only: bool,
}

impl StoreSettings {
    /// The defaults for a URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            options: BTreeMap::new(),
            call_timeout: Duration::from_secs(60),
            transfer_bytes_per_second_min: 1 << 20,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            retries_max: 4,
            verify: None,
            read_only: false,
        }
    }

    /// The same for a store that is another's: nothing in it is ever changed.
    #[must_use]
    pub fn only_to_read(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Sets one option.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Takes the options that tell of time out of the others.
    pub(super) fn with_times(mut self) -> Result<Self, StoreOpenError> {
        for (name, time) in [
            ("call_timeout", &mut self.call_timeout),
            ("request_timeout", &mut self.request_timeout),
        ] {
            let Some(text) = self.options.remove(name) else { continue };
            let given = humantime::parse_duration(&text).ok().filter(|given| !given.is_zero());
            let wrong = || StoreOpenError::Option {
                name: name.into(),
                reason: format!("{text:?} is not a time such as 30s"),
            };
            *time = given.ok_or_else(wrong)?;
        }
        Ok(self)
    }

    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.option(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    /// How long a call that moves `bytes` may take.
    pub(crate) fn deadline(&self, bytes: u64) -> Duration {
        let seconds = bytes / self.transfer_bytes_per_second_min.max(1);
        self.call_timeout + Duration::from_secs(seconds)
    }
}

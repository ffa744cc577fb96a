//! `icecore.toml`.
//!
//! ```toml
//! data-dir  = "/var/lib/icecore"
//! listen    = "0.0.0.0:9092"
//! advertise = "broker.example:9092"
//! store     = "s3://bucket/prefix"      # or the name of a table below
//! read-only = false
//!
//! [settings]                            # Kafka's names, in quotes
//! "num.partitions"    = 4
//! "log.segment.bytes" = "256MiB"
//!
//! [stores.main]
//! url      = "s3://bucket/prefix"
//! endpoint = "http://127.0.0.1:4566"
//!
//! [[policy]]
//! name     = "long"
//! topics   = ["orders-*", "audit"]
//! settings = { "retention.ms" = "365d", "local.retention.ms" = "1d" }
//! ```
//!
//! What a value has of `${env:NAME}` stands for that variable of the environment, so that a file that
//! people may read holds no secret.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::environment;
use super::error::Problem;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) data_dir: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) advertise: Option<String>,
    pub(super) http: Option<String>,
    pub(super) store: Option<String>,
    pub(super) read_only: Option<bool>,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, Scalar>,
    #[serde(default)]
    pub(super) stores: BTreeMap<String, BTreeMap<String, Scalar>>,
    #[serde(default, rename = "policy")]
    pub(super) policies: Vec<PolicyTable>,
}

/// A file that has policies, written as above, and nothing else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(rename = "policy", default)]
    policies: Vec<PolicyTable>,
}

/// A policy as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PolicyTable {
    pub(super) name: String,
    pub(super) topics: Vec<String>,
    #[serde(default)]
    pub(super) priority: i32,
    pub(super) settings: BTreeMap<String, Scalar>,
}

/// A value that has a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl Scalar {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }
}

impl File {
    /// Puts the environment into the values of settings and of stores.
    pub(super) fn fill_in(
        &mut self,
        env: impl Fn(&str) -> Option<String>,
        problems: &mut Vec<Problem>,
    ) {
        let settings = self.settings.iter_mut().map(|(name, value)| (name.clone(), value));
        let stores = self.stores.iter_mut().flat_map(|(store, table)| {
            table.iter_mut().map(move |(name, value)| (format!("stores.{store}.{name}"), value))
        });
        for (name, value) in settings.chain(stores) {
            let Scalar::Text(text) = value else { continue };
            match environment::fill_in(text, &env) {
                Ok(filled) => *text = filled,
                Err(wrong) => problems.push(Problem::Conflict(format!("{name}: {wrong}"))),
            }
        }
    }
}

pub(super) fn read(path: &Path) -> Result<File, Problem> {
    parse(path)
}

pub(super) fn read_policies(path: &Path) -> Result<Vec<PolicyTable>, Problem> {
    parse(path).map(|file: PolicyFile| file.policies)
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, Problem> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problem::File(format!("cannot read {shown}: {error}")))?;
    toml::from_str(&text).map_err(|error| Problem::File(format!("{shown}: {error}")))
}

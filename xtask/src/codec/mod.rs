//! Writes Kafka's message codec: message definitions in, committed Rust out.
//!
//! `definitions` gets the definitions, `schema` reads them, `types` says what each type is in
//! Rust, `plan` settles names, conditions and defaults, `emit*` writes text and knows nothing of
//! JSON, `output` formats and writes or compares. The output is a function of the definitions
//! alone: the same jars give the same bytes.

mod definitions;
mod emit;
mod emit_api;
mod emit_fields;
mod emit_table;
mod names;
mod output;
mod plan;
mod schema;
mod types;

use anyhow::{Context as _, Result};

use plan::FilePlan;
use schema::{Definition, Kind};

/// The release whose messages the project speaks.
const KAFKA_VERSION: &str = "4.3.1";

/// Messages that are not an API's: embedded in group requests, or records of `__consumer_offsets`.
const COORDINATOR_MESSAGES: [&str; 6] = [
    "ConsumerProtocolSubscription",
    "ConsumerProtocolAssignment",
    "OffsetCommitKey",
    "OffsetCommitValue",
    "GroupMetadataKey",
    "GroupMetadataValue",
];

/// Writes the codec, or with `check` compares it with what is committed.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = crate::root()?;
    let work = root.join("target/codec");
    let definitions = definitions::load(&work)?;
    let files = plan_files(&definitions)?;
    output::settle(root, &work, emit::all(&files), check)
}

fn plan_files(definitions: &[Definition]) -> Result<Vec<FilePlan>> {
    let mut files = Vec::new();
    for request in client_facing(definitions) {
        let api = request.api_key.context("a request has an api key")?;
        let response = definitions
            .iter()
            .find(|other| other.kind == Kind::Response && other.api_key == Some(api))
            .with_context(|| format!("no response for api {api}"))?;
        let name = request.api_name();
        files.push(FilePlan::new(&names::snake(name), &[request, response])?);
    }
    files.push(named(definitions, "headers", &["RequestHeader", "ResponseHeader"])?);
    files.push(named(definitions, "coordinator", &COORDINATOR_MESSAGES)?);
    Ok(files)
}

/// Requests that a broker's listener takes, in order of their keys.
fn client_facing(definitions: &[Definition]) -> Vec<&Definition> {
    let mut requests: Vec<_> = definitions
        .iter()
        .filter(|definition| definition.kind == Kind::Request && !definition.is_removed())
        .filter(|definition| definition.listeners.iter().any(|listener| listener == "broker"))
        .collect();
    requests.sort_by_key(|definition| definition.api_key);
    requests
}

fn named(definitions: &[Definition], module: &str, names: &[&str]) -> Result<FilePlan> {
    let found = names
        .iter()
        .map(|name| {
            definitions
                .iter()
                .find(|definition| definition.name == *name)
                .with_context(|| format!("no definition of {name}"))
        })
        .collect::<Result<Vec<_>>>()?;
    FilePlan::new(module, &found)
}

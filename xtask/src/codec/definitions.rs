//! Where the message definitions come from: Kafka's own jars, fetched once with Maven.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use zip::ZipArchive;

use super::KAFKA_VERSION;
use super::schema::Definition;

const FOLDER: &str = "common/message/";
/// The second holds the records of `__consumer_offsets`.
const ARTIFACTS: [&str; 2] = ["kafka-clients", "kafka-group-coordinator"];

/// Every definition of the jars, in order of jar and name.
pub(super) fn load(work: &Path) -> Result<Vec<Definition>> {
    let mut definitions = Vec::new();
    for artifact in ARTIFACTS {
        let jar = fetch(work, artifact)?;
        read_jar(&jar, &mut definitions).with_context(|| format!("reading {}", jar.display()))?;
    }
    Ok(definitions)
}

fn fetch(work: &Path, artifact: &str) -> Result<PathBuf> {
    let jar = work.join(format!("{artifact}-{KAFKA_VERSION}.jar"));
    if jar.exists() {
        return Ok(jar);
    }
    std::fs::create_dir_all(work)?;
    let status = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy", "-Dmdep.useBaseVersion=true"])
        .arg(format!("-Dartifact=org.apache.kafka:{artifact}:{KAFKA_VERSION}"))
        .arg(format!("-DoutputDirectory={}", work.display()))
        .current_dir(work)
        .status()
        .context("running mvn: the codec's definitions come out of Kafka's jars by Maven")?;
    ensure!(status.success(), "mvn could not fetch {artifact} {KAFKA_VERSION}: {status}");
    ensure!(jar.exists(), "mvn left no {}", jar.display());
    Ok(jar)
}

fn read_jar(jar: &Path, into: &mut Vec<Definition>) -> Result<()> {
    let mut archive = ZipArchive::new(File::open(jar)?)?;
    let mut names: Vec<String> = archive
        .file_names()
        .filter(|name| name.starts_with(FOLDER) && name.ends_with(".json"))
        .map(str::to_owned)
        .collect();
    names.sort();
    for name in names {
        let mut text = String::new();
        archive.by_name(&name)?.read_to_string(&mut text)?;
        into.push(Definition::parse(&text).with_context(|| name.clone())?);
    }
    Ok(())
}

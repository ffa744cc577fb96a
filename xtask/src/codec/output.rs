//! Formats the generated files in a folder of their own, then copies what differs into the tree,
//! or says what differs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// Holds nothing but generated files, so a file that is no longer written is removed.
const GENERATED_FOLDER: &str = "src/wire/messages";

/// One generated file.
pub(super) struct Output {
    /// Relative to the workspace's root.
    pub(super) path: String,
    pub(super) text: String,
}

/// Writes the files under `root`, or with `check` only compares.
pub(super) fn settle(root: &Path, work: &Path, files: Vec<Output>, check: bool) -> Result<()> {
    let files = formatted(root, &work.join("out"), files)?;
    let stale = stale_files(root, &files)?;
    let differing: Vec<&Output> = files
        .iter()
        .filter(|file| fs::read_to_string(root.join(&file.path)).ok().as_ref() != Some(&file.text))
        .collect();
    if check {
        return report(&differing, &stale);
    }
    for file in &differing {
        let path = root.join(&file.path);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        fs::write(&path, &file.text).with_context(|| path.display().to_string())?;
    }
    for path in &stale {
        fs::remove_file(root.join(path))?;
    }
    println!("{} files, {} written, {} removed", files.len(), differing.len(), stale.len());
    Ok(())
}

fn report(differing: &[&Output], stale: &[String]) -> Result<()> {
    if differing.is_empty() && stale.is_empty() {
        println!("the committed codec is what the generator writes");
        return Ok(());
    }
    for file in differing {
        eprintln!("differs from what the generator writes: {}", file.path);
    }
    for path in stale {
        eprintln!("no longer written by the generator: {path}");
    }
    bail!("the committed codec is not the generator's; run `cargo xtask codec` and commit")
}

fn stale_files(root: &Path, files: &[Output]) -> Result<Vec<String>> {
    let written: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let folder = root.join(GENERATED_FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut stale = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = format!("{GENERATED_FOLDER}/{}", entry?.file_name().to_string_lossy());
        if !written.contains(path.as_str()) {
            stale.push(path);
        }
    }
    stale.sort();
    Ok(stale)
}

/// One run of rustfmt over all files, outside the tree, so that a check leaves the tree alone.
fn formatted(root: &Path, out: &Path, files: Vec<Output>) -> Result<Vec<Output>> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    for file in &files {
        let path = out.join(&file.path);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        fs::write(&path, &file.text)?;
        paths.push(path);
    }
    let status = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .args(&paths)
        .status()
        .context("running rustfmt")?;
    ensure!(status.success(), "rustfmt refused the generated code in {}", out.display());
    files
        .into_iter()
        .map(|file| Ok(Output { text: fs::read_to_string(out.join(&file.path))?, ..file }))
        .collect()
}

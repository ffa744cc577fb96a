//! icecore as a release build, with a local folder as its object store.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::peer::Place;
use crate::test_run::phase;

/// Builds it and returns the program.
pub(super) fn build() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--release", "--bin", "icecore"]).current_dir(crate::root()?);
    phase("building icecore", &mut cargo)?;
    Ok(crate::root()?.join("target/release/icecore"))
}

/// The command that runs it, and the folder of its partitions.
pub(super) fn command(place: &Place, folder: &Path, port: u16) -> (Command, PathBuf) {
    let mut command = Command::new(&place.icecore);
    command
        .args(["serve", "--data-dir"])
        .arg(folder)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--http", &format!("127.0.0.1:{}", port + 1)])
        .args(["--set", "group.initial.rebalance.delay.ms=0"])
        .args(["--set", "log.retention.check.interval.ms=1000"]);
    (command, folder.join("log"))
}

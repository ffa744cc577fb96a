//! The programs of the system that the tests call: installed by apt for root, else asked for.

use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

/// Programs, and the Debian packages that bring them.
const TOOLS: &[(&str, &str)] = &[
    ("python3", "python3 python3-venv"),
    ("java", "openjdk-17-jdk-headless"),
    ("javac", "openjdk-17-jdk-headless"),
    ("mvn", "maven"),
    ("kcat", "kcat"),
    ("strace", "strace"),
];

/// Installs what is missing, or says what to install.
pub(super) fn require() -> Result<()> {
    let missing = || TOOLS.iter().filter(|(program, _)| !is_there(program));
    let mut packages: Vec<_> = missing().flat_map(|(_, packages)| packages.split(' ')).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    if rustix::process::geteuid().is_root() && is_there("apt-get") {
        println!("xtask: apt-get install {}", packages.join(" "));
        apt_get(&["update", "-qq"])?;
        apt_get(&[&["install", "-y", "-qq", "--no-install-recommends"], &packages[..]].concat())?;
    }
    let absent: Vec<_> = missing().map(|(program, _)| *program).collect();
    ensure!(
        absent.is_empty(),
        "the tests call {}, not found in PATH: install it (Debian packages: {})",
        absent.join(", "),
        packages.join(" ")
    );
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    let status = command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status()?;
    if !status.success() {
        bail!("apt-get {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    // Each of them knows one of these; what it answers does not matter.
    let argument = if program == "java" { "-version" } else { "--version" };
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

//! The programs of the system that the tests call: installed by apt for root, else asked for.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

/// A call that works where the program does, and the Debian packages that bring it.
const TOOLS: &[(&[&str], &[&str])] = &[
    (&["python3", "-c", "import ensurepip, venv"], &["python3", "python3-venv"]),
    (&["java", "-version"], &["openjdk-17-jdk-headless"]),
    (&["javac", "-version"], &["openjdk-17-jdk-headless"]),
    (&["mvn", "--version"], &["maven"]),
    (&["go", "version"], &["golang-go"]),
    (&["node", "--version"], &["nodejs"]),
    (&["npm", "--version"], &["npm"]),
    (&["kcat", "-V"], &["kcat"]),
    (&["strace", "-V"], &["strace"]),
];

/// What packs an image.
const BUILDAH: &[(&[&str], &[&str])] = &[(&["buildah", "--version"], &["buildah"])];

/// Installs what the tests call and is missing, or says what to install.
pub(super) fn require() -> Result<()> {
    require_all(TOOLS)
}

/// The same for what packs an image.
pub(super) fn require_buildah() -> Result<()> {
    require_all(BUILDAH)
}

fn require_all(tools: &[(&[&str], &[&str])]) -> Result<()> {
    let missing = || tools.iter().filter(|(call, _)| !works(call));
    let mut packages: Vec<&str> = missing().flat_map(|(_, packages)| *packages).copied().collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    if rustix::process::geteuid().is_root() && works(&["apt-get", "--version"]) {
        println!("xtask: apt-get install {}", packages.join(" "));
        refresh_packages()?;
        apt_get(&[&["install", "-y", "-qq", "--no-install-recommends"], &packages[..]].concat())?;
    }
    let absent: Vec<_> = missing().map(|(call, _)| call.join(" ")).collect();
    ensure!(
        absent.is_empty(),
        "what is needed does not work here: `{}`; install it (Debian packages: {})",
        absent.join("`, `"),
        packages.join(" ")
    );
    Ok(())
}

/// Has apt know today's packages. Whoever is not root takes those that it knows already.
pub(super) fn refresh_packages() -> Result<()> {
    if rustix::process::geteuid().is_root() { apt_get(&["update", "-qq"]) } else { Ok(()) }
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    let status = command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status()?;
    ensure!(status.success(), "apt-get {} failed: {status}", arguments.join(" "));
    Ok(())
}

fn works(call: &[&str]) -> bool {
    let mut command = Command::new(call[0]);
    command.args(&call[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

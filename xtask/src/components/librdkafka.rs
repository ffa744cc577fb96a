//! librdkafka's own load generator, `rdkafka_performance`, built from the sources that the crate
//! `rdkafka-sys` carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Components;

/// The client of the benchmarks.
const MANIFEST: &str = include_str!("librdkafka/Cargo.toml.in");
/// Where it lies in what `cargo vendor` brings.
const SOURCES: &str = "vendor/rdkafka-sys/librdkafka";
/// No TLS, no SASL, no zstd: the benchmarks use none, and the machine need not have them.
const WITHOUT: &[&str] = &[
    "--disable-ssl",
    "--disable-gssapi",
    "--disable-curl",
    "--disable-zstd",
    "--disable-lz4-ext",
    "--enable-static",
];

pub(super) fn install(components: &Components) -> Result<()> {
    components.once("librdkafka", MANIFEST, |folder| {
        std::fs::create_dir_all(folder.join("src"))?;
        std::fs::write(folder.join("src/lib.rs"), "")?;
        std::fs::write(folder.join("Cargo.toml"), MANIFEST)?;
        let mut vendor = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        components.run("librdkafka", vendor.args(["vendor", "vendor"]).current_dir(folder))?;
        let sources = folder.join(SOURCES);
        // The package has lost the bits that say what is executable.
        let mut configure = Command::new("sh");
        configure.arg("-c").arg(format!(
            "chmod +x configure mklove/modules/configure.* lds-gen.py && ./configure {}",
            WITHOUT.join(" ")
        ));
        components.run("librdkafka", configure.current_dir(&sources))?;
        for target in [&["-j2", "libs"][..], &["-C", "examples", "rdkafka_performance"][..]] {
            components
                .run("librdkafka", Command::new("make").args(target).current_dir(&sources))
                .context("gcc, g++ and make build librdkafka (Debian package: build-essential)")?;
        }
        Ok(())
    })
}

/// The program.
pub(crate) fn performance_tool(components: &Path) -> PathBuf {
    components.join("librdkafka").join(SOURCES).join("examples/rdkafka_performance")
}

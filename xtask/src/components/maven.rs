//! Jars by Maven.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Components;

/// A folder `name` with the jars of `pom`, and of all that they depend on, in its `lib`.
pub(super) fn install(components: &Components, name: &str, pom: &str) -> Result<()> {
    components.once(name, pom, |folder| {
        std::fs::write(folder.join("pom.xml"), pom)?;
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]);
        components.run(name, maven.current_dir(folder))
    })
}

/// The class path of those jars.
pub(super) fn class_path(folder: &Path) -> String {
    format!("{}/*", folder.join("lib").display())
}

//! Programs by `go install`.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::Components;

/// A folder `name` with the program of `package` in its `bin`.
pub(super) fn install(components: &Components, name: &str, package: &str) -> Result<()> {
    components.once(name, package, |folder| {
        let mut go = Command::new("go");
        go.args(["install", package]).env("GOBIN", folder.join("bin"));
        components.run(name, go.current_dir(folder)).context(
            "Go 1.26 or later builds it (an older one that may download its successor will do)",
        )
    })
}

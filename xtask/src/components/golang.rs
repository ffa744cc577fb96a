//! Programs in Go.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::Components;

/// A folder `name` with the program of `package` in its `bin`.
pub(super) fn install(components: &Components, name: &str, package: &str) -> Result<()> {
    components.once(name, package, |folder| {
        let mut go = Command::new("go");
        go.args(["install", package]).env("GOBIN", folder.join("bin"));
        components.run(name, go.current_dir(folder)).context(HINT)
    })
}

const HINT: &str =
    "Go 1.26 or later builds it (an older one that may download its successor will do)";

/// The same for a module that `go install` refuses, since it leaves versions of others out: it is
/// built as a dependency of an empty module. The program is `MODULE/cmd/NAME`.
pub(super) fn build(
    components: &Components,
    name: &str,
    module: &str,
    version: &str,
    flags: &[&str],
) -> Result<()> {
    let recipe = format!("{module}@{version} {}", flags.join(" "));
    components.once(name, &recipe, |folder| {
        let program = format!("{module}/cmd/{name}");
        let call = |arguments: &[&str]| {
            let mut go = Command::new("go");
            go.args(arguments).current_dir(folder);
            components.run(name, &mut go).context(HINT)
        };
        call(&["mod", "init", "component"])?;
        call(&["get", &format!("{program}@{version}")])?;
        call(&[&["build"], flags, &["-o", "bin/", &program]].concat())
    })
}

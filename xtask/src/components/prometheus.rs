//! Prometheus itself: what scrapes a broker and answers the dashboard's questions in the tests.
//!
//! The one of the system where there is one, else that of Debian's package, unpacked and not installed: an
//! installed one would begin to run. To build it takes nine minutes of a processor, for one test.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Components, tools};

const NAME: &str = "prometheus";
/// Of the system, or unpacked by this source in this way.
const RECIPE: &str = "of the system, or Debian's package";
const HINT: &str = "there is no `prometheus` here, and no package of Debian to be had: install one";

pub(super) fn install(components: &Components) -> Result<()> {
    components.once(NAME, RECIPE, |folder| {
        std::fs::create_dir(folder.join("bin"))?;
        let program = match of_the_system() {
            Some(program) => program,
            None => {
                tools::refresh_packages().context(HINT)?;
                let mut download = Command::new("apt-get");
                download.args(["download", "-qq", NAME]).current_dir(folder);
                components.run(NAME, &mut download).context(HINT)?;
                let mut unpack = Command::new("sh");
                unpack.args(["-c", "dpkg-deb --extract *.deb . && rm *.deb"]).current_dir(folder);
                components.run(NAME, &mut unpack).context(HINT)?;
                PathBuf::from("../usr/bin").join(NAME)
            }
        };
        Ok(symlink(program, folder.join("bin").join(NAME))?)
    })
}

fn of_the_system() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(NAME)).find(|program| program.is_file())
}

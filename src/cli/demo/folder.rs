//! Where the demo keeps its files. A folder of our own is removed at the end, a given one never.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The folder of one run.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    /// Makes a folder among the temporary files, or takes the given one, which must be empty.
    pub(super) fn open(given: Option<&Path>) -> anyhow::Result<Self> {
        let name = || format!("icecore-demo-{}", uuid::Uuid::new_v4().simple());
        let path = match given {
            Some(given) => std::path::absolute(given)?,
            None => std::env::temp_dir().join(name()),
        };
        let shown = path.display();
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {shown}"))?;
        if std::fs::read_dir(&path)?.next().is_some() {
            bail!("{shown} holds something already: give --dir an empty folder");
        }
        Ok(Self { path, ours: given.is_none() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it there for a look at what went wrong.
    pub(super) fn keep(&mut self) {
        self.ours = false;
    }

    /// Removes a folder of ours; where it is, if it stays.
    pub(super) fn end(&self) -> Option<String> {
        let removed = self.ours && std::fs::remove_dir_all(&self.path).is_ok();
        (!removed).then(|| self.path.display().to_string())
    }
}

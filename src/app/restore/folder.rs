//! The data directory that a restore fills: empty before, whole after, and marked in between.
//!
//! Invariant: while [`MARK`] is there, nothing in the directory counts. A broker does not start on
//! it, and a restore that is made again removes what the one before left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::RestoreError;
use crate::env::NoEdges;
use crate::log::checkpoint::{replace, sync_folder_of};

/// Names the directory as one that a restore is filling.
const MARK: &str = ".restoring";
/// The mark on its way into its place.
const MARK_UNFINISHED: &str = ".restoring.tmp";
/// What the mark says: the directory's instance.
const INSTANCE: &str = "icecore tier restore fills this directory: instance ";
/// What a restore writes.
const MADE: [&str; 7] = [
    "metadata.db",
    "metadata.db-wal",
    "metadata.db-shm",
    "manifest.db",
    "manifest.db-wal",
    "manifest.db-shm",
    "log",
];
/// What may lie in an empty directory: the lock, what a new file system brings along, and the read
/// cache, which is of use to whoever has the same store, and may be a file system of its own.
const NOTHING: [&str; 4] = [".lock", "lost+found", "cache", MARK_UNFINISHED];
/// Names that an error tells.
const TOLD_MAX: usize = 5;

/// Whether a restore began here and did not come to its end.
pub(in crate::app) fn is_unfinished(data_dir: &Path) -> bool {
    data_dir.join(MARK).exists()
}

/// What lies in the directory that a fresh one would not have; a store inside it is none of it.
fn contents(data_dir: &Path, store_url: &str) -> io::Result<Vec<String>> {
    let store = store_url.strip_prefix("file://").map(PathBuf::from);
    let here = std::path::absolute(data_dir)?;
    let mut found = Vec::new();
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_store = store.as_ref().is_some_and(|store| store.starts_with(here.join(&name)));
        if !is_store && !NOTHING.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Takes a directory that is empty, or that a broken-off restore left, and marks it. Gives the
/// instance that the directory is from now on: a restore that is made again goes on as the same.
/// Blocking.
pub(super) fn begin(data_dir: &Path, store_url: &str) -> Result<String, RestoreError> {
    let io = |source| RestoreError::Folder { folder: data_dir.display().to_string(), source };
    let mut instance = uuid::Uuid::new_v4().simple().to_string();
    if is_unfinished(data_dir) {
        tracing::info!(data_dir = %data_dir.display(), "a restore was broken off here: it begins anew");
        remove_made(data_dir).map_err(io)?;
        let mark = fs::read_to_string(data_dir.join(MARK)).map_err(io)?;
        if let Some(known) = mark.lines().next().and_then(|line| line.strip_prefix(INSTANCE)) {
            known.clone_into(&mut instance);
        }
    }
    let mut found = contents(data_dir, store_url).map_err(io)?;
    found.retain(|name| name != MARK);
    if !found.is_empty() {
        found.truncate(TOLD_MAX);
        let (folder, found) = (data_dir.display().to_string(), found.join(", "));
        return Err(RestoreError::NotEmpty { folder, found });
    }
    let mark = format!("{INSTANCE}{instance}\n");
    replace(&data_dir.join(MARK), mark.as_bytes(), &NoEdges).map_err(io)?;
    Ok(instance)
}

/// Leaves the directory as it was found: nothing was restored. Blocking.
pub(super) fn give_up(data_dir: &Path) -> Result<(), RestoreError> {
    remove_made(data_dir)
        .and_then(|()| remove(&data_dir.join(MARK)))
        .map_err(|source| RestoreError::Folder { folder: data_dir.display().to_string(), source })
}

fn remove_made(data_dir: &Path) -> io::Result<()> {
    MADE.iter().try_for_each(|name| remove(&data_dir.join(name)))
}

/// Makes the directory count. Blocking.
pub(super) fn end(data_dir: &Path) -> Result<(), RestoreError> {
    let mark = data_dir.join(MARK);
    let done = sync_folder_of(&mark)
        .and_then(|()| fs::remove_file(&mark))
        .and_then(|()| sync_folder_of(&mark));
    done.map_err(|source| RestoreError::Folder { folder: data_dir.display().to_string(), source })
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_directory_is_taken_and_only_what_a_restore_left_is_removed() {
        let dir = tempfile::tempdir().expect("dir");
        let here = dir.path();
        let store = format!("file://{}", here.join("store/deep").display());
        for name in ["lost+found", "store", "cache"] {
            fs::create_dir(here.join(name)).expect("folder");
        }
        fs::write(here.join(".lock"), b"").expect("lock");
        let instance = begin(here, &store).expect("empty");
        assert!(is_unfinished(here));
        fs::write(here.join("metadata.db"), b"half").expect("write");
        fs::create_dir_all(here.join("log/t-0")).expect("folder");
        assert_eq!(begin(here, &store).expect("what was left goes"), instance);
        assert!(!here.join("metadata.db").exists() && !here.join("log").exists());
        end(here).expect("end");
        assert!(!is_unfinished(here));

        fs::write(here.join("metadata.db"), b"whole").expect("write");
        let error = begin(here, &store).expect_err("not empty");
        assert!(error.to_string().contains("metadata.db"), "{error}");
        assert!(here.join("metadata.db").exists() && !is_unfinished(here), "nothing was touched");
    }
}

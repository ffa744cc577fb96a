//! A folder as an object store.
//!
//! Invariant: when a write is answered, the file's bytes, its name and the folders above it are
//! on stable storage (`with_fsync`; the library's default is off). The local copy of a segment is
//! deleted on the strength of it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use object_store::local::LocalFileSystem;

use super::StoreOpenError;

pub(super) fn open(folder: &Path) -> Result<LocalFileSystem, StoreOpenError> {
    let cannot = |source| StoreOpenError::Folder { folder: folder.display().to_string(), source };
    create_durably(folder).map_err(cannot)?;
    let files = open_existing(folder)?;
    Ok(files.with_fsync(true))
}

/// Opens a folder that is another's: none is made.
pub(super) fn open_existing(folder: &Path) -> Result<LocalFileSystem, StoreOpenError> {
    let cannot = |source| StoreOpenError::Folder { folder: folder.display().to_string(), source };
    if !folder.is_dir() {
        return Err(cannot(io::ErrorKind::NotFound.into()));
    }
    let files = LocalFileSystem::new_with_prefix(folder);
    files.map_err(|error| cannot(io::Error::other(error)))
}

/// Creates missing folders and syncs the parent of each.
fn create_durably(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_durably(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => created?,
    }
    folder.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}

/// Files that a write of a dead process left half-written: the library stages an object `x` as
/// `x#1`, and hides such names from lists.
pub(super) fn staged_before(folder: &Path, before: SystemTime) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if is_staged(&entry.file_name().to_string_lossy())
                && entry.metadata()?.modified()? <= before
            {
                left.push(entry.path());
            }
        }
    }
    Ok(left)
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, digits)| {
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// Removes a folder and its sub-folders as far as they are empty.
pub(super) fn remove_empty(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // A folder that still holds something stays, which is what the call is for.
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_synced_before_they_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(&folder.path().join("a/b/c")).unwrap();
        assert!(format!("{files:?}").contains("fsync: true"), "the library's default is off");
    }

    #[test]
    fn only_old_staged_files_are_left_overs() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("x/y");
        fs::create_dir_all(&below).unwrap();
        for name in ["a.log", "a.log#1", "b.index#22", "c#", "d#x1"] {
            fs::write(below.join(name), "x").unwrap();
        }
        let names = |before| {
            let mut left = staged_before(folder.path(), before).unwrap();
            left.sort();
            left.iter().map(|file| file.file_name().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let hour = std::time::Duration::from_secs(3600);
        assert_eq!(names(SystemTime::now() + hour), ["a.log#1", "b.index#22"]);
        assert!(names(SystemTime::now() - hour).is_empty());
        assert!(staged_before(&folder.path().join("none"), SystemTime::now()).unwrap().is_empty());
    }

    #[test]
    fn only_empty_folders_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("t/0")).unwrap();
        fs::create_dir_all(folder.path().join("t/1")).unwrap();
        fs::write(folder.path().join("t/1/kept"), "x").unwrap();
        remove_empty(&folder.path().join("t"));
        assert!(!folder.path().join("t/0").exists() && folder.path().join("t/1/kept").exists());
    }
}

//! Lines into a file, each once.
//!
//! Invariant: the checkpoint's length is durable. What lies behind it was written by a process that
//! died before its checkpoint, and is cut off before anything is written.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

/// The file that is written.
#[derive(Debug)]
pub(super) struct FileSink {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl FileSink {
    /// Makes a file that must not hold anything yet: nothing of the user's is written over.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = File::options().create(true).append(true).open(path);
        let file = claimed(file.with_context(|| format!("cannot write {shown}"))?, path)?;
        let bytes = file.metadata().with_context(|| format!("cannot look at {shown}"))?.len();
        ensure!(
            bytes == 0,
            "{shown} holds something already: remove it, give another --to-file, or the --checkpoint \
             of the replay that wrote it"
        );
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// Goes on behind the first `bytes` of a file.
    pub(super) fn go_on(path: &Path, bytes: u64) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = File::options().append(true).open(path);
        let file = claimed(file.with_context(|| format!("cannot go on with {shown}"))?, path)?;
        let has = file.metadata().with_context(|| format!("cannot look at {shown}"))?.len();
        ensure!(
            has >= bytes,
            "{shown} has {has} bytes, and its checkpoint is of {bytes}: it was cut by others; remove \
             both to begin anew"
        );
        file.set_len(bytes).with_context(|| format!("cannot cut {shown} to its checkpoint"))?;
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// Appends whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(lines);
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Makes what was written durable; the length of the file.
    pub(super) fn sync(&mut self) -> anyhow::Result<u64> {
        match self.file.sync_data() {
            // A pipe or a terminal has nothing to make durable.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(self.bytes),
            synced => {
                synced.with_context(|| format!("cannot sync {}", self.path.display()))?;
                Ok(self.bytes)
            }
        }
    }
}

/// A file that two processes write at a time would have neither's records in order.
fn claimed(file: File, path: &Path) -> anyhow::Result<File> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("{} is being written by another replay", path.display())
        }
        // Not every file system has locks, and none is needed where one process is at work.
        Err(TryLockError::Error(_)) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_the_checkpoint_is_written_again() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("f");
        let mut first = FileSink::create(&path).expect("create");
        first.write(b"one\n").expect("write");
        let done = first.sync().expect("sync");
        first.write(b"tw").expect("write");
        drop(first);
        let mut second = FileSink::go_on(&path, done).expect("go on");
        second.write(b"two\n").expect("write");
        assert_eq!(second.sync().expect("sync"), 8);
        assert_eq!(std::fs::read(&path).expect("read"), b"one\ntwo\n");
        let told = FileSink::go_on(&path, 8).expect_err("two at a time").to_string();
        assert!(told.contains("another replay"), "{told}");
    }

    #[test]
    fn nothing_of_the_users_is_written_over_and_a_cut_file_is_told() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("f");
        std::fs::write(&path, "mine").expect("write");
        let told = FileSink::create(&path).expect_err("it holds something").to_string();
        assert!(told.contains("holds something already"), "{told}");
        let told = FileSink::go_on(&path, 5).expect_err("it is shorter").to_string();
        assert!(told.contains("was cut by others"), "{told}");
        assert_eq!(std::fs::read(&path).expect("read"), b"mine");
    }
}

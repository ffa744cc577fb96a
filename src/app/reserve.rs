//! Room that is kept on the disk of the data directory for a start that finds it full.
//!
//! The watermarks hold producers of this broker back, and nobody else. A start writes a little (leader
//! epochs, the journals of the databases), so on a disk that others have filled it would fail, and
//! neither serve what it has nor free what is uploaded.
//!
//! Invariant: the file has blocks and no content, so it may go at any time. It goes before a start that
//! finds less room than it has, and is made again when there is plenty.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::task;

const NAME: &str = ".reserve";
/// It has this part of the disk, but never more than [`BYTES_MAX`].
const PART: u64 = 64;
const BYTES_MAX: u64 = 8 << 20;
/// It is made again when this many times its size is free.
const PLENTY: u64 = 4;
/// How often it is looked whether it can be made again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Gives the room up when a start would have too little. Blocking.
pub(super) fn give_up_if_full(data_dir: &Path) {
    match give_up(data_dir) {
        Ok(None) => {}
        Ok(Some(free)) => tracing::warn!(
            free,
            "the disk is full: the room that was kept for this start is given up. Make room on it"
        ),
        Err(error) => tracing::warn!(%error, "the room that is kept for a start was not looked at"),
    }
}

/// The bytes that were free, when the room was given up.
fn give_up(data_dir: &Path) -> io::Result<Option<u64>> {
    let (free, wanted) = disk(data_dir)?;
    if free >= wanted {
        return Ok(None);
    }
    match std::fs::remove_file(data_dir.join(NAME)) {
        Ok(()) => Ok(Some(free)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps the room, now or once there is plenty, until `stop`.
pub(super) fn start(data_dir: &Path, tasks: &TaskTracker, stop: &CancellationToken) {
    let (data_dir, stop) = (data_dir.to_owned(), stop.clone());
    tasks.spawn(async move {
        let mut every = tokio::time::interval(LOOK_EVERY);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            let data_dir: PathBuf = data_dir.clone();
            if let Err(error) = task::aside(move || keep(&data_dir)).await {
                tracing::warn!(%error, "no room is kept on the disk for a start that finds it full");
            }
        }
    });
}

/// Makes the file if it is not there, and there is plenty of room.
fn keep(data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join(NAME);
    let (free, wanted) = disk(data_dir)?;
    if path.exists() || free < wanted.saturating_mul(PLENTY) {
        return Ok(());
    }
    let made = File::create(&path)
        .and_then(|file| Ok(fallocate(&file, FallocateFlags::empty(), 0, wanted)?));
    if made.is_err() {
        // One without blocks keeps nothing.
        std::fs::remove_file(&path)?;
    }
    made
}

/// The free bytes of the disk, and those to keep.
fn disk(data_dir: &Path) -> io::Result<(u64, u64)> {
    let disk = statvfs(data_dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok((bytes(disk.f_bavail), (bytes(disk.f_blocks) / PART).min(BYTES_MAX)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_is_kept_has_blocks_and_stays_as_long_as_there_is_room() {
        let dir = tempfile::tempdir().expect("dir");
        keep(dir.path()).expect("kept");
        let kept = dir.path().join(NAME).metadata().expect("a file");
        let (_, wanted) = disk(dir.path()).expect("a disk");
        assert!(kept.blocks() * 512 >= wanted, "{} blocks for {wanted} bytes", kept.blocks());
        keep(dir.path()).expect("kept as it is");
        assert_eq!(give_up(dir.path()).expect("looked at"), None, "there is room");
        assert!(dir.path().join(NAME).exists());
    }
}

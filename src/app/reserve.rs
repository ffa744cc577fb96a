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
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::replica::disk_space;
use crate::task;

const NAME: &str = ".reserve";
/// What a file system counts blocks in, whatever the size of its own.
const BLOCK_BYTES: u64 = 512;
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
        let (mut every, mut told) = (tokio::time::interval(LOOK_EVERY), false);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            let data_dir = data_dir.clone();
            match task::aside(move || keep(&data_dir)).await {
                // Once: a file system that cannot will not learn it.
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(%error, "no room is kept on the disk for a start that finds it full");
                }
                Ok(()) | Err(_) => {}
            }
        }
    });
}

/// Makes the file if it is not there whole, and there is plenty of room.
fn keep(data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join(NAME);
    let (free, wanted) = disk(data_dir)?;
    let is_kept = path.metadata().is_ok_and(|kept| kept.blocks() * BLOCK_BYTES >= wanted);
    if is_kept || free < wanted.saturating_mul(PLENTY) {
        return Ok(());
    }
    let file = File::create(&path)?;
    Ok(fallocate(&file, FallocateFlags::empty(), 0, wanted)?)
}

/// The free bytes of the disk, and those to keep.
fn disk(data_dir: &Path) -> io::Result<(u64, u64)> {
    let (all, free) = disk_space(data_dir)?;
    Ok((free, (all / PART).min(BYTES_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_blocks_and_stays_as_long_as_there_is_room() {
        let dir = tempfile::tempdir().expect("dir");
        // A start that died before the blocks were there.
        File::create(dir.path().join(NAME)).expect("a file");
        keep(dir.path()).expect("kept");
        let kept = dir.path().join(NAME).metadata().expect("a file");
        let (_, wanted) = disk(dir.path()).expect("a disk");
        assert!(
            kept.blocks() * BLOCK_BYTES >= wanted,
            "{} blocks for {wanted} bytes",
            kept.blocks()
        );
        keep(dir.path()).expect("kept as it is");
        assert_eq!(give_up(dir.path()).expect("looked at"), None, "there is room");
        assert!(dir.path().join(NAME).exists());
    }
}

//! A cache folder belongs to one cache at a time: its owner.
//!
//! Each owner begins an era, 16 random bytes in the file that it locks. Who reads the slabs of a cache
//! that is another process's (`share`) tells by them whether it is still the same owner's.
//!
//! Invariant: the era is written before anything else in the folder is touched.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How long between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(10);
const NAME: &str = "lock";

/// Tells one owner of a folder from every other one.
pub(crate) type Era = [u8; 16];

/// Held as long as any part of the cache lives; the system lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub(super) struct Claim {
    _lock: File,
    pub(super) era: Era,
}

/// Claims the folder. `None` when another cache has it and keeps it for longer than `wait`: one that
/// is being closed lets go when its last write is done.
pub(super) fn claim(folder: &Path, wait: Duration) -> io::Result<Option<Claim>> {
    let lock = File::options().write(true).create(true).truncate(false).open(folder.join(NAME))?;
    let deadline = Instant::now() + wait;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let era = *uuid::Uuid::new_v4().as_bytes();
                lock.write_all_at(&era, 0)?;
                return Ok(Some(Claim { _lock: lock, era }));
            }
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(TRY_AGAIN),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The file that shows the era of a folder, for who does not own it.
pub(crate) fn open_era(folder: &Path) -> io::Result<File> {
    File::open(folder.join(NAME))
}

/// The era of this moment.
pub(crate) fn read_era(file: &File) -> io::Result<Era> {
    let mut era = [0; 16];
    file.read_exact_at(&mut era, 0)?;
    Ok(era)
}

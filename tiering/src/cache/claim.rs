//! A cache folder belongs to one cache at a time.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How long between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Held as long as any part of the cache lives; the system lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub(super) struct Claim {
    _lock: File,
}

/// Claims the folder. `None` when another cache has it and keeps it for longer than `wait`: one that
/// is being closed lets go when its last write is done.
pub(super) fn claim(folder: &Path, wait: Duration) -> io::Result<Option<Claim>> {
    let lock =
        File::options().write(true).create(true).truncate(false).open(folder.join("lock"))?;
    let deadline = Instant::now() + wait;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Claim { _lock: lock })),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(TRY_AGAIN),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

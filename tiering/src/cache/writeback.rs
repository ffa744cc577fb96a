//! Keeps the cache from flooding the page cache with dirty pages.
//!
//! Left alone, the system collects what is written and writes it out by the gigabyte: the `fdatasync`
//! of a log on the same disk then waits behind it, and past a bound every writer of the machine is
//! slowed down. So each chunk is handed to the disk as soon as it is written, and its thread waits
//! for the one that it handed over some chunks before.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use super::slabs::Place;

/// Bytes of one thread that are on their way to the disk at a time.
const ON_THEIR_WAY_MAX: u64 = 4 << 20;

/// What the disk failed to take: this chunk, or another one of its file.
pub(super) struct WriteFailed {
    pub(super) slot: u32,
    pub(super) error: io::Error,
}

struct Chunk {
    slot: u32,
    place: Place,
    len: u64,
}

/// The chunks of one thread that are on their way.
pub(super) struct Writeback {
    chunks: VecDeque<Chunk>,
    bytes: u64,
}

impl Writeback {
    pub(super) fn new() -> Self {
        Self { chunks: VecDeque::new(), bytes: 0 }
    }

    /// Starts to write out what was just written, and waits until not too much is on its way.
    pub(super) fn wrote(&mut self, slot: u32, place: Place, len: u64) -> Result<(), WriteFailed> {
        let fails = |slot| move |error| WriteFailed { slot, error };
        sync_file_range(&place, len, libc::SYNC_FILE_RANGE_WRITE).map_err(fails(slot))?;
        self.chunks.push_back(Chunk { slot, place, len });
        self.bytes += len;
        while self.bytes > ON_THEIR_WAY_MAX
            && let Some(Chunk { slot, place, len }) = self.chunks.pop_front()
        {
            self.bytes -= len;
            let wait = libc::SYNC_FILE_RANGE_WAIT_BEFORE
                | libc::SYNC_FILE_RANGE_WRITE
                | libc::SYNC_FILE_RANGE_WAIT_AFTER;
            sync_file_range(&place, len, wait).map_err(fails(slot))?;
        }
        Ok(())
    }
}

/// Writes out a range and nothing else of the file: no metadata, no journal, no flush of the disk's
/// own cache. It makes nothing durable, and nothing here asks for that.
fn sync_file_range(place: &Place, len: u64, flags: libc::c_uint) -> io::Result<()> {
    let file: &File = &place.file;
    let (from, len) = (place.position as i64, len as i64);
    loop {
        // SAFETY: the call takes numbers alone, and the descriptor is open as long as `file` is.
        let code = unsafe { libc::sync_file_range(file.as_raw_fd(), from, len, flags) };
        if code == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // A file system or a sandbox without it writes out when it likes.
            Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ESPIPE | libc::EINVAL) => return Ok(()),
            _ => return Err(error),
        }
    }
}

//! Queries that wait for no disk, so that a thread which serves sockets may make them.
//!
//! A lookup takes a few microseconds. The way to a thread that may wait, and back, takes several times
//! as long, and is needed only when a page is not in memory. Nobody can know that beforehand, so the query
//! is tried: SQLite lets its user replace the system calls that it makes, and its `pread` is replaced by
//! one that asks with `RWF_NOWAIT` while such a query runs. A page that has to come from the disk is an error
//! then (the kernel begins to read it), the query fails, and is made again where it may wait.
//!
//! Invariant: while [`run`] runs a query, SQLite on this thread reads no disk, waits for no lock of the
//! file, and takes a bounded number of steps. What is left is a mutex of SQLite's own, which its writer
//! holds while it makes the shared index of the write-ahead log longer: some few times in a process's life.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ffi};

use super::connection::BUSY_TIMEOUT;

/// After so many steps of its machine SQLite asks whether to go on. A lookup takes less than a hundred.
const STEPS: c_int = 1000;
/// How often the answer is yes. SQLite counts over all runs of a statement, so the first time says nothing.
const GOES_ON: u32 = 1;

/// SQLite is built with offsets of 64 bits.
const _: () = assert!(size_of::<libc::off_t>() == size_of::<i64>());

thread_local! {
    /// How often a query may still go on; none when it may take its time.
    static HURRY: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Whether SQLite calls our `pread`, and the system knows how not to wait.
static WORKS: AtomicBool = AtomicBool::new(false);

/// Replaces SQLite's `pread`, once in a process. To be called before the first connection is opened.
pub(super) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let replaced = replace_pread();
        WORKS.store(replaced, Ordering::Release);
        if !replaced {
            tracing::info!(
                "SQLite's reads cannot be watched here: each lookup goes to a thread that may wait"
            );
        }
    });
}

/// Lets queries of this connection be broken off.
pub(super) fn watch(connection: &Connection) {
    // SAFETY: the handle is open, and the callback needs nothing that could end before it.
    unsafe {
        let handle = connection.handle();
        ffi::sqlite3_progress_handler(handle, STEPS, Some(goes_on), std::ptr::null_mut());
    }
}

/// Makes a query on this thread if it waits for nothing. `None` when it would, and on any error: it is to
/// be made again where it may wait, and says there what is wrong.
pub(super) fn run<T, E>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> Result<T, E>,
) -> Option<T> {
    if !WORKS.load(Ordering::Acquire) {
        return None;
    }
    connection.busy_timeout(Duration::ZERO).ok()?;
    let hurry = Hurry::begin();
    let answer = query(connection);
    drop(hurry);
    connection.busy_timeout(BUSY_TIMEOUT).ok()?;
    answer.ok()
}

/// This thread waits for no disk until it is dropped.
struct Hurry;

impl Hurry {
    fn begin() -> Self {
        HURRY.set(Some(GOES_ON));
        Self
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        HURRY.set(None);
    }
}

/// SQLite breaks a query off when it is told anything but 0.
unsafe extern "C" fn goes_on(_: *mut c_void) -> c_int {
    match HURRY.get() {
        None => 0,
        Some(0) => 1,
        Some(left) => {
            HURRY.set(Some(left - 1));
            0
        }
    }
}

type Pread = unsafe extern "C" fn(c_int, *mut c_void, usize, libc::off_t) -> libc::ssize_t;

unsafe extern "C" fn pread(
    file: c_int,
    buffer: *mut c_void,
    len: usize,
    at: libc::off_t,
) -> libc::ssize_t {
    if HURRY.get().is_none() {
        // SAFETY: SQLite calls this as it would call pread(2) itself.
        return unsafe { libc::pread(file, buffer, len, at) };
    }
    let part = libc::iovec { iov_base: buffer, iov_len: len };
    // SAFETY: the part is the buffer that SQLite gave for pread(2), and lives until the call returns.
    let got = unsafe { libc::preadv2(file, &raw const part, 1, at, libc::RWF_NOWAIT) };
    if got < 0 {
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) {
            // An old kernel, a sandbox, or a file system that cannot tell.
            WORKS.store(false, Ordering::Release);
        }
    }
    got
}

/// Whether SQLite reads by our function from here on.
fn replace_pread() -> bool {
    const NAME: &std::ffi::CStr = c"pread";
    // SAFETY: the default file system of SQLite is there for ever. Its table of calls has what was compiled
    // in: without an entry for pread it reads by something else. The new function has the type of the old
    // one. Another thread that reads by SQLite right now calls the one or the other, and both are right.
    unsafe {
        let system = ffi::sqlite3_vfs_find(std::ptr::null());
        let Some(vfs) = system.as_ref() else { return false };
        let (Some(get), Some(set)) = (vfs.xGetSystemCall, vfs.xSetSystemCall) else { return false };
        if get(system, NAME.as_ptr()).is_none() {
            return false;
        }
        let ours = std::mem::transmute::<Pread, unsafe extern "C" fn()>(pread as Pread);
        set(system, NAME.as_ptr(), Some(ours)) == ffi::SQLITE_OK
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Instant;

    use super::*;
    use crate::manifest::connection;

    const ROWS: i64 = 20_000;

    /// A file with rows in it, in the build's own folder: a temporary one may lie in memory, which evicts
    /// nothing. Nothing is left in its write-ahead log.
    fn filled(folder: &tempfile::TempDir) -> std::path::PathBuf {
        let path = folder.path().join("manifest.db");
        let writer = connection::open_writer(&path).unwrap();
        let rows = "CREATE TABLE filled (id INTEGER PRIMARY KEY, text BLOB NOT NULL);
            WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < 20000)
            INSERT INTO filled SELECT n, zeroblob(500) FROM n; PRAGMA wal_checkpoint(TRUNCATE);";
        writer.execute_batch(rows).unwrap();
        path
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap()
    }

    fn one(connection: &Connection, id: i64) -> rusqlite::Result<i64> {
        let mut query =
            connection.prepare_cached("SELECT length(text) FROM filled WHERE id = ?1")?;
        query.query_row([id], |row| row.get(0))
    }

    fn all(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT sum(length(text)) FROM filled", [], |row| row.get(0))
    }

    /// A reader whose lookup of that row found its page not in memory. The page cache is only advised to
    /// forget a file, so it is told until it did.
    fn reader_without(path: &std::path::Path, id: i64) -> Connection {
        let (file, began) = (File::open(path).unwrap(), Instant::now());
        file.sync_all().unwrap();
        loop {
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            let reader = connection::open_reader(path).unwrap();
            if run(&reader, |reader| one(reader, id)).is_none() {
                return reader;
            }
            assert!(began.elapsed().as_secs() < 20, "the page cache does not let go of the file");
        }
    }

    /// What `run` gives where it works; a file system that cannot tell has every query made elsewhere.
    fn at_once(path: &std::path::Path) -> Option<i64> {
        let (mut byte, file) = ([0], File::open(path).unwrap());
        let buffers = &mut [io::IoSliceMut::new(&mut byte)];
        let told = rustix::io::preadv2(file, buffers, 0, rustix::io::ReadWriteFlags::NOWAIT);
        (told != Err(rustix::io::Errno::OPNOTSUPP)).then_some(500)
    }

    #[test]
    fn a_page_that_is_not_in_memory_is_not_waited_for_and_found_once_it_was_read() {
        let folder = folder();
        let path = filled(&folder);
        for id in [ROWS / 2, ROWS - 7] {
            let reader = reader_without(&path, id);
            assert_eq!(one(&reader, id), Ok(500), "a failure leaves the connection as it was");
            assert_eq!(run(&reader, |reader| one(reader, id)), at_once(&path));
        }
    }

    #[test]
    fn a_query_of_many_steps_is_broken_off_and_short_ones_never_are() {
        let folder = folder();
        let path = filled(&folder);
        let reader = connection::open_reader(&path).unwrap();
        assert_eq!(all(&reader), Ok(500 * ROWS));
        assert_eq!(run(&reader, all), None);
        for id in 0..2000 {
            assert_eq!(run(&reader, |reader| one(reader, id)), at_once(&path), "lookup {id}");
        }
        assert_eq!(all(&reader), Ok(500 * ROWS), "one that may take its time takes it");
    }
}

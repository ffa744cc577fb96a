//! Is a range of a file in the page cache, so that sendfile will not wait for a disk?
//!
//! `cachestat(2)` (Linux 6.5) counts the pages of a range in a tenth of a microsecond, but counts
//! pages whose read is still under way, so a few of them are asked with `preadv2(RWF_NOWAIT)`
//! whether they could be read at once. Where `cachestat` is missing, or blind (on overlayfs it
//! sees no page at all), `mincore(2)` on a mapping answers exactly, for some microseconds more.
//! An answer is good for now: who waits in between asks again.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, ReadWriteFlags};

/// Reads under way come in runs of the kernel's read-ahead window; one probe in each.
const PROBE_STEP: u64 = 128 * 1024;

/// The same on all architectures that Rust builds for; the libc crate lacks it on x86-64.
const SYS_CACHESTAT: libc::c_long = 451;

/// Asks the kernel, in the way that works here.
#[derive(Debug)]
pub(super) struct Residency {
    page: u64,
    /// Set once when `cachestat` turns out to be missing or blind.
    by_mincore: AtomicBool,
}

impl Residency {
    /// Finds out what this kernel has.
    pub(super) fn detect() -> Self {
        let page = rustix::param::page_size() as u64;
        let by_mincore = !has_cachestat();
        if by_mincore {
            tracing::info!("no cachestat in this kernel: asking mincore about the page cache");
        }
        Self { page, by_mincore: AtomicBool::new(by_mincore) }
    }

    /// Never sees a page, as on a file system that can tell nothing.
    #[cfg(test)]
    pub(super) fn blind() -> Self {
        Self { page: 1, by_mincore: AtomicBool::new(false) }
    }

    /// Whether all pages of the range, at least one byte, can be read without waiting. False when
    /// it cannot be known, and where the file ends before the range does.
    pub(super) fn is_resident(&self, file: &File, position: u64, len: u64) -> bool {
        let resident = if self.by_mincore.load(Ordering::Relaxed) {
            self.by_mincore(file, position, len)
        } else {
            self.by_cachestat(file, position, len)
        };
        resident.unwrap_or_else(|error| {
            tracing::debug!(%error, position, len, "the page cache cannot be asked");
            false
        })
    }

    /// After a range was read: if `cachestat` still sees nothing of it and `mincore` sees all, then
    /// `cachestat` is blind on some file system here and is not asked again.
    pub(super) fn check_sight(&self, file: &File, position: u64, len: u64) {
        let blind = !self.by_mincore.load(Ordering::Relaxed)
            && matches!(cachestat(file, position, len), Ok(0))
            && matches!(self.by_mincore(file, position, len), Ok(true));
        if blind && !self.by_mincore.swap(true, Ordering::Relaxed) {
            tracing::info!("cachestat is blind on this file system: asking mincore instead");
        }
    }

    fn by_cachestat(&self, file: &File, position: u64, len: u64) -> io::Result<bool> {
        let pages = (position + len - 1) / self.page - position / self.page + 1;
        if cachestat(file, position, len)? < pages {
            return Ok(false);
        }
        let last = position + len - 1;
        let probes = (position..last).step_by(PROBE_STEP as usize).chain([last]);
        Ok(probes.into_iter().all(|at| is_readable_now(file, at)))
    }

    fn by_mincore(&self, file: &File, position: u64, len: u64) -> io::Result<bool> {
        let start = position - position % self.page;
        let mapped = (position + len - start) as usize;
        // SAFETY: the mapping is never read: it only names the pages to mincore, so neither a
        // change nor a truncation of the file can be felt through it.
        let map = unsafe { memmap2::MmapOptions::new().offset(start).len(mapped).map(file)? };
        let mut pages = vec![0_u8; mapped.div_ceil(self.page as usize)];
        // SAFETY: the range is the mapping's, which lives until the end of the function, and there
        // is a byte for each of its pages.
        let code = unsafe {
            libc::mincore(map.as_ptr().cast_mut().cast(), mapped, pages.as_mut_ptr().cast())
        };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(pages.iter().all(|page| page & 1 == 1))
    }
}

/// Whether this byte's page holds its data. True where the file system cannot tell: then the count
/// of `cachestat` must do. False at the end of the file.
fn is_readable_now(file: &File, at: u64) -> bool {
    let mut byte = [0];
    let buffers = &mut [IoSliceMut::new(&mut byte)];
    match rustix::io::preadv2(file, buffers, at, ReadWriteFlags::NOWAIT) {
        Ok(read) => read == 1,
        Err(Errno::OPNOTSUPP) => true,
        Err(_) => false,
    }
}

#[repr(C)]
#[derive(Default)]
struct CachestatRange {
    position: u64,
    len: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// How many pages of a range are in the page cache, or on their way into it.
fn cachestat(file: &File, position: u64, len: u64) -> io::Result<u64> {
    let range = CachestatRange { position, len };
    let mut stat = Cachestat::default();
    // SAFETY: both structures have the layout of the kernel's and outlive the call.
    let code = unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &range, &mut stat, 0) };
    if code == 0 { Ok(stat.cached) } else { Err(io::Error::last_os_error()) }
}

/// An invalid descriptor is refused with EBADF by a kernel that has the call, and with ENOSYS, or
/// whatever a sandbox likes, by others.
fn has_cachestat() -> bool {
    let range = CachestatRange::default();
    let mut stat = Cachestat::default();
    // SAFETY: as in `cachestat`; the descriptor is checked before anything else.
    let code = unsafe { libc::syscall(SYS_CACHESTAT, -1, &range, &mut stat, 0) };
    code != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EBADF)
}

/// Makes the page cache forget the file's first `len` bytes. The advice is not an order: pages that
/// another processor has at hand are spared, so it is given until it was taken.
#[cfg(test)]
pub(super) fn evict(file: &File, len: u64) {
    let start = std::time::Instant::now();
    loop {
        rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).expect("fadvise");
        let pages = (0..len).step_by(4096);
        if pages.into_iter().all(|at| !Residency::detect().is_resident(file, at, 1)) {
            return;
        }
        assert!(start.elapsed().as_secs() < 20, "the page cache does not let go of the file");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    const LEN: u64 = 1 << 20;

    fn evicted_file() -> File {
        // In the build's own folder: a temporary folder may lie in memory, which evicts nothing.
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all(&vec![7; LEN as usize]).unwrap();
        file.sync_all().unwrap();
        super::evict(&file, LEN);
        file
    }

    fn check(residency: &Residency) {
        let file = evicted_file();
        assert!(!residency.is_resident(&file, 0, LEN), "evicted");
        file.read_exact_at(&mut [0; 4096], 512 * 1024).unwrap();
        assert!(residency.is_resident(&file, 512 * 1024 + 7, 1000), "one page read");
        assert!(!residency.is_resident(&file, 0, LEN), "most pages not read");
        file.read_exact_at(&mut vec![0; LEN as usize], 0).unwrap();
        assert!(residency.is_resident(&file, 0, LEN), "all read");
        assert!(residency.is_resident(&file, LEN - 1, 1), "the last byte");
        assert!(!residency.is_resident(&file, LEN - 1, 8192), "past the end");
    }

    #[test]
    fn a_range_is_resident_after_it_was_read_and_not_after_it_was_evicted() {
        check(&Residency::detect());
    }

    #[test]
    fn mincore_gives_the_same_answers() {
        let residency = Residency::detect();
        residency.by_mincore.store(true, Ordering::Relaxed);
        check(&residency);
    }

    #[test]
    fn cachestat_is_trusted_as_long_as_it_sees_what_was_read() {
        let residency = Residency::detect();
        let before = residency.by_mincore.load(Ordering::Relaxed);
        let file = evicted_file();
        residency.check_sight(&file, 0, LEN);
        file.read_exact_at(&mut vec![0; LEN as usize], 0).unwrap();
        residency.check_sight(&file, 0, LEN);
        assert_eq!(residency.by_mincore.load(Ordering::Relaxed), before);
    }
}

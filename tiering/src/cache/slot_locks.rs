//! Locks on ranges of the slab files: how a process that only reads them keeps a slot from being
//! written over.
//!
//! A guest of the cache (`share`) locks a slot for as long as it may read from it. The lock belongs
//! to its open file, so the system lets go of it when the process ends, however it ends, and it
//! outlives the owner of the cache. The owner looks at the locks only where it does not know by
//! itself who reads: after it has taken a folder over, and of guests that are gone or that it has
//! shown the door.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;

/// Locks a range against being written over. It does not wait.
///
/// # Errors
/// When the file system has no such locks; when somebody locked the range for writing.
pub(crate) fn lock(file: &File, range: &Range<u64>) -> io::Result<()> {
    control(file, libc::F_OFD_SETLK, libc::F_RDLCK, range).map(drop)
}

/// Lets go of a range.
pub(crate) fn unlock(file: &File, range: &Range<u64>) -> io::Result<()> {
    control(file, libc::F_OFD_SETLK, libc::F_UNLCK, range).map(drop)
}

/// The parts of a range that others have locked, in no order. None where the file system has no such
/// locks: nobody could take one either.
pub(super) fn locked(file: &File, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let (mut locked, mut open) = (Vec::new(), vec![range]);
    while let Some(range) = open.pop() {
        if range.is_empty() {
            continue;
        }
        let Some(found) = first_locked(file, &range)? else { continue };
        let start = found.start.clamp(range.start, range.end);
        let end = found.end.clamp(start, range.end);
        open.extend([range.start..start, end.max(start + 1)..range.end]);
        locked.push(start..end);
    }
    Ok(locked)
}

fn first_locked(file: &File, range: &Range<u64>) -> io::Result<Option<Range<u64>>> {
    let found = match control(file, libc::F_OFD_GETLK, libc::F_WRLCK, range) {
        Ok(found) => found,
        Err(error) => match error.raw_os_error() {
            Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOLCK) => return Ok(None),
            _ => return Err(error),
        },
    };
    if i32::from(found.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    let start = u64::try_from(found.l_start).unwrap_or(0);
    // 0 is "to the end, wherever that is".
    let end = match u64::try_from(found.l_len) {
        Ok(0) | Err(_) => u64::MAX,
        Ok(len) => start.saturating_add(len),
    };
    Ok(Some(start..end))
}

fn control(file: &File, what: i32, kind: i32, range: &Range<u64>) -> io::Result<libc::flock> {
    let signed = |bytes| i64::try_from(bytes).map_err(io::Error::other);
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: signed(range.start)?,
        l_len: signed(range.end - range.start)?,
        l_pid: 0,
    };
    loop {
        // SAFETY: `lock` is a whole `flock` that outlives the call, and the descriptor is open as
        // long as `file` is.
        if unsafe { libc::fcntl(file.as_raw_fd(), what, &raw mut lock) } == 0 {
            return Ok(lock);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_another_open_file_are_found_and_go_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slab");
        let owner = File::create_new(&path).unwrap();
        owner.set_len(1000).unwrap();
        let [one, other] = [(); 2].map(|()| File::open(&path).unwrap());
        lock(&one, &(100..200)).unwrap();
        lock(&one, &(300..400)).unwrap();
        lock(&other, &(150..250)).unwrap();
        let found = || {
            let mut found = locked(&owner, 0..1000).unwrap();
            found.sort_by_key(|range| range.start);
            let joined: Vec<u64> = found.into_iter().flatten().collect();
            (joined.len(), joined.first().copied(), joined.last().copied())
        };
        assert_eq!(found(), (250, Some(100), Some(399)));
        assert_eq!(locked(&owner, 220..320).unwrap().into_iter().flatten().count(), 50);
        assert!(locked(&owner, 250..300).unwrap().is_empty());
        unlock(&one, &(100..200)).unwrap();
        assert_eq!(found(), (200, Some(150), Some(399)));
        drop(one);
        assert_eq!(found(), (100, Some(150), Some(249)));
        drop(other);
        assert_eq!(found(), (0, None, None));
    }
}

//! A data directory belongs to one process at a time.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Held as long as the process uses the directory; the system lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub(super) struct Claim {
    _lock: File,
}

/// Makes the directory and claims it. `None` when another process has it.
pub(super) fn claim(data_dir: &Path) -> io::Result<Option<Claim>> {
    std::fs::create_dir_all(data_dir)?;
    let lock =
        File::options().write(true).create(true).truncate(false).open(data_dir.join(".lock"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Claim { _lock: lock })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Raises the bound on open files to what the system allows: segments are kept open for readers.
pub(super) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the bound on open files stays at {current:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().expect("dir");
        let first = claim(dir.path()).expect("claim");
        assert!(first.is_some());
        assert!(claim(dir.path()).expect("claim").is_none());
        drop(first);
        assert!(claim(dir.path()).expect("claim").is_some());
    }
}

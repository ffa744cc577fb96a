//! Where owner and guests meet: a Unix socket in the cache's folder.
//!
//! A path in an address has 107 bytes at most, and a folder may lie deeper: then the address goes by
//! way of the open folder. A path, and not a name without one, since processes that share a folder may
//! be in containers of their own.
//!
//! Invariant: only processes of this user are talked to, on either side.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "socket";
/// What an address has room for, without the zero at its end.
const PATH_BYTES_MAX: usize = 107;

/// Listens in a folder that this process owns. What an owner before it left is replaced.
pub(super) fn listen(folder: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(folder.join(NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let address = Address::of(folder)?;
    let listener = UnixListener::bind(&address.path)?;
    fs::set_permissions(folder.join(NAME), fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes the socket away. Another owner makes its own.
pub(super) fn remove(folder: &Path) {
    if let Err(error) = fs::remove_file(folder.join(NAME)) {
        tracing::debug!(%error, "the socket of the read cache stays");
    }
}

/// Connects to the owner of a folder.
pub(super) async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let address = Address::of(folder)?;
    let stream = UnixStream::connect(&address.path).await?;
    check_peer(&stream).map(|()| stream)
}

/// Whether the process at the other end is this user's.
pub(super) fn check_peer(stream: &UnixStream) -> io::Result<()> {
    if stream.peer_cred()?.uid() == geteuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"))
}

/// The path of the socket, short enough, and what keeps it valid.
struct Address {
    path: PathBuf,
    _folder: Option<File>,
}

impl Address {
    fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(folder)?;
        let path = format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()).into();
        Ok(Self { path, _folder: Some(folder) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_of_any_depth_has_a_socket_for_this_user_alone() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a".repeat(100)).join("b".repeat(100));
        for folder in [root.path(), &deep] {
            fs::create_dir_all(folder).unwrap();
            drop(listen(folder).unwrap());
            let left = connect(folder).await.unwrap_err();
            assert_eq!(left.kind(), io::ErrorKind::ConnectionRefused, "{left}");
            let listener = listen(folder).expect("what is left is replaced");
            let (there, here) = tokio::join!(connect(folder), listener.accept());
            there.unwrap();
            check_peer(&here.unwrap().0).unwrap();
            let mode = fs::metadata(folder.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            remove(folder);
            assert_eq!(connect(folder).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}

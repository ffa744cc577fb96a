//! What a waiting call is about to do, in words that are the same in every run.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use libc::c_long;

use super::gate::Waiting;

/// The longest path that is looked at.
const PATH_BYTES_MAX: usize = 4096;

impl Waiting {
    /// The call and the file in `root` that it changes; `None` for files elsewhere and for what is
    /// no file. Names that differ from run to run are left out.
    pub(crate) fn step(&self, root: &Path) -> Option<String> {
        let (name, path) = self.subject()?;
        let below = path.strip_prefix(root).ok()?;
        let parts = below.iter().map(|part| steady(&part.to_string_lossy()));
        Some(format!("{name} {}", parts.collect::<Vec<_>>().join("/")))
    }

    fn subject(&self) -> Option<(&'static str, PathBuf)> {
        #[cfg(target_arch = "x86_64")]
        match self.call {
            libc::SYS_mkdir => return Some(("mkdir", self.path(libc::AT_FDCWD, 0)?)),
            libc::SYS_link => return Some(("link", self.path(libc::AT_FDCWD, 1)?)),
            libc::SYS_rename => return Some(("rename", self.path(libc::AT_FDCWD, 0)?)),
            libc::SYS_unlink => return Some(("unlink", self.path(libc::AT_FDCWD, 0)?)),
            libc::SYS_rmdir => return Some(("rmdir", self.path(libc::AT_FDCWD, 0)?)),
            _ => {}
        }
        match self.call {
            libc::SYS_openat => Some(("open", self.path(self.descriptor(0), 1)?)),
            libc::SYS_mkdirat => Some(("mkdir", self.path(self.descriptor(0), 1)?)),
            libc::SYS_unlinkat => Some(("unlink", self.path(self.descriptor(0), 1)?)),
            libc::SYS_linkat => Some(("link", self.path(self.descriptor(2), 3)?)),
            libc::SYS_renameat | libc::SYS_renameat2 => {
                Some(("rename", self.path(self.descriptor(0), 1)?))
            }
            libc::SYS_copy_file_range => Some(("write", self.open_file(self.descriptor(2))?)),
            other => Some((name(other)?, self.open_file(self.descriptor(0))?)),
        }
    }

    /// Descriptors are 32 bits of the register.
    fn descriptor(&self, argument: usize) -> i32 {
        self.arguments[argument] as u32 as i32
    }

    fn open_file(&self, descriptor: i32) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/fd/{descriptor}", self.thread)).ok()
    }

    /// The path that an argument points to, from the folder that it starts at.
    fn path(&self, folder: i32, argument: usize) -> Option<PathBuf> {
        let memory = File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        let mut bytes = vec![0; PATH_BYTES_MAX];
        let read = memory.read_at(&mut bytes, self.arguments[argument]).ok()?;
        let end = bytes[..read].iter().position(|byte| *byte == 0)?;
        let path = PathBuf::from(String::from_utf8_lossy(&bytes[..end]).into_owned());
        if path.is_absolute() {
            return Some(path);
        }
        let folder = match folder {
            libc::AT_FDCWD => std::fs::read_link(format!("/proc/{}/cwd", self.thread)).ok()?,
            folder => self.open_file(folder)?,
        };
        Some(folder.join(path))
    }
}

fn name(call: c_long) -> Option<&'static str> {
    Some(match call {
        libc::SYS_write | libc::SYS_writev => "write",
        libc::SYS_pwrite64 | libc::SYS_pwritev | libc::SYS_pwritev2 => "pwrite",
        libc::SYS_ftruncate => "truncate",
        libc::SYS_fallocate => "allocate",
        libc::SYS_fsync | libc::SYS_fdatasync => "sync",
        _ => return None,
    })
}

/// A file's name with a star for each id.
fn steady(name: &str) -> String {
    const ID_CHARACTERS_MIN: usize = 22;
    let word = |word: &str| {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        if word.len() < ID_CHARACTERS_MIN || digits { word.to_owned() } else { "*".to_owned() }
    };
    let words = name.split_inclusive(['.', '-', '#']);
    words
        .map(|part| match part.strip_suffix(['.', '-', '#']) {
            Some(bare) => word(bare) + &part[bare.len()..],
            None => word(part),
        })
        .collect()
}

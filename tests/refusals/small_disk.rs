//! A file system of few megabytes, gone at the end of the test.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// It is mounted as long as the value lives.
pub(crate) struct SmallDisk {
    dir: tempfile::TempDir,
    _image: Option<tempfile::NamedTempFile>,
}

/// Whether a command succeeds; where it is not allowed, its complaint would only confuse.
fn succeeds(command: &mut Command) -> bool {
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

impl SmallDisk {
    /// In memory, so that it can grow. `None` where mounting is not allowed.
    pub(crate) fn growing(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("dir");
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "icecore-test"]).arg(dir.path());
        succeeds(&mut mount).then_some(Self { dir, _image: None })
    }

    /// ext4 in a file; in memory where there are no loop devices. `None` where mounting is not
    /// allowed.
    pub(crate) fn mount(megabytes: u32) -> Option<Self> {
        Self::ext4(megabytes).or_else(|| Self::growing(megabytes))
    }

    fn ext4(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("dir");
        let image = tempfile::NamedTempFile::new().expect("file");
        image.as_file().set_len(u64::from(megabytes) << 20).expect("sized");
        let mut make = Command::new("mkfs.ext4");
        // No blocks for root alone: this test may be root.
        let made = succeeds(make.args(["-q", "-F", "-m", "0"]).arg(image.path()));
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(image.path()).arg(dir.path());
        let disk = Self { dir, _image: Some(image) };
        (made && succeeds(&mut mount)).then_some(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes it as large as this.
    pub(crate) fn grow(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        let mut mount = Command::new("mount");
        assert!(succeeds(mount.args(["-o", &size]).arg(self.path())), "the disk grows");
    }

    /// Bytes that are free.
    pub(crate) fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).expect("a file system");
        stat.f_bavail * stat.f_frsize
    }

    /// Takes all room that there is, by a file that is none of the broker's.
    pub(crate) fn fill(&self) {
        let taken = self.path().join("taken");
        let mut file = File::options().create(true).append(true).open(taken).expect("a file");
        for block in [1 << 20, 1 << 16, 1 << 12] {
            let block = vec![7; block];
            let full = loop {
                if let Err(error) = file.write_all(&block).and_then(|()| file.sync_data()) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull);
        }
    }

    /// Takes all room but this, by a file that is none of the broker's.
    pub(crate) fn leave(&self, bytes: u64) {
        let taken = self.free().saturating_sub(bytes);
        let block = vec![7; 1 << 20];
        let mut file = File::create(self.path().join("taken")).expect("a file");
        for start in (0..taken).step_by(block.len()) {
            let rest = usize::try_from(taken - start).unwrap_or(usize::MAX);
            let written = file.write_all(&block[..rest.min(block.len())]);
            written.expect("there is as much room as the file system says");
        }
        file.sync_all().expect("synced");
    }

    /// Gives that room back.
    pub(crate) fn give_back(&self) {
        std::fs::remove_file(self.path().join("taken")).expect("the file goes");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a file that is open yet does not keep it.
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

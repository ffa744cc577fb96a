//! The slab files: equal slots in few large files, so that a cache of a million chunks costs no
//! million inodes, and a chunk is sent by `sendfile` from where it lies.
//!
//! ```text
//! slot n -> file n / 4096, position n % 4096 * 256 KiB
//! ```
//! Their room is taken from the disk when the cache is opened: a disk that is too small shows then,
//! and not in the middle of a replay.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::CHUNK_BYTES;
use super::slot_locks::locked;

/// Slots of a full slab: 1 GiB.
pub(super) const SLOTS_PER_SLAB: u32 = 4096;
/// How the names of files begin that have a name for a moment alone.
const SPARE: &str = "spare-";
/// The unit in which the system tells how much of the disk a file has.
const DISK_BLOCK_BYTES: u64 = 512;

#[derive(Debug)]
pub(super) struct Slabs {
    files: Vec<Slab>,
    slots_per_slab: u32,
}

#[derive(Debug)]
struct Slab {
    file: Arc<File>,
    /// How long the file was when it was found; 0 for a new one.
    found_bytes: u64,
}

/// The place of a slot.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: Arc<File>,
    pub(super) position: u64,
}

impl Slabs {
    /// Opens or makes the files of `slots` slots with all their room, and removes files that hold
    /// none of them. When the room is not there, what was taken of it is given back.
    pub(super) fn open(folder: &Path, slots: u32, slots_per_slab: u32) -> io::Result<Self> {
        remove_surplus(folder, slots.div_ceil(slots_per_slab))?;
        let wanted: Vec<_> = (0..slots)
            .step_by(slots_per_slab as usize)
            .map(|first| u64::from(slots_per_slab.min(slots - first)) * CHUNK_BYTES)
            .zip(0..)
            .map(|(bytes, slab)| (path(folder, slab), bytes))
            .collect();
        // Asked first: to take all that is left, and give it back, would hurt who shares the disk.
        look_for_room(folder, &wanted)?;
        let mut slabs = Self { files: Vec::new(), slots_per_slab };
        for (path, bytes) in wanted {
            match open_slab(&path, bytes) {
                Ok(slab) => slabs.files.push(slab),
                Err(error) => {
                    slabs.files.iter().for_each(Slab::give_back);
                    return Err(error);
                }
            }
        }
        Ok(slabs)
    }

    /// One slab that no other cache will find, and that goes with this one.
    pub(super) fn unnamed(folder: &Path, slots: u32) -> io::Result<Self> {
        let file = Arc::new(unnamed_file(folder)?);
        allocate(&file, u64::from(slots) * CHUNK_BYTES)?;
        let slab = Slab { file, found_bytes: 0 };
        Ok(Self { files: vec![slab], slots_per_slab: slots })
    }

    /// How many slots a full file has.
    pub(super) fn slots_per_slab(&self) -> u32 {
        self.slots_per_slab
    }

    /// The slots that other processes have locked, in no order; some may come twice, and some may
    /// be beyond those that the cache has.
    pub(super) fn locked_slots(&self) -> io::Result<Vec<u32>> {
        let mut slots = Vec::new();
        for (slab, first) in self.files.iter().zip((0_u32..).step_by(self.slots_per_slab as usize))
        {
            let bytes = u64::from(self.slots_per_slab) * CHUNK_BYTES;
            for Range { start, end } in locked(&slab.file, 0..bytes)? {
                let within = start / CHUNK_BYTES..end.div_ceil(CHUNK_BYTES);
                slots.extend(within.map(|slot| first.saturating_add(slot as u32)));
            }
        }
        Ok(slots)
    }

    /// Whether another process has locked a slot.
    pub(super) fn is_locked(&self, slot: u32) -> io::Result<bool> {
        let Place { file, position } = self.place(slot);
        Ok(!locked(&file, position..position + CHUNK_BYTES)?.is_empty())
    }

    pub(super) fn place(&self, slot: u32) -> Place {
        let file = &self.files[self.slab_of(slot) as usize].file;
        let position = u64::from(slot % self.slots_per_slab) * CHUNK_BYTES;
        Place { file: Arc::clone(file), position }
    }

    /// Parts a slot from its bytes before others are written there: what was sent of them lies in pages
    /// of the file until the socket is done with it, and those keep what they had. The room stays the
    /// file's where the file system can do that.
    pub(super) fn renew(&self, slot: u32) -> io::Result<()> {
        let Place { file, position } = self.place(slot);
        for how in [FallocateFlags::ZERO_RANGE, FallocateFlags::PUNCH_HOLE] {
            match fallocate_all(&file, how | FallocateFlags::KEEP_SIZE, position, CHUNK_BYTES) {
                Err(Errno::OPNOTSUPP) => {}
                done => return Ok(done?),
            }
        }
        Ok(())
    }

    /// Whether the slot's bytes were there before this opening.
    pub(super) fn was_there(&self, slot: u32) -> bool {
        let end = u64::from(slot % self.slots_per_slab + 1) * CHUNK_BYTES;
        self.files[self.slab_of(slot) as usize].found_bytes >= end
    }

    /// The number of the file that holds a slot.
    pub(super) fn slab_of(&self, slot: u32) -> u32 {
        slot / self.slots_per_slab
    }

    /// The slots of one file, whether the cache has all of them or not.
    pub(super) fn slots_of(&self, slab: u32) -> Range<u32> {
        let first = slab * self.slots_per_slab;
        first..first.saturating_add(self.slots_per_slab)
    }
}

impl Slab {
    fn give_back(&self) {
        if let Err(error) = self.file.set_len(self.found_bytes) {
            tracing::warn!(%error, "a slab of the cache keeps room that it does not need");
        }
    }
}

fn path(folder: &Path, slab: u32) -> PathBuf {
    folder.join(slab_name(slab))
}

/// The name of a slab in the cache's folder.
pub(crate) fn slab_name(slab: u32) -> String {
    format!("slab-{slab:04}")
}

/// A file that goes when it is closed. A process that dies right here leaves its name to the next
/// opening of the cache.
pub(super) fn unnamed_file(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!("{SPARE}{}", uuid::Uuid::new_v4().simple()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    match fs::remove_file(&path) {
        // Somebody has just opened the cache.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file),
        removed => removed.map(|()| file),
    }
}

/// Whether the disk has what the files lack of their room.
fn look_for_room(folder: &Path, wanted: &[(PathBuf, u64)]) -> io::Result<()> {
    let mut lacking = 0_u64;
    for (path, bytes) in wanted {
        let has = match fs::metadata(path) {
            Ok(found) => found.blocks() * DISK_BLOCK_BYTES,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        lacking += bytes.saturating_sub(has);
    }
    let disk = statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if lacking <= free {
        return Ok(());
    }
    let what = format!("{lacking} bytes are wanted, {free} are free");
    Err(io::Error::new(io::ErrorKind::StorageFull, what))
}

fn open_slab(path: &Path, bytes: u64) -> io::Result<Slab> {
    let open = || File::options().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = open()?;
    // A part that is to be cut off may still be read by another process: it keeps the old file.
    if !locked(&file, bytes..u64::MAX >> 1)?.is_empty() {
        fs::remove_file(path)?;
        file = open()?;
    }
    let found_bytes = file.metadata()?.len();
    let slab = Slab { file: Arc::new(file), found_bytes: found_bytes.min(bytes) };
    if found_bytes > bytes {
        slab.file.set_len(bytes)?;
    }
    if let Err(error) = allocate(&slab.file, bytes) {
        slab.give_back();
        return Err(error);
    }
    Ok(slab)
}

/// Gives the file `bytes` of room on the disk; what is in it stays.
pub(super) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate_all(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP) => {
            tracing::warn!(
                "this file system cannot set room aside for the cache: a full disk will show as \
                 failed reads"
            );
            file.set_len(bytes)
        }
        done => Ok(done?),
    }
}

fn fallocate_all(file: &File, how: FallocateFlags, start: u64, bytes: u64) -> Result<(), Errno> {
    loop {
        match fallocate(file, how, start, bytes) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Removes the slabs numbered `kept` and above, and files that should have no name.
fn remove_surplus(folder: &Path, kept: u32) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("slab-"));
        let surplus =
            number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|slab| slab >= kept);
        if surplus || name.to_str().is_some_and(|name| name.starts_with(SPARE)) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn lengths(folder: &Path) -> Vec<(String, u64)> {
        let file = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            (
                entry.file_name().into_string().unwrap(),
                entry.metadata().unwrap().len() / CHUNK_BYTES,
            )
        };
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(file).collect();
        files.sort();
        files
    }

    fn named(files: &[(&str, u64)]) -> Vec<(String, u64)> {
        files.iter().map(|(name, len)| ((*name).to_owned(), *len)).collect()
    }

    #[test]
    fn slots_lie_one_behind_another_in_files_that_have_their_room() {
        let folder = tempfile::tempdir().unwrap();
        let slabs = Slabs::open(folder.path(), 10, 4).unwrap();
        assert_eq!(
            lengths(folder.path()),
            named(&[("slab-0000", 4), ("slab-0001", 4), ("slab-0002", 2)])
        );
        for slot in 0..10 {
            let place = slabs.place(slot);
            place.file.write_all_at(&slot.to_be_bytes(), place.position).unwrap();
        }
        let third = fs::read(folder.path().join("slab-0001")).unwrap();
        assert_eq!(third[2 * CHUNK_BYTES as usize..][..4], 6_u32.to_be_bytes());
        assert_eq!(slabs.slots_of(slabs.slab_of(6)), 4..8);
        let taken = fs::metadata(folder.path().join("slab-0002")).unwrap().blocks();
        assert!(taken * DISK_BLOCK_BYTES >= 2 * CHUNK_BYTES, "the room is taken");
    }

    #[test]
    fn another_size_keeps_the_slots_that_fit() {
        let folder = tempfile::tempdir().unwrap();
        let slabs = Slabs::open(folder.path(), 10, 4).unwrap();
        assert!(!(0..10).any(|slot| slabs.was_there(slot)));
        let slabs = Slabs::open(folder.path(), 5, 4).unwrap();
        assert_eq!(lengths(folder.path()), named(&[("slab-0000", 4), ("slab-0001", 1)]));
        assert!((0..5).all(|slot| slabs.was_there(slot)));
        let slabs = Slabs::open(folder.path(), 13, 4).unwrap();
        assert_eq!((0..13).filter(|slot| slabs.was_there(*slot)).count(), 5);
        assert_eq!(lengths(folder.path()).len(), 4);
    }

    #[test]
    fn room_that_is_not_there_is_missed_before_any_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let slabs = Slabs::open(folder.path(), 3, 4).unwrap();
        drop(slabs);
        let error = Slabs::open(folder.path(), 1 << 30, 1 << 20).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert_eq!(lengths(folder.path()), named(&[("slab-0000", 3)]));
    }
}

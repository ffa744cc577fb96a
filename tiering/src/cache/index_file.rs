//! The file of entries. It is written by the cache's threads, one entry at a time, and read whole
//! only when the cache is opened.
//!
//! Nothing is synced, and no order between this file and the slabs is asked of the disk: an entry
//! whose bytes are not there is found wrong by its checksum (see [`super::entry`]).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::entry::{
    ENTRY_BYTES, Entry, HEADER_BYTES, HeaderError, IndexId, decode_header, encode_header, position,
};
use super::slabs::{allocate, unnamed_file};

/// Entries that are read at a time when the index is opened.
const ENTRIES_AT_ONCE: u32 = 16 * 1024;

#[derive(Debug)]
pub(super) struct IndexFile {
    file: File,
    id: IndexId,
    slots: u32,
}

impl IndexFile {
    /// Opens the index of `slots` slots. One that is no index of ours is begun anew.
    pub(super) fn open(path: &Path, slots: u32) -> io::Result<Self> {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let id = match decode_header(&read_header(&file)?) {
            Ok(id) => id,
            Err(why) => {
                match why {
                    HeaderError::Empty => tracing::info!(index = %path.display(), "a new cache"),
                    why => tracing::warn!(
                        index = %path.display(), %why,
                        "the cache's index is not used: the cache begins empty"
                    ),
                }
                begin(&file)?
            }
        };
        let len = position(slots);
        if file.metadata()?.len() > len {
            file.set_len(len)?;
        }
        allocate(&file, len)?;
        Ok(Self { file, id, slots })
    }

    /// An index that no other cache will find.
    pub(super) fn unnamed(folder: &Path, slots: u32) -> io::Result<Self> {
        let file = unnamed_file(folder)?;
        let id = begin(&file)?;
        allocate(&file, position(slots))?;
        Ok(Self { file, id, slots })
    }

    /// Gives every entry that there is, in the order of the slots.
    pub(super) fn each(&self, mut found: impl FnMut(u32, Entry)) -> io::Result<()> {
        let mut bytes = vec![0; ENTRIES_AT_ONCE as usize * ENTRY_BYTES];
        for first in (0..self.slots).step_by(ENTRIES_AT_ONCE as usize) {
            let count = ENTRIES_AT_ONCE.min(self.slots - first);
            let bytes = &mut bytes[..count as usize * ENTRY_BYTES];
            self.file.read_exact_at(bytes, position(first))?;
            let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
            for (slot, entry) in (first..).zip(entries) {
                if let Some(entry) = Entry::decode(&self.id, slot, entry) {
                    found(slot, entry);
                }
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, slot: u32) -> io::Result<Option<Entry>> {
        let mut bytes = [0; ENTRY_BYTES];
        self.file.read_exact_at(&mut bytes, position(slot))?;
        Ok(Entry::decode(&self.id, slot, &bytes))
    }

    pub(super) fn write(&self, slot: u32, entry: &Entry) -> io::Result<()> {
        self.file.write_all_at(&entry.encode(&self.id, slot), position(slot))
    }

    /// The slot holds nothing that is worth a look.
    pub(super) fn clear(&self, slot: u32) -> io::Result<()> {
        self.file.write_all_at(&[0; ENTRY_BYTES], position(slot))
    }
}

fn read_header(file: &File) -> io::Result<Vec<u8>> {
    let mut header = vec![0; HEADER_BYTES as usize];
    let mut read = 0;
    loop {
        match file.read_at(&mut header[read..], read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    header.truncate(read);
    Ok(header)
}

/// An index without entries, under a fresh id: what an earlier one left in the file is none.
fn begin(file: &File) -> io::Result<IndexId> {
    file.set_len(0)?;
    let id = *uuid::Uuid::new_v4().as_bytes();
    file.write_all_at(&encode_header(&id), 0)?;
    Ok(id)
}

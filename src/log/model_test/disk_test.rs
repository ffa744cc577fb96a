//! The disk under the model: an edge at which an operation ends, the files as they were there, and
//! what a power cut makes of those that were not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::Dice;
use crate::env::{Edge, Edges};
use crate::log::file_names::{DELETED_SUFFIX, FileKind, parse, path};
use crate::log::{Log, OFFSET_ENTRY_LEN, TIME_ENTRY_LEN, read_offset_entry, read_time_entry};
use crate::model::Offset;
use crate::record::{BatchHeader, HEADER_LEN};

/// What happens at an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Crash,
    PowerCut,
    DiskError,
}

struct Armed {
    what: What,
    /// Edges to let by.
    after: u64,
    folder: PathBuf,
    copy: PathBuf,
    fired: Option<Edge>,
}

/// Ends an operation at an edge.
#[derive(Default)]
pub(super) struct Trap(Mutex<Option<Armed>>);

impl Trap {
    pub(super) fn arm(&self, what: What, after: u64, folder: PathBuf, copy: PathBuf) {
        *self.0.lock() = Some(Armed { what, after, folder, copy, fired: None });
    }

    pub(super) fn disarm(&self) {
        *self.0.lock() = None;
    }

    /// Where it ended an operation.
    pub(super) fn fired(&self) -> Option<Edge> {
        self.0.lock().as_ref().and_then(|armed| armed.fired)
    }

    /// Whether the log is dead by now: what it does from here on, nobody sees.
    pub(super) fn is_deadly(&self) -> bool {
        let armed = self.0.lock();
        armed.as_ref().is_some_and(|armed| armed.fired.is_some() && armed.what != What::DiskError)
    }
}

impl Edges for Trap {
    fn reached(&self, edge: Edge) -> io::Result<()> {
        let mut armed = self.0.lock();
        let Some(armed) = armed.as_mut() else { return Ok(()) };
        let dead = Err(io::Error::other("the model ends it here"));
        match (armed.what, armed.fired) {
            // Nothing can fail between the write and its index.
            (What::DiskError, _) if edge == Edge::AfterAppend => return Ok(()),
            (What::DiskError, Some(_)) => return Ok(()),
            (_, Some(_)) => return dead,
            (_, None) => {}
        }
        if armed.after > 0 {
            armed.after -= 1;
            return Ok(());
        }
        armed.fired = Some(edge);
        if armed.what != What::DiskError {
            copy_files(&armed.folder, &armed.copy)?;
        }
        dead
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The log's folder, which moves with each crash, and what of its indexes was synced.
pub(super) struct Disk {
    root: tempfile::TempDir,
    folder: PathBuf,
    lives: u64,
    /// Bytes of offset and time indexes that were synced, by base offset.
    synced: BTreeMap<Offset, [usize; 2]>,
    snapshots: BTreeSet<i64>,
}

const INDEXES: [FileKind; 2] = [FileKind::OffsetIndex, FileKind::TimeIndex];

impl Disk {
    pub(super) fn new() -> Self {
        // Power cuts are the model's own: where there is a folder in memory, no sync is waited for.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let root = root.expect("a folder");
        let folder = root.path().join("0");
        Self { root, folder, lives: 0, synced: BTreeMap::new(), snapshots: BTreeSet::new() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn next_folder(&self) -> PathBuf {
        self.root.path().join((self.lives + 1).to_string())
    }

    /// A life ended: at an edge, then the copy made there goes on; or between actions.
    pub(super) fn end(&mut self, at_edge: bool) {
        if at_edge {
            let copy = self.next_folder();
            fs::remove_dir_all(&self.folder).expect("removed");
            self.folder = copy;
            self.lives += 1;
        }
    }

    fn indexes(&self, base: Offset) -> [Vec<u8>; 2] {
        INDEXES.map(|kind| fs::read(path(&self.folder, base, kind)).unwrap_or_default())
    }

    /// A recovery point was advanced: indexes of what lay behind the last one were synced.
    pub(super) fn note_synced(&mut self, log: &Log, before: Offset, point: Offset) {
        let sealed = log.sealed();
        let grown = sealed.iter().filter(|sealed| sealed.end() >= before);
        for base in grown.map(|sealed| sealed.base()).chain([log.active_extent().0]) {
            self.synced.insert(base, self.indexes(base).map(|bytes| bytes.len()));
        }
        self.snapshots.insert(point.get());
    }

    /// Below the recovery point a start keeps what was synced, or makes it anew and syncs it.
    pub(super) fn reopened(&mut self, log: &Log, recovery_point: Offset) {
        let mut bases: BTreeSet<_> = log.sealed().iter().map(|sealed| sealed.base()).collect();
        bases.insert(log.active_extent().0);
        let below = |base: Offset| {
            let [offsets, times] = self.indexes(base);
            let (offsets, times) = (offsets.as_chunks().0, times.as_chunks().0);
            let is_offset =
                |entry: &&_| read_offset_entry(base, **entry).last_offset < recovery_point;
            let is_time = |entry: &&_| read_time_entry(base, **entry).offset < recovery_point;
            let offsets: Vec<_> = offsets.iter().take_while(is_offset).collect();
            let times: Vec<_> = times.iter().take_while(is_time).collect();
            (base, [offsets.len() * OFFSET_ENTRY_LEN, times.len() * TIME_ENTRY_LEN])
        };
        self.synced = bases.into_iter().map(below).collect();
        self.snapshots.retain(|base| *base <= log.log_end().get());
    }
}

/// Cuts or zeroes what was not synced, as a power cut may: each file for itself.
pub(super) fn end_of_life(disk: &Disk, dice: &mut Dice, synced: Offset, edge: Option<Edge>) {
    if edge == Some(Edge::SegmentRenamed) {
        take_renaming_back(disk, dice);
    }
    lose_names(disk, dice, synced);
    for name in names(&disk.folder) {
        let Some((base, kind)) = name.to_str().and_then(parse) else { continue };
        let file = disk.folder.join(&name);
        let keep = match kind {
            FileKind::Log => synced_bytes(&file, synced),
            FileKind::ProducerSnapshot if disk.snapshots.contains(&base.get()) => continue,
            FileKind::ProducerSnapshot | FileKind::TxnIndex => 0,
            FileKind::OffsetIndex | FileKind::TimeIndex => {
                let place = usize::from(kind == FileKind::TimeIndex);
                disk.synced.get(&base).map_or(0, |synced| synced[place] as u64)
            }
        };
        lose(&file, keep, dice);
    }
}

fn names(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).expect("the folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names
}

/// Takes back the last of the changes of names that were not synced; a file system keeps their
/// order. Here: a segment's files get their names again, which lose them in the order of kinds.
fn take_renaming_back(disk: &Disk, dice: &mut Dice) {
    let renamed = names(&disk.folder).into_iter().filter_map(|name| {
        let (base, kind) = parse(name.to_str()?.strip_suffix(DELETED_SUFFIX)?)?;
        Some((base, kind, disk.folder.join(name)))
    });
    let renamed: Vec<_> = renamed.collect();
    // Those of an earlier removal, which the disk did not let go, are of no concern.
    let Some(last) = renamed.iter().map(|(base, ..)| *base).max() else { return };
    let mut stay = dice.roll(FileKind::ALL.len() as u64 + 1);
    for wanted in FileKind::ALL {
        for (base, kind, file) in &renamed {
            if (*base, *kind) == (last, wanted) && stay == 0 {
                fs::rename(file, path(&disk.folder, last, wanted)).expect("renamed back");
            }
        }
        stay = stay.saturating_sub(1);
    }
}

/// Takes back that the last segment was made, unless some of its records are durable, and its
/// names with them.
fn lose_names(disk: &Disk, dice: &mut Dice, synced: Offset) {
    let made = names(&disk.folder).into_iter().filter_map(|name| parse(name.to_str()?));
    let made: Vec<_> = made.filter(|(base, _)| *base >= synced).collect();
    let last = made.iter().map(|(base, _)| *base).max();
    let (Some(last), true) = (last, dice.roll(2) == 0) else { return };
    for (base, kind) in made {
        let lost = base == last && !disk.snapshots.contains(&base.get());
        // The log file is the first that is made.
        if lost && (kind != FileKind::Log || dice.roll(2) == 0) {
            fs::remove_file(path(&disk.folder, base, kind)).expect("removed");
        }
    }
}

/// Bytes of the batches that end at or before `synced`.
fn synced_bytes(log: &Path, synced: Offset) -> u64 {
    let bytes = fs::read(log).expect("a log file");
    let mut at = 0;
    while let Some(header) = bytes[at..].first_chunk::<HEADER_LEN>().map(BatchHeader::read) {
        if header.last_offset() >= synced {
            break;
        }
        at += usize::try_from(header.batch_len()).expect("a length");
    }
    at as u64
}

fn lose(file: &Path, keep: u64, dice: &mut Dice) {
    let file = File::options().write(true).open(file).expect("a file");
    let len = file.metadata().expect("metadata").len();
    let lost = len.saturating_sub(keep);
    let from = keep.min(len) + dice.roll(lost + 1);
    match dice.roll(3) {
        0 => file.set_len(from).expect("cut"),
        1 => {
            let zeros = vec![0; usize::try_from(len - from).expect("small")];
            file.write_all_at(&zeros, from).expect("zeroed");
        }
        _ => {}
    }
}

//! Which leader epoch begins at which offset (KIP-101): `leader-epoch-checkpoint`.
//!
//! Invariant: epochs and start offsets both ascend strictly.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint::{CheckpointError, malformed, read_lines, replace};
use crate::env::Edges;
use crate::model::{LeaderEpoch, Offset};

/// The name of the file in a partition's folder.
pub(super) const EPOCH_FILE: &str = "leader-epoch-checkpoint";

/// The epochs of one partition.
#[derive(Clone, Debug)]
pub(super) struct Epochs {
    path: PathBuf,
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl Epochs {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    /// When it is there and malformed.
    pub(super) fn open(path: PathBuf) -> Result<Self, CheckpointError> {
        let mut entries: Vec<(LeaderEpoch, Offset)> = Vec::new();
        for (number, line) in read_lines(&path)? {
            let entry = read_entry(&line).filter(|entry| ascends(&entries, entry));
            entries.push(entry.ok_or_else(|| malformed(&path, number))?);
        }
        Ok(Self { path, entries })
    }

    /// Notes that `epoch` begins at `start`, if it is later than all that are known. Whether it
    /// was.
    pub(super) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if self.latest().is_some_and(|latest| epoch <= latest) {
            return false;
        }
        // An epoch in which nothing was written has no offsets to speak for.
        while self.entries.last().is_some_and(|last| last.1 >= start) {
            self.entries.pop();
        }
        self.entries.push((epoch, start));
        true
    }

    /// The latest epoch.
    #[must_use]
    pub(super) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.0)
    }

    /// The epoch of the record at `offset`.
    #[must_use]
    pub(super) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.1 <= offset);
        Some(self.entries.get(after.checked_sub(1)?)?.0)
    }

    /// The largest epoch that is not after `epoch`, and the offset after its last record. For the
    /// latest epoch that is `log_end`; `None` when all epochs here are later, or none is known.
    #[must_use]
    pub(super) fn end(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if self.latest()? == epoch {
            return Some((epoch, log_end));
        }
        let after = self.entries.partition_point(|entry| entry.0 <= epoch);
        let end = self.entries.get(after)?.1;
        Some((self.entries.get(after.checked_sub(1)?)?.0, end))
    }

    /// The epochs of the offsets from `base` up to `end`, the first one clipped to `base`.
    #[must_use]
    pub(super) fn within(&self, base: Offset, end: Offset) -> Vec<(LeaderEpoch, Offset)> {
        let first = self.entries.partition_point(|entry| entry.1 <= base).saturating_sub(1);
        let inside = self.entries.iter().skip(first).filter(|entry| entry.1 < end);
        inside.map(|(epoch, start)| (*epoch, (*start).max(base))).collect()
    }

    /// Forgets what lies at or after `end`. Whether anything did.
    pub(super) fn truncate_from(&mut self, end: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.1 < end);
        self.entries.len() != before
    }

    /// Forgets epochs that end at or before `start`; the one that holds `start` begins there now.
    /// Whether anything changed.
    pub(super) fn truncate_to(&mut self, start: Offset) -> bool {
        let first = self.entries.partition_point(|entry| entry.1 <= start).saturating_sub(1);
        let moved =
            self.entries.get_mut(first).filter(|entry| entry.1 < start).map(|e| e.1 = start);
        self.entries.drain(..first);
        first > 0 || moved.is_some()
    }

    /// Puts what another broker knows in the place of all that is known, from `start` on.
    pub(super) fn take_over(&mut self, entries: Vec<(LeaderEpoch, Offset)>, start: Offset) {
        self.entries = entries;
        self.truncate_to(start);
    }

    /// The file's text, for its own place or for an upload.
    #[must_use]
    pub(super) fn text(&self) -> String {
        text_of(&self.entries)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn store(&self, edges: &dyn Edges) -> io::Result<()> {
        replace(&self.path, self.text().as_bytes(), edges)
    }
}

/// Writes the checkpoint of a log that is about to be opened in `folder`.
///
/// # Errors
/// What the disk says.
pub(super) fn write_leader_epochs(
    folder: &Path,
    entries: &[(LeaderEpoch, Offset)],
    edges: &dyn Edges,
) -> io::Result<()> {
    replace(&folder.join(EPOCH_FILE), text_of(entries).as_bytes(), edges)
}

/// The entries of a leader epoch checkpoint from elsewhere; `None` when it is not one.
#[must_use]
pub fn parse_leader_epochs(text: &str) -> Option<Vec<(LeaderEpoch, Offset)>> {
    let mut lines = text.lines();
    let (version, count) = (lines.next()?, lines.next()?.parse::<usize>().ok()?);
    let mut entries: Vec<(LeaderEpoch, Offset)> = Vec::new();
    for line in lines {
        let entry = read_entry(line).filter(|entry| ascends(&entries, entry))?;
        entries.push(entry);
    }
    (version == "0" && count == entries.len()).then_some(entries)
}

fn read_entry(line: &str) -> Option<(LeaderEpoch, Offset)> {
    let (epoch, start) = line.split_once(' ')?;
    Some((LeaderEpoch::new(epoch.parse().ok()?), Offset::new(start.parse().ok()?)))
}

fn ascends(entries: &[(LeaderEpoch, Offset)], next: &(LeaderEpoch, Offset)) -> bool {
    entries.last().is_none_or(|last| last.0 < next.0 && last.1 <= next.1)
}

/// A leader epoch checkpoint with these entries.
#[must_use]
pub fn text_of(entries: &[(LeaderEpoch, Offset)]) -> String {
    let mut text = format!("0\n{}\n", entries.len());
    for (epoch, start) in entries {
        let _ = writeln!(text, "{epoch} {start}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::NoEdges;

    fn epochs(dir: &tempfile::TempDir) -> Epochs {
        let mut epochs = Epochs::open(dir.path().join(EPOCH_FILE)).expect("open");
        for (epoch, start) in [(0, 0), (2, 10), (5, 20)] {
            assert!(epochs.assign(LeaderEpoch::new(epoch), Offset::new(start)));
        }
        epochs
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let dir = tempfile::tempdir().expect("dir");
        let epochs = epochs(&dir);
        let end = |epoch| {
            epochs.end(LeaderEpoch::new(epoch), Offset::new(33)).map(|(e, o)| (e.get(), o.get()))
        };
        assert_eq!(end(0), Some((0, 10)));
        assert_eq!(end(1), Some((0, 10)), "an epoch that wrote nothing ends with the one before");
        assert_eq!(end(2), Some((2, 20)));
        assert_eq!(end(5), Some((5, 33)));
        assert_eq!(end(6), None, "an epoch from the future is unknown");
        assert_eq!(epochs.at(Offset::new(19)), Some(LeaderEpoch::new(2)));
    }

    #[test]
    fn epochs_survive_a_reopening_and_cuts_at_both_ends() {
        let dir = tempfile::tempdir().expect("dir");
        epochs(&dir).store(&NoEdges).expect("store");
        let mut epochs = Epochs::open(dir.path().join(EPOCH_FILE)).expect("open");
        assert!(epochs.truncate_from(Offset::new(20)) && epochs.truncate_to(Offset::new(12)));
        assert_eq!(epochs.text(), "0\n1\n2 12\n");
        assert!(!epochs.assign(LeaderEpoch::new(2), Offset::new(15)), "not later");
        assert!(epochs.assign(LeaderEpoch::new(3), Offset::new(12)));
        assert_eq!(epochs.text(), "0\n1\n3 12\n", "an epoch without records is forgotten");
    }

    #[test]
    fn a_checkpoint_from_elsewhere_is_read_only_when_it_is_one() {
        let entries = [(0, 0), (2, 10)].map(|(e, o)| (LeaderEpoch::new(e), Offset::new(o)));
        assert_eq!(parse_leader_epochs(&text_of(&entries)), Some(entries.to_vec()));
        for other in ["", "0\n", "1\n0\n", "0\n2\n0 0\n", "0\n2\n2 0\n1 5\n", "0\n1\nx 5\n"] {
            assert_eq!(parse_leader_epochs(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_segments_epochs_are_clipped_to_it() {
        let dir = tempfile::tempdir().expect("dir");
        let within = epochs(&dir).within(Offset::new(5), Offset::new(20));
        assert_eq!(
            within,
            [(LeaderEpoch::new(0), Offset::new(5)), (LeaderEpoch::new(2), Offset::new(10))]
        );
    }
}

//! Small text files that must be whole or absent: written beside their place, synced, renamed.
//!
//! ```text
//! 0                          version
//! 2                          entries
//! orders 0 1234              topic partition offset
//! orders 1 99
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::env::{Edge, Edges};
use crate::model::{Offset, TopicPartition};

/// Offsets by partition, as they stand in a checkpoint file.
pub type OffsetsByPartition = BTreeMap<TopicPartition, Offset>;

/// A checkpoint file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk failed.
    #[error("checkpoint {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the disk says.
        source: io::Error,
    },
    /// Not the format, or an unknown version of it.
    #[error("checkpoint {path} is malformed at line {line}")]
    Malformed {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
    },
}

/// A file that was on its way into the place of another when the process died.
pub(super) const UNFINISHED_SUFFIX: &str = ".tmp";

/// Puts `text` in the place of the file at `path`: after a crash it has the old or the new text.
///
/// # Errors
/// What the disk says; the old file is untouched then.
pub fn replace(path: &Path, text: &[u8], edges: &dyn Edges) -> io::Result<()> {
    let beside = path.with_extension(&UNFINISHED_SUFFIX[1..]);
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_data()?;
    edges.reached(Edge::CheckpointWritten)?;
    fs::rename(&beside, path)?;
    sync_folder_of(path)
}

/// Makes the folder's entries durable.
///
/// # Errors
/// What the disk says.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Writes offsets by partition.
///
/// # Errors
/// What the disk says.
pub fn write_offsets(
    path: &Path,
    offsets: &OffsetsByPartition,
    edges: &dyn Edges,
) -> Result<(), CheckpointError> {
    let mut text = format!("0\n{}\n", offsets.len());
    for (TopicPartition { topic, partition }, offset) in offsets {
        let _ = writeln!(text, "{topic} {partition} {offset}");
    }
    replace(path, text.as_bytes(), edges)
        .map_err(|source| CheckpointError::Io { path: path.display().to_string(), source })
}

/// Reads offsets by partition; an absent file has none.
///
/// # Errors
/// When the file is there and cannot be read as a checkpoint.
pub fn read_offsets(path: &Path) -> Result<OffsetsByPartition, CheckpointError> {
    let lines = read_lines(path)?;
    let mut offsets = BTreeMap::new();
    for (number, line) in lines {
        let mut words = line.split(' ');
        let mut entry = || {
            let (topic, partition) = (words.next()?, words.next()?.parse().ok()?);
            let offset = Offset::new(words.next()?.parse().ok().filter(|offset| *offset >= 0)?);
            words.next().is_none().then_some((TopicPartition::new(topic, partition), offset))
        };
        let (partition, offset) = entry().ok_or_else(|| malformed(path, number))?;
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}

pub(super) fn malformed(path: &Path, line: usize) -> CheckpointError {
    CheckpointError::Malformed { path: path.display().to_string(), line }
}

/// The entry lines of a version 0 checkpoint with their numbers; none when the file is absent.
pub(super) fn read_lines(path: &Path) -> Result<Vec<(usize, String)>, CheckpointError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(CheckpointError::Io { path: path.display().to_string(), source });
        }
    };
    let mut lines = (1..).zip(text.lines());
    let mut number = |line| {
        lines
            .next()
            .and_then(|(_, text)| text.parse::<usize>().ok())
            .ok_or_else(|| malformed(path, line))
    };
    if number(1)? != 0 {
        return Err(malformed(path, 1));
    }
    let count = number(2)?;
    let entries: Vec<_> = lines.map(|(number, line)| (number, line.to_owned())).collect();
    if entries.len() == count { Ok(entries) } else { Err(malformed(path, 2)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::NoEdges;

    #[test]
    fn offsets_read_back_and_an_absent_file_has_none() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("recovery-point-offset-checkpoint");
        assert!(read_offsets(&path).expect("absent").is_empty());
        let offsets: OffsetsByPartition = [
            (TopicPartition::new("orders", 0), Offset::new(5)),
            (TopicPartition::new("orders", 1), Offset::new(0)),
        ]
        .into();
        write_offsets(&path, &offsets, &NoEdges).expect("write");
        assert_eq!(fs::read_to_string(&path).expect("read"), "0\n2\norders 0 5\norders 1 0\n");
        assert_eq!(read_offsets(&path).expect("read"), offsets);
    }

    #[test]
    fn a_malformed_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("c");
        for (text, line) in [
            ("", 1),
            ("1\n0\n", 1),
            ("0\n2\na 0 1\n", 2),
            ("0\n1\na 0\n", 3),
            ("0\n1\na 0 -1\n", 3),
            ("0\n1\na 0 1 2\n", 3),
        ] {
            fs::write(&path, text).expect("write");
            let error = read_offsets(&path).expect_err("refused");
            assert!(error.to_string().ends_with(&format!("line {line}")), "{text:?}: {error}");
        }
    }
}

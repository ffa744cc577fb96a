//! Which segments a check found right already, so that one that was broken off goes on.
//!
//! A line for each segment, by the id in its objects' names, below a line that names the cluster.
//! Lines are only added: what a crash tears is the last one, and that is not believed. A segment
//! whose line is lost is read once more. After a day nothing of it counts: what was right then need not
//! be right now.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use icecore_tiering::SegmentId;

/// So many segments at a time are handed to the system.
const FLUSH_EVERY: usize = 32;
/// One that was last written to longer ago is begun anew.
const COUNTS_FOR: Duration = Duration::from_secs(24 * 3600);

/// The file.
pub(super) struct Checkpoint {
    path: PathBuf,
    file: BufWriter<File>,
    known: HashSet<SegmentId>,
    unflushed: usize,
    /// Why nothing is noted any more.
    failed: Option<io::Error>,
}

impl Checkpoint {
    /// Goes on with the file of that cluster, or begins one. `anew` forgets what it says.
    pub(super) fn open(path: &Path, cluster_id: &str, anew: bool) -> io::Result<Self> {
        let heading = format!("icecore fsck 1 {cluster_id}\n");
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let anew = anew || is_old(path);
        let lines = text.strip_prefix(&heading).filter(|_| !anew).unwrap_or_default();
        // Without its end a line may be cut.
        let whole = lines.rfind('\n').map_or("", |end| &lines[..end]);
        let known: HashSet<SegmentId> =
            whole.lines().filter_map(|line| line.parse().ok()).collect();
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(heading.as_bytes())?;
        for id in &known {
            writeln!(file, "{id}")?;
        }
        file.flush()?;
        Ok(Self { path: path.to_owned(), file, known, unflushed: 0, failed: None })
    }

    /// Whether it was found right.
    pub(super) fn has(&self, id: SegmentId) -> bool {
        self.known.contains(&id)
    }

    /// Notes one that was found right. A disk that fails is told of at the end.
    pub(super) fn add(&mut self, id: SegmentId) {
        if self.failed.is_none() {
            self.failed = self.write(id).err();
        }
    }

    fn write(&mut self, id: SegmentId) -> io::Result<()> {
        writeln!(self.file, "{id}")?;
        self.unflushed += 1;
        if self.unflushed < FLUSH_EVERY {
            return Ok(());
        }
        self.unflushed = 0;
        self.file.flush()
    }

    /// Keeps the file for the next time.
    ///
    /// # Errors
    /// What the disk said, now or before.
    pub(super) fn keep(mut self) -> io::Result<()> {
        self.failed.map_or(Ok(()), Err)?;
        self.file.flush()
    }

    /// All was looked at: the next check begins anew.
    pub(super) fn remove(self) -> io::Result<()> {
        drop(self.file);
        std::fs::remove_file(&self.path)
    }
}

fn is_old(path: &Path) -> bool {
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = written.ok().and_then(|written| SystemTime::now().duration_since(written).ok());
    age.is_some_and(|age| age > COUNTS_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_right_is_known_again_but_for_a_line_that_was_cut() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("checkpoint");
        let ids: Vec<_> = (0..3).map(|n| SegmentId::from_bytes([n; 16])).collect();
        let mut first = Checkpoint::open(&path, "c", false).expect("open");
        ids.iter().for_each(|id| first.add(*id));
        first.keep().expect("keep");
        let text = std::fs::read_to_string(&path).expect("read");
        std::fs::write(&path, &text[..text.len() - 5]).expect("cut");
        let second = Checkpoint::open(&path, "c", false).expect("open");
        assert!(second.has(ids[0]) && second.has(ids[1]) && !second.has(ids[2]));
        second.keep().expect("keep");
        let other = Checkpoint::open(&path, "other", false).expect("open");
        assert!(!other.has(ids[0]), "of another cluster");
        let mut again = Checkpoint::open(&path, "c", false).expect("open");
        again.add(ids[0]);
        again.keep().expect("keep");
        let anew = Checkpoint::open(&path, "c", true).expect("open");
        assert!(!anew.has(ids[0]));
        anew.keep().expect("keep");
        let mut again = Checkpoint::open(&path, "c", false).expect("open");
        again.add(ids[0]);
        again.keep().expect("keep");
        let long_ago = SystemTime::now() - 2 * COUNTS_FOR;
        let file = File::options().write(true).open(&path).expect("open");
        file.set_modified(long_ago).expect("an old file");
        let anew = Checkpoint::open(&path, "c", false).expect("open");
        assert!(!anew.has(ids[0]), "it was right the day before yesterday");
        anew.remove().expect("remove");
        assert!(!path.exists());
    }
}

//! The checkpoint files of the log folder: recovery points, log starts, high watermarks, and the
//! mark of an orderly end.
//!
//! A file tells of all partitions and is written whole, so only one thread writes it at a time. It knows
//! partitions by name: what it says of one has to be gone before another has that name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Partition;
use crate::env::{Edges, NoEdges};
use crate::log::OpenAt;
use crate::log::checkpoint::{
    CheckpointError, OffsetsByPartition, read_offsets, replace, write_offsets,
};
use crate::model::{Offset, TopicPartition};

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// What the last run left.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    recovery_points: OffsetsByPartition,
    log_starts: OffsetsByPartition,
    clean: bool,
}

impl Remembered {
    /// Whether all that is remembered is of partitions that `are` there.
    pub(super) fn is_only_of(&self, are: impl Fn(&TopicPartition) -> bool) -> bool {
        self.recovery_points.keys().chain(self.log_starts.keys()).all(are)
    }

    /// Where the log of a partition may begin to trust what it finds.
    pub(super) fn open_at(&self, partition: &TopicPartition, empty_start: Offset) -> OpenAt {
        let of = |offsets: &OffsetsByPartition| offsets.get(partition).copied();
        OpenAt {
            recovery_point: of(&self.recovery_points).unwrap_or_default(),
            log_start: of(&self.log_starts).unwrap_or_default(),
            empty_start,
            clean: self.clean,
        }
    }
}

/// Writes the log starts of partitions that nobody hosts yet. Blocking.
///
/// # Errors
/// What the disk says.
pub fn write_log_starts(
    log_dir: &Path,
    starts: &OffsetsByPartition,
) -> Result<(), CheckpointError> {
    let path = log_dir.join(LOG_STARTS);
    fs::create_dir_all(log_dir)
        .map_err(|source| CheckpointError::Io { path: path.display().to_string(), source })?;
    write_offsets(&path, starts, &NoEdges)
}

/// Writes and reads the files.
pub(super) struct Checkpoints {
    dir: PathBuf,
    edges: Arc<dyn Edges>,
    writing: Mutex<()>,
}

impl Checkpoints {
    pub(super) fn new(dir: &Path, edges: Arc<dyn Edges>) -> Self {
        Self { dir: dir.to_owned(), edges, writing: Mutex::new(()) }
    }

    /// Reads what the last run left, and takes its mark of an orderly end away.
    pub(super) fn read(&self) -> Result<Remembered, CheckpointError> {
        let mark = self.dir.join(CLEAN_SHUTDOWN);
        let clean = mark.exists();
        if clean {
            fs::remove_file(&mark).map_err(|source| CheckpointError::Io {
                path: mark.display().to_string(),
                source,
            })?;
        }
        Ok(Remembered {
            recovery_points: read_offsets(&self.dir.join(RECOVERY_POINTS))?,
            log_starts: read_offsets(&self.dir.join(LOG_STARTS))?,
            clean,
        })
    }

    /// Writes all three files from what the logs say now. `hosted` is asked when nobody else writes
    /// any more, so that nothing older can come after.
    pub(super) fn write(
        &self,
        hosted: impl FnOnce() -> Vec<Arc<Partition>>,
    ) -> Result<(), CheckpointError> {
        let _one_at_a_time = self.writing.lock();
        let partitions = hosted();
        let collect = |offset: fn(&Partition) -> Offset| -> OffsetsByPartition {
            partitions.iter().map(|p| (p.name().clone(), offset(p))).collect()
        };
        self.put(LOG_STARTS, &collect(|p| p.log().log_start()))?;
        self.put(RECOVERY_POINTS, &collect(|p| p.log().local().recovery_point()))?;
        self.put(HIGH_WATERMARKS, &collect(Partition::high_watermark))
    }

    /// Writes the log starts alone: before anything below one of them is deleted.
    pub(super) fn write_log_starts(
        &self,
        hosted: impl FnOnce() -> Vec<Arc<Partition>>,
    ) -> Result<(), CheckpointError> {
        let _one_at_a_time = self.writing.lock();
        let starts = hosted().iter().map(|p| (p.name().clone(), p.log().log_start())).collect();
        self.put(LOG_STARTS, &starts)
    }

    fn put(&self, name: &str, offsets: &OffsetsByPartition) -> Result<(), CheckpointError> {
        write_offsets(&self.dir.join(name), offsets, &*self.edges)
    }

    /// Marks an orderly end: every log was closed.
    pub(super) fn mark_clean(&self) -> io::Result<()> {
        let text = b"{\"version\":0,\"brokerEpoch\":-1}";
        replace(&self.dir.join(CLEAN_SHUTDOWN), text, &*self.edges)
    }
}

//! A check of the store against the manifest, and of both against what the objects say themselves.
//!
//! ```text
//! 1  the marker is read: this is the store
//! 2  each partition is listed and held against its rows
//! 3  of each live segment the head of the .index object is read; deep: all bytes of both objects
//! 4  unfinished uploads are asked for, and snapshots beside the segments are read
//! 5  the marker is read again
//! ```
//! Nothing is changed. Nothing is called missing because a list does not show it: the object is
//! asked for by its name. It may go on beside uploads and deletions: what is wrong with a segment
//! counts only if its row is still live after it was seen, and an object without a row only if it is
//! still there. Work is bounded: so many partitions at a time, so many objects over all.
//! What a check found right is told segment by segment, so that one that was broken off goes on: an
//! object's name is never used twice.

mod finding;
mod meta;
mod objects;
mod partition;

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use tokio::sync::Semaphore;

pub use finding::{Finding, FindingKind};

use crate::ids::SegmentId;
use crate::manifest::ManifestError;
use crate::partition::PartitionKey;
use crate::scan::{Folder, Scope, attempt_of};
use crate::segment::Segment;
use crate::store::StoreError;
use crate::tiering::{Tiering, VouchError};

/// Partitions that are looked at at a time.
const PARTITIONS_AT_ONCE: usize = 8;
/// Objects that are read at a time, over all partitions: a head of an index, or a log chunk by chunk.
const OBJECTS_AT_ONCE: usize = 16;
/// Logs that are read through at a time. Each holds a chunk in memory.
const LOGS_AT_ONCE: usize = 4;

/// What to look at, and how closely.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Where to look.
    pub scope: Scope,
    /// Whether every byte is read.
    pub deep: bool,
    /// Whether offsets that no segment holds are a finding.
    pub gaps: bool,
    /// Unfinished uploads that are younger are no finding. Zero while nothing is written.
    pub min_age: Duration,
}

/// Looks at the bytes of one log, for a caller who knows what is in them.
pub trait LogInspector: Send {
    /// The next bytes.
    fn bytes(&mut self, bytes: &Bytes);
    /// After the last: what is wrong with them, if anything is.
    fn end(self: Box<Self>) -> Option<String>;
}

/// Told of what a check does, as it goes.
pub trait CheckWatch: Send + Sync {
    /// Something is not as it ought to be.
    fn found(&self, finding: Finding);
    /// A segment was found right; deep, with so many bytes read.
    fn checked(&self, segment: &Segment, bytes: u64);
    /// Whether this segment was found right before, by a look as close as this one.
    fn is_known(&self, segment: SegmentId) -> bool;
    /// A look at the bytes of a segment's log. `None` when checksums are enough.
    fn inspect(&self, segment: &Segment) -> Option<Box<dyn LogInspector>>;
    /// So many partitions of so many are done.
    fn partitions(&self, done: u64, of: u64);
}

/// Why a check could not look. What was told until then stands, but it is not all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The manifest does not have all rows of the store.
    #[error(
        "the manifest does not know all objects of the store: start the broker once, or restore"
    )]
    NeedsReconcile,
    /// The store is not, or cannot be shown to be, the one that the manifest knows.
    #[error(transparent)]
    Vouch(#[from] VouchError),
    /// The manifest failed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process is about to end.
    #[error("the check was broken off")]
    BrokenOff,
}

/// One check under way.
struct Check<'a> {
    tiering: &'a Tiering,
    options: &'a CheckOptions,
    watch: &'a dyn CheckWatch,
    objects: Semaphore,
    logs: Semaphore,
    /// Unfinished uploads that changed after this may be on their way.
    before: SystemTime,
}

impl Tiering {
    /// Checks the store against the manifest.
    ///
    /// # Errors
    /// [`CheckError`]: not all was looked at.
    pub async fn check(
        &self,
        options: &CheckOptions,
        watch: &dyn CheckWatch,
    ) -> Result<(), CheckError> {
        if self.needs_reconcile() {
            return Err(CheckError::NeedsReconcile);
        }
        self.vouch().await?;
        let (objects, logs) = (Semaphore::new(OBJECTS_AT_ONCE), Semaphore::new(LOGS_AT_ONCE));
        let before = SystemTime::now().checked_sub(options.min_age);
        let before = before.unwrap_or(SystemTime::UNIX_EPOCH);
        let check = Check { tiering: self, options, watch, objects, logs, before };
        check.partitions().await?;
        check.unfinished().await?;
        check.meta().await?;
        self.vouch().await?;
        Ok(())
    }
}

impl Check<'_> {
    async fn partitions(&self) -> Result<(), CheckError> {
        let scope = &self.options.scope;
        let (folders, foreign) = self.tiering.scan_folders(scope).await?;
        for name in foreign {
            self.find(FindingKind::ForeignName, name, "no topic or partition is named so");
        }
        let mut rows_of = self.tiering.manifest.partitions().await?;
        rows_of.retain(|key| scope.has(key));
        let listed: Vec<_> =
            folders.into_iter().map(|folder| (folder.key(), Some(folder))).collect();
        let shown: HashSet<_> = listed.iter().map(|(key, _)| key.id()).collect();
        rows_of.retain(|key| !shown.contains(&key.id()));
        // Partitions with rows whose folder was not listed: each row is looked up by name.
        let unlisted = rows_of.into_iter().map(|key| (key, None));
        let all: Vec<(PartitionKey, Option<Folder>)> = listed.into_iter().chain(unlisted).collect();
        let (mut done, of) = (0, all.len() as u64);
        self.watch.partitions(done, of);
        let work = all.into_iter().map(|(key, folder)| self.partition(key, folder));
        let work: Vec<_> = work.collect();
        let mut under_way = stream::iter(work).buffer_unordered(PARTITIONS_AT_ONCE);
        while let Some(()) = under_way.try_next().await? {
            done += 1;
            self.watch.partitions(done, of);
        }
        Ok(())
    }

    /// Uploads that no list shows.
    async fn unfinished(&self) -> Result<(), CheckError> {
        let prefixes = match &self.options.scope {
            Scope::All => vec![self.tiering.layout.root()],
            Scope::Partitions(keys) => {
                keys.iter().map(|key| self.tiering.layout.partition(key)).collect()
            }
        };
        // An upload that ends meanwhile was on its way when it was listed.
        let flying = self.tiering.in_flight.now();
        for prefix in prefixes {
            for left in self.tiering.store.hidden_before(&prefix, self.before).await? {
                let attempt = attempt_of(&left);
                if attempt.is_some_and(|id| flying.contains(&id) || self.tiering.in_flight.has(id))
                {
                    continue;
                }
                let detail = "nobody will finish it: garbage collection removes it";
                self.find(FindingKind::UnfinishedUpload, left.to_string(), detail);
            }
        }
        Ok(())
    }

    /// As [`Check::find`], unless the segment was deleted or replaced meanwhile.
    async fn find_of(
        &self,
        row: &Segment,
        kind: FindingKind,
        place: &Path,
        detail: impl Into<String>,
    ) -> Result<(), CheckError> {
        if self.tiering.manifest.is_live(row.segment_id).await? {
            self.find(kind, place.as_ref(), detail);
        }
        Ok(())
    }

    fn find(&self, kind: FindingKind, place: impl Into<String>, detail: impl Into<String>) {
        self.watch.found(Finding { kind, place: place.into(), detail: detail.into() });
    }
}

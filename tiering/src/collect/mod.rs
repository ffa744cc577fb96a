//! Garbage collection: what crashes left is finished or removed.
//!
//! Invariants:
//! - Nothing is removed unless the marker object was read and names the store that the manifest
//!   knows, and the manifest has a row for every object (it was made with the store, or
//!   reconciled): an empty manifest, or a proxy's empty list, makes nothing garbage.
//! - An object with bytes of the log is removed only when no row names its attempt, the store says
//!   it is older than `min_age`, and rows answer for all of its offsets (or the log starts after
//!   them). A pair that nobody claims is reported, since it may be the only copy.
//! - A row without objects is put right only while the local copy is there. Without one it is a
//!   loss: reported, counted, and left.
//! - After one collection with `min_age` zero and no upload running there is no object of ours
//!   without a row, and no row without an object.
//!
//! A crash at any point leaves what the next collection finds again; every removal may be repeated.

mod objects;
mod uploads;

use std::time::{Duration, SystemTime};

use crate::delete::{DeleteError, DeleteReport};
use crate::ids::SegmentId;
use crate::manifest::{ManifestError, Unfinished};
use crate::scan::{Scope, attempt_of};
use crate::segment::{RemoteState, Segment};
use crate::steps::{Step, Stopped};
use crate::store::StoreError;
use crate::tiering::{Tiering, VouchError};

/// Names kept of each kind in a report; the counts go on.
const NAMES_MAX: usize = 1000;

/// What to collect.
#[derive(Clone, Debug)]
pub struct CollectOptions {
    /// Younger left-overs are spared: they may belong to an upload that is still on its way. At
    /// least the longest time an upload takes, and the clocks' difference.
    pub min_age: Duration,
    /// Only report.
    pub dry_run: bool,
    /// Where to look.
    pub scope: Scope,
}

/// A number of things and the names of the first thousand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// How many.
    pub count: u64,
    /// The names of the first ones.
    pub names: Vec<String>,
}

impl Named {
    pub(crate) fn add(&mut self, name: impl Into<String>) {
        self.count += 1;
        if self.names.len() < NAMES_MAX {
            self.names.push(name.into());
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = NAMES_MAX.saturating_sub(self.names.len());
        self.names.extend(other.names.into_iter().take(room));
    }
}

/// What a collection found, and, unless it was a dry run, did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectReport {
    /// Broken-off uploads whose objects were whole: live now.
    pub completed: u64,
    /// Broken-off uploads that were given up: to be uploaded again.
    pub abandoned: u64,
    /// Broken-off deletions that were finished.
    pub deleted: DeleteReport,
    /// Objects without a row.
    pub orphans: Named,
    /// Bytes of these objects.
    pub orphan_bytes: u64,
    /// Unfinished multipart uploads and temporary files.
    pub unfinished: Named,
    /// Live segments whose objects were missing: to be uploaded again from the local copy.
    pub returned: Vec<Segment>,
    /// Live segments whose objects are missing and that have no local copy. Left as they are.
    pub lost: Vec<Segment>,
    /// Whole objects that no row claims and whose offsets nothing else answers for. Left as they
    /// are; a reconcile takes them in.
    pub unclaimed: Named,
    /// Names that are not ours. Left as they are.
    pub foreign: Named,
    /// What could not be looked at or removed now.
    pub failed: Named,
}

impl CollectReport {
    /// Whether anything was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why nothing was collected, or not all.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The manifest does not have all rows of the store.
    #[error("the manifest does not know all objects of the store: reconcile first")]
    NeedsReconcile,
    /// The store is not, or cannot be shown to be, the one that the manifest knows.
    #[error("nothing was collected: {0}")]
    Vouch(#[from] VouchError),
    /// The manifest failed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The owner stopped it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<DeleteError> for CollectError {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Manifest(error) => Self::Manifest(error),
            DeleteError::Store(error) => Self::Store(error),
            DeleteError::Stopped(stopped) => Self::Stopped(stopped),
        }
    }
}

/// One collection under way.
pub(super) struct Collection<'a> {
    tiering: &'a Tiering,
    options: &'a CollectOptions,
    /// Left-overs that changed after this are spared.
    before_ms: i64,
    report: CollectReport,
}

impl Tiering {
    /// Finishes or removes what crashes left.
    ///
    /// # Errors
    /// [`CollectError`]; what was done until then stands, and the next collection goes on.
    pub async fn collect_garbage(
        &self,
        options: &CollectOptions,
    ) -> Result<CollectReport, CollectError> {
        if self.needs_reconcile() {
            return Err(CollectError::NeedsReconcile);
        }
        // Two at a time would find each other's work undone.
        let _turn = self.collecting.lock().await;
        self.vouch().await?;
        let min_age_ms = i64::try_from(options.min_age.as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.clock.now_ms().saturating_sub(min_age_ms);
        let report = CollectReport::default();
        let mut collection = Collection { tiering: self, options, before_ms, report };
        collection.finish_uploads().await?;
        collection.finish_deletions().await?;
        collection.match_objects().await?;
        collection.remove_hidden().await?;
        collection.remove_probes().await?;
        let report = collection.report;
        if !options.dry_run {
            self.tally().garbage_found.add(report.orphans.count + report.unfinished.count);
            self.tally().missing_found.add(report.lost.len() as u64);
        }
        Ok(report)
    }
}

impl Collection<'_> {
    fn flying(&self, attempt: SegmentId) -> bool {
        self.tiering.in_flight.has(attempt)
    }

    async fn finish_deletions(&mut self) -> Result<(), CollectError> {
        let (tiering, scope) = (self.tiering, &self.options.scope);
        if self.options.dry_run {
            let all = Unfinished {
                state: RemoteState::Deleting,
                changed_before_ms: i64::MAX,
                partition: None,
                limit: usize::MAX,
                skip: 0,
            };
            let rows = tiering.manifest.unfinished(all).await?;
            for row in rows.iter().filter(|row| scope.has(&row.partition)) {
                self.report.deleted.segments += 1;
                self.report.deleted.bytes += row.size;
            }
            return Ok(());
        }
        let deleted = match scope {
            Scope::All => tiering.finish_deletions(None).await?,
            Scope::Partitions(keys) => {
                let mut sum = DeleteReport::default();
                for key in keys {
                    let report = tiering.finish_deletions(Some(key)).await?;
                    sum.segments += report.segments;
                    sum.bytes += report.bytes;
                }
                sum
            }
        };
        self.report.deleted = deleted;
        Ok(())
    }

    /// Unfinished S3 uploads and half-written files.
    async fn remove_hidden(&mut self) -> Result<(), CollectError> {
        let prefixes = match &self.options.scope {
            Scope::All => vec![self.tiering.layout.root()],
            Scope::Partitions(keys) => {
                keys.iter().map(|key| self.tiering.layout.partition(key)).collect()
            }
        };
        let before = u64::try_from(self.before_ms).unwrap_or(0);
        let before = SystemTime::UNIX_EPOCH + Duration::from_millis(before);
        for prefix in prefixes {
            for left in self.tiering.store.hidden_before(&prefix, before).await? {
                let attempt = attempt_of(&left);
                if attempt.is_some_and(|attempt| self.flying(attempt)) {
                    continue;
                }
                self.report.unfinished.add(left.to_string());
                if !self.options.dry_run {
                    self.tiering.store.remove_hidden(left).await?;
                    self.tiering.tally().garbage_removed.bump();
                }
            }
        }
        Ok(())
    }

    /// Probe objects of starts that died.
    async fn remove_probes(&mut self) -> Result<(), CollectError> {
        if self.options.scope != Scope::All {
            return Ok(());
        }
        let (mut old, before_ms) = (Vec::new(), self.before_ms);
        let meta = self.tiering.layout.meta_folder();
        let probe = |name: Option<&str>| {
            name.is_some_and(|name| name.trim_start_matches('.').starts_with("probe-"))
        };
        let found = self.tiering.store.list(&meta, |object| {
            let modified_ms = object.last_modified.timestamp_millis();
            if probe(object.location.filename()) && modified_ms <= before_ms {
                old.push(object.location);
            }
        });
        found.await?;
        old.iter().for_each(|object| self.report.orphans.add(object.as_ref()));
        self.remove(old).await
    }

    async fn remove(&self, objects: Vec<object_store::path::Path>) -> Result<(), CollectError> {
        if self.options.dry_run || objects.is_empty() {
            return Ok(());
        }
        let count = objects.len() as u64;
        self.tiering.store.delete(objects).await?;
        self.tiering.tally().garbage_removed.add(count);
        Ok(())
    }

    fn reached_garbage(&self) -> Result<(), Stopped> {
        self.tiering.reached(Step::GarbageFound)
    }
}

//! Reconcile: the manifest rebuilt from what the store and the local disk hold.
//!
//! ```text
//! 1  the marker is read: this is the store
//! 2  each partition is listed; an object pair (log and index) is a segment     step StoreRead
//!    a list with a hole in it is made once more, and both count
//! 3  headers of the .index objects complete what names do not tell: of all segments, or of the
//!    first and the last one of each partition
//! 4  overlaps resolve by leader epoch
//! 5  local files take their place: those with a live twin, and those without
//! 6  the partition's rows are replaced in one transaction
//! 7  after all partitions of the scope `All`: the manifest counts as complete
//! ```
//! A crash before 7 leaves a manifest that says it is not complete: nothing is collected, and the
//! next start reconciles again. Rows that the list does not confirm stay as they are: a list proves
//! no absence. Attempts whose rows are `uploading` or `deleting` are left to collection.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt as _, stream};

use crate::bundle;
use crate::collect::Named;
use crate::ids::{LeaderEpoch, Offset, SegmentId};
use crate::key::ObjectName;
use crate::lineage;
use crate::manifest::{self, Facts, ManifestError, PieceChange, RowRange};
use crate::marker::{self, MarkerError};
use crate::partition::PartitionKey;
use crate::read::describes;
use crate::scan::{Folder, Listed, Scope};
use crate::segment::{LocalState, ObjectSpan, RemoteState, Segment};
use crate::steps::{Step, Stopped};
use crate::store::StoreError;
use crate::tiering::Tiering;

/// Partitions that are listed and written at a time.
const PARTITIONS_AT_ONCE: usize = 16;
/// Headers read at a time, over all partitions.
pub(crate) const HEADERS_AT_ONCE: usize = 32;
/// Enough for nearly every header; a longer one takes a second request.
const HEADER_BYTES: u64 = 16 << 10;
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// One partition as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPartition {
    /// Which one.
    pub key: PartitionKey,
    /// The first offset of the first live segment.
    pub first: Offset,
    /// The last offset of the last live segment, inclusive.
    pub end: Offset,
    /// The highest leader epoch in any object's name, also of those that do not count.
    pub leader_epoch: LeaderEpoch,
    /// Live segments.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
    /// When the last object was written, by the store's clock, in milliseconds.
    pub modified_ms: i64,
}

/// What a reconcile found and wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileReport {
    /// Every partition that has a segment in the store.
    pub partitions: Vec<FoundPartition>,
    /// Rows of live segments.
    pub live: u64,
    /// Rows of segments that only the local disk has.
    pub local_only: u64,
    /// Objects whose offsets a later leader's segments answer for.
    pub shadowed: Named,
    /// Logs without index, and indexes without log.
    pub incomplete: Named,
    /// Objects whose header cannot be read or does not fit the name or the log's size. The ones
    /// with a log of the right size have a row from their name alone.
    pub damaged: Named,
    /// Names that are not ours.
    pub foreign: Named,
    /// Offsets between two segments that no object holds, by partition.
    pub gaps: Named,
}

impl ReconcileReport {
    fn add(&mut self, other: Self) {
        self.partitions.extend(other.partitions);
        self.live += other.live;
        self.local_only += other.local_only;
        self.shadowed.append(other.shadowed);
        self.incomplete.append(other.incomplete);
        self.damaged.append(other.damaged);
        self.foreign.append(other.foreign);
        self.gaps.append(other.gaps);
    }
}

/// How far a reconcile is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconcileProgress {
    /// Partitions done.
    pub partitions: u64,
    /// Partitions in all.
    pub of_partitions: u64,
    /// Live segments found so far.
    pub segments: u64,
}

/// Whose headers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    /// Every segment's: a row gets all that it can hold, for one request each.
    All,
    /// The first and the last segment's of each partition. Names and sizes tell offsets, the largest
    /// timestamp and the epoch; a row lacks the first timestamp, the log's checksum, and epochs that
    /// begin inside.
    Ends,
}

/// Why the manifest was not rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The store is not, or cannot be shown to be, this cluster's.
    #[error("nothing was reconciled: {0}")]
    Marker(#[from] MarkerError),
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

impl Tiering {
    /// Rebuilds the rows of a scope. `local` are the sealed segments on this machine's disk, of all
    /// its partitions. Existing rows are kept where nothing contradicts them, so that it may be run
    /// at any time while the partitions are not in use.
    ///
    /// # Errors
    /// [`ReconcileError`]; partitions that were written stay written.
    pub async fn reconcile(
        &self,
        scope: &Scope,
        local: &[Segment],
    ) -> Result<ReconcileReport, ReconcileError> {
        self.rebuild(scope, local, Headers::All, &|_| ()).await
    }

    /// As [`Tiering::reconcile`], with a say in what is read, and told of each partition that is
    /// done.
    ///
    /// # Errors
    /// As [`Tiering::reconcile`].
    pub async fn rebuild(
        &self,
        scope: &Scope,
        local: &[Segment],
        headers: Headers,
        told: &(dyn Fn(ReconcileProgress) + Send + Sync),
    ) -> Result<ReconcileReport, ReconcileError> {
        let cluster = &self.config.cluster_id;
        let found = marker::read(&self.store, &self.layout, cluster).await?;
        let missing = || MarkerError::Missing { object: marker::name(&self.layout).to_string() };
        let found = found.ok_or_else(missing)?;

        let mut by_partition: HashMap<_, Vec<&Segment>> = HashMap::new();
        for segment in local.iter().filter(|segment| scope.has(&segment.partition)) {
            by_partition.entry(segment.partition.id()).or_default().push(segment);
        }
        let (folders, foreign) = self.scan_folders(scope).await?;
        let mut report = ReconcileReport::default();
        foreign.into_iter().for_each(|name| report.foreign.add(name));
        let mut progress =
            ReconcileProgress { of_partitions: folders.len() as u64, ..Default::default() };
        told(progress);
        let work: Vec<_> = folders
            .into_iter()
            .map(|folder| {
                let id = (folder.topic.topic_id, folder.partition);
                let local = by_partition.remove(&id).unwrap_or_default();
                async move { self.reconcile_partition(&folder, &local, headers).await }
            })
            .collect();
        let mut under_way = stream::iter(work).buffer_unordered(PARTITIONS_AT_ONCE);
        while let Some(done) = under_way.next().await {
            report.add(done?);
            progress.partitions += 1;
            progress.segments = report.live;
            told(progress);
        }
        drop(under_way);
        for (_, local) in by_partition {
            self.write_local_only(&local, &mut report).await?;
        }
        report.partitions.sort_by(|a, b| a.key.cmp(&b.key));
        if *scope == Scope::All {
            let facts = Facts { store_id: Some(found.store_id), complete: true };
            self.manifest.save_facts(facts).await?;
            self.complete.store(true, std::sync::atomic::Ordering::Release);
        }
        Ok(report)
    }

    async fn reconcile_partition(
        &self,
        folder: &Folder,
        local: &[&Segment],
        headers: Headers,
    ) -> Result<ReconcileReport, ReconcileError> {
        let mut report = ReconcileReport::default();
        let mut listing = self.scan_folder(&folder.path).await?;
        if listing.has_holes() {
            listing.add_all(self.scan_folder(&folder.path).await?);
        }
        self.reached(Step::StoreRead)?;
        listing.foreign.iter().for_each(|name| report.foreign.add(name));
        let shown = folder.key();
        let known = self.known_rows(&shown).await?;
        let busy: HashSet<SegmentId> = known
            .values()
            .filter(|row| matches!(row.remote, RemoteState::Uploading | RemoteState::Deleting))
            .map(|row| row.segment_id)
            .collect();

        let (mut whole, mut leader_epoch, mut modified_ms) = (Vec::new(), LeaderEpoch::ZERO, 0);
        for (attempt, pair) in listing.pairs {
            for (name, object) in pair.log.iter().chain(&pair.index) {
                leader_epoch = leader_epoch.max(name.leader_epoch);
                modified_ms = modified_ms.max(object.modified_ms);
            }
            match (pair.log, pair.index) {
                _ if busy.contains(&attempt) => {}
                (Some(log), Some(index)) => whole.push((log, index.1)),
                (log, index) => incomplete(log.iter().chain(&index), &mut report),
            }
        }
        let found = self.read_rows(&shown, whole, headers, &mut report.damaged).await?;
        let replaces = found.iter().map(|row| row.segment_id).collect();
        let resolved = lineage::resolve(found);
        for row in &resolved.shadowed {
            report.shadowed.add(self.object_name(row, crate::key::ObjectPart::Log));
        }
        let mut pieces = resolved.pieces;
        let local_only = place_local(&mut pieces, local, &known);
        let key = pieces.first().map_or(shown, |piece| piece.partition.clone());
        for (before, after) in pieces.iter().zip(pieces.iter().skip(1)) {
            if before.end.next() < after.base {
                let (from, to) = (before.end.next(), after.base.prev());
                report.gaps.add(format!("{key}: {from} to {to}"));
            }
        }
        report.live += pieces.len() as u64;
        report.local_only += local_only.len() as u64;
        if let (Some(first), Some(last)) = (pieces.first(), pieces.last()) {
            report.partitions.push(FoundPartition {
                key: key.clone(),
                first: first.base,
                end: last.end,
                leader_epoch,
                segments: pieces.len() as u64,
                bytes: pieces.iter().map(|piece| piece.size).sum(),
                modified_ms,
            });
        }
        let change = PieceChange { replaces, pieces, local_only };
        self.manifest.replace_live(&key, change).await?;
        Ok(report)
    }

    /// The rows of whole pairs; what is wrong with any of them is told.
    pub(crate) async fn read_rows(
        &self,
        shown: &PartitionKey,
        mut whole: Vec<((ObjectName, Listed), Listed)>,
        headers: Headers,
        damaged: &mut Named,
    ) -> Result<Vec<Segment>, StoreError> {
        whole.sort_by_key(|((name, _), _)| (name.base, name.segment_id));
        let ends = [0, whole.len().saturating_sub(1)];
        let mut rows = Vec::with_capacity(whole.len());
        let mut reads = Vec::new();
        for (at, ((name, log), index)) in whole.into_iter().enumerate() {
            if headers == Headers::All || ends.contains(&at) {
                reads.push(self.read_row(shown, (name, log), index));
            } else {
                rows.push(row_by_name(shown, &name, &log));
            }
        }
        let mut reads = stream::iter(reads).buffer_unordered(HEADERS_AT_ONCE);
        while let Some(read) = reads.next().await {
            let (row, damage) = read?;
            damage.into_iter().for_each(|name| damaged.add(name));
            rows.extend(row);
        }
        // A cut folder's name is made whole by any header; all rows bear the same one.
        if let Some(named) =
            rows.iter().map(|row| &row.partition).find(|key| *key != shown).cloned()
        {
            rows.iter_mut().for_each(|row| row.partition = named.clone());
        }
        // One object that no row can describe must not keep all others from theirs.
        rows.retain(|row| {
            let fits = manifest::is_segment(row);
            if !fits {
                damaged.add(self.object_name(row, crate::key::ObjectPart::Log));
            }
            fits
        });
        Ok(rows)
    }

    async fn write_local_only(
        &self,
        local: &[&Segment],
        report: &mut ReconcileReport,
    ) -> Result<(), ReconcileError> {
        let Some(first) = local.first() else { return Ok(()) };
        let known = self.known_rows(&first.partition).await?;
        let local_only = place_local(&mut [], local, &known);
        report.local_only += local_only.len() as u64;
        let change = PieceChange { local_only, ..PieceChange::default() };
        Ok(self.manifest.replace_live(&first.partition, change).await?)
    }

    async fn known_rows(
        &self,
        key: &PartitionKey,
    ) -> Result<HashMap<Offset, Segment>, ManifestError> {
        let all = RowRange { from: Offset::ZERO, to: Offset::MAX, remote: None, limit: usize::MAX };
        let rows = self.manifest.rows(key, all).await?;
        Ok(rows.into_iter().map(|row| (row.base, row)).collect())
    }

    /// The row of an object pair: from the header, or from the name when the header is damaged.
    /// A log of another size than its header says gives no row, and neither does one that is not
    /// there any more: a list can lag behind deletions.
    async fn read_row(
        &self,
        shown: &PartitionKey,
        (name, log): (ObjectName, Listed),
        index: Listed,
    ) -> Result<(Option<Segment>, Option<String>), StoreError> {
        // The semaphore is never closed.
        let _turn = self.header_reads.acquire().await;
        let by_name = row_by_name(shown, &name, &log);
        let (header, there) = futures::join!(self.read_header(&index), self.store.head(&log.path));
        match there {
            Err(StoreError::NotFound { .. }) => return Ok((None, None)),
            there => drop(there?),
        }
        let header = match header {
            Err(StoreError::WrongBytes { object, .. } | StoreError::NotFound { object }) => {
                return Ok((Some(by_name), Some(object)));
            }
            header => header?,
        };
        if header.size != log.size {
            return Ok((None, Some(log.path.to_string())));
        }
        if !describes(&header, &by_name) {
            return Ok((Some(by_name), Some(index.path.to_string())));
        }
        Ok((Some(header.into_row()), None))
    }

    async fn read_header(&self, index: &Listed) -> Result<bundle::BundleHeader, StoreError> {
        let mut length = index.size.min(HEADER_BYTES);
        loop {
            let bytes = self.store.get_range(&index.path, index.size, 0..length).await?;
            match bundle::header(&bytes) {
                Ok(header) => return Ok(header),
                Err(bundle::BundleError::Short { need, .. })
                    if need as u64 > length
                        && (need as u64) <= index.size.min(HEADER_BYTES_MAX) =>
                {
                    length = need as u64;
                }
                Err(error) => return Err(StoreError::wrong_bytes(&index.path, error)),
            }
        }
    }
}

fn incomplete<'a>(
    objects: impl Iterator<Item = &'a (ObjectName, Listed)>,
    report: &mut ReconcileReport,
) {
    objects.for_each(|(_, object)| report.incomplete.add(object.path.as_ref()));
}

/// What a name and a size tell: all that a lookup needs.
fn row_by_name(key: &PartitionKey, name: &ObjectName, log: &Listed) -> Segment {
    Segment {
        partition: key.clone(),
        base: name.base,
        end: name.end,
        object: ObjectSpan { base: name.base, end: name.end },
        first_timestamp_ms: -1,
        max_timestamp_ms: name.max_timestamp_ms,
        size: log.size,
        leader_epoch: name.leader_epoch,
        epochs: vec![(name.leader_epoch, name.base)],
        segment_id: name.segment_id,
        log_crc: None,
        sealed_ms: log.modified_ms,
        local: LocalState::Gone,
        remote: RemoteState::Live,
    }
}

/// Marks the pieces that have a local twin, and gives the local segments that have no live one.
fn place_local(
    pieces: &mut [Segment],
    local: &[&Segment],
    known: &HashMap<Offset, Segment>,
) -> Vec<Segment> {
    let twin = |piece: &Segment, other: &Segment| {
        (piece.base, piece.end, piece.size) == (other.base, other.end, other.size)
            && !piece.is_cut()
    };
    let local_at: HashMap<Offset, &Segment> =
        local.iter().map(|segment| (segment.base, *segment)).collect();
    for piece in &mut *pieces {
        let here = local_at.get(&piece.base).is_some_and(|segment| twin(piece, segment));
        let known_here = known
            .get(&piece.base)
            .is_some_and(|row| row.local == LocalState::Present && twin(piece, row));
        if here || known_here {
            piece.local = LocalState::Present;
        }
    }
    let taken: HashSet<Offset> = pieces.iter().map(|piece| piece.base).collect();
    let free =
        |segment: &&&Segment| !taken.contains(&segment.base) && !known.contains_key(&segment.base);
    let only = |segment: &&Segment| Segment {
        local: LocalState::Present,
        remote: RemoteState::None,
        ..(*segment).clone()
    };
    local.iter().filter(free).map(only).collect()
}

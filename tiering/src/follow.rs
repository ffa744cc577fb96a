//! Follow: the manifest of a process that only reads goes along with a store that another one owns.
//!
//! ```text
//! 1  the partition's folder is listed from the last known segment on: an object pair is a segment
//! 2  headers of the .index objects complete what names do not tell
//! 3  what connects to the offsets that are known gets its rows, in one transaction
//! ```
//! Invariants:
//! - A list proves presence, never absence: it adds rows and takes none away. What it shows behind a
//!   hole waits, as long as the caller does not say that the hole is real ([`Follow::over_holes`]).
//! - What was shown once stays: rows are added behind those that are there.
//! - A row goes only by the word of the store's owner, who says where the log starts, or because the
//!   store itself says of that log, by its name, that it is not there ([`Tiering::first_there`]). The
//!   caller moves its log start first, so that no reader is led to it.
//!
//! A crash anywhere leaves rows that are right; the next follow goes on behind them.

use std::collections::HashSet;

use futures::{StreamExt as _, stream};

use crate::collect::Named;
use crate::ids::{LeaderEpoch, Offset, SegmentId};
use crate::key::ObjectPart;
use crate::lineage;
use crate::manifest::{Change, ManifestError, RowRange};
use crate::partition::PartitionKey;
use crate::reconcile::Headers;
use crate::segment::{RemoteState, Segment};
use crate::store::StoreError;
use crate::tiering::{Tiering, VouchError};

/// Rows read, or taken out, at a time.
const PAGE: usize = 512;
/// Logs that are asked for by name at a time.
const ASKED_AT_ONCE: usize = 16;

/// From where on a partition is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// The first offset that is not known: what lies before it is known already, or not wanted.
    pub next: Offset,
    /// Whether segments behind a hole are taken: then the offsets in it count as lost.
    pub over_holes: bool,
}

/// How a partition stands after it was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Segments that are new.
    pub segments: u64,
    /// The offset after the last one that is known.
    pub next: Offset,
    /// The first and the last offset that no object holds although there are some behind them. When
    /// it was not stepped over, the new segments end before it.
    pub hole: Option<(Offset, Offset)>,
    /// The highest leader epoch in the name of any object that was listed.
    pub leader_epoch: LeaderEpoch,
    /// Objects whose header cannot be read, or does not fit the name or the log's size.
    pub damaged: Named,
}

/// Why a partition could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store is not, or cannot be shown to be, this cluster's.
    #[error(transparent)]
    Vouch(#[from] VouchError),
    /// The manifest failed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FollowError {
    /// Whether it may be over after a while with nobody doing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Vouch(error) => error.may_pass(),
            Self::Store(error) => error.may_pass(),
            Self::Manifest(_) => false,
        }
    }
}

impl Tiering {
    /// Adds the rows of the segments that a list of the partition shows from `from` on.
    ///
    /// # Errors
    /// [`FollowError`]; nothing was added.
    pub async fn follow(
        &self,
        partition: &PartitionKey,
        from: Follow,
    ) -> Result<Followed, FollowError> {
        let last = self.manifest.last(partition).await?;
        let next = last.as_ref().map_or(from.next, |last| from.next.max(last.end.next()));
        let base = last.as_ref().map_or(Offset::ZERO, |last| last.base);
        // The first look at a long history does not read a header for each segment.
        let headers = if last.is_some() { Headers::All } else { Headers::Ends };
        let listing = self.scan_from(&self.layout.partition(partition), base).await?;

        let mut followed = Followed { next, ..Followed::default() };
        let mut whole = Vec::new();
        for pair in listing.pairs.into_values() {
            let names = pair.log.iter().chain(&pair.index).map(|(name, _)| name.leader_epoch);
            followed.leader_epoch = names.fold(followed.leader_epoch, LeaderEpoch::max);
            if let (Some(log), Some(index)) = (pair.log, pair.index)
                && pair.end >= next
            {
                whole.push((log, index.1));
            }
        }
        let found = self.read_rows(partition, whole, headers, &mut followed.damaged).await?;
        let mut taken = Vec::new();
        let pieces = lineage::resolve(found).pieces.into_iter();
        for mut piece in pieces.filter(|piece| piece.end >= next) {
            if piece.base > followed.next {
                followed.hole = Some((followed.next, piece.base.prev()));
                if !from.over_holes {
                    break;
                }
            }
            piece.base = piece.base.max(followed.next);
            followed.next = piece.end.next();
            taken.push(piece);
        }
        followed.segments = taken.len() as u64;
        if !taken.is_empty() {
            self.manifest.add_live(partition, taken).await?;
        }
        Ok(followed)
    }

    /// Where the history begins by what the store says of each log, by its name: the base of the first
    /// segment whose log is there; `None` when none is.
    ///
    /// # Errors
    /// [`FollowError`]: nothing is known then.
    pub async fn first_there(
        &self,
        partition: &PartitionKey,
    ) -> Result<Option<Offset>, FollowError> {
        self.vouch().await?;
        let (mut from, mut any_gone) = (Offset::ZERO, false);
        let first = 'rows: loop {
            let rows = self.live_page(partition, from..Offset::MAX).await?;
            let Some(last) = rows.last() else { break None };
            from = last.base.next();
            let asked: Vec<_> = rows.iter().map(|row| self.log_is_there(row)).collect();
            let mut asked = stream::iter(asked).buffered(ASKED_AT_ONCE).enumerate();
            while let Some((at, there)) = asked.next().await {
                if there? {
                    break 'rows Some(rows[at].base);
                }
                any_gone = true;
            }
        };
        if any_gone {
            // It is still the same store that says so.
            self.vouch().await?;
        }
        Ok(first)
    }

    async fn log_is_there(&self, segment: &Segment) -> Result<bool, StoreError> {
        match self.store.head(&self.object(segment, ObjectPart::Log)).await {
            Err(StoreError::NotFound { .. }) => Ok(false),
            found => found.map(|_| true),
        }
    }

    /// Takes out the rows of segments that end before `start`, which the caller's log starts at by now.
    /// Returns how many.
    ///
    /// # Errors
    /// When the manifest fails; call again to go on.
    pub async fn withdraw_below(
        &self,
        partition: &PartitionKey,
        start: Offset,
    ) -> Result<u64, ManifestError> {
        let mut withdrawn = 0;
        loop {
            let mut rows = self.live_page(partition, Offset::ZERO..start).await?;
            rows.retain(|row| row.end < start);
            if rows.is_empty() {
                return Ok(withdrawn);
            }
            withdrawn += rows.len() as u64;
            let gone: HashSet<SegmentId> = rows.iter().map(|row| row.segment_id).collect();
            self.manifest.change_all(rows, Change::Withdrawn).await?;
            gone.into_iter().for_each(|segment| self.reader.forget(segment));
        }
    }

    async fn live_page(
        &self,
        partition: &PartitionKey,
        bases: std::ops::Range<Offset>,
    ) -> Result<Vec<Segment>, ManifestError> {
        let (from, to) = (bases.start, bases.end);
        let range = RowRange { from, to, remote: Some(RemoteState::Live), limit: PAGE };
        self.manifest.rows(partition, range).await
    }
}

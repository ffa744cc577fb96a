//! What a broker keeps in the bucket beside segments: snapshots of bytes that this crate does not
//! look into, by kind.
//!
//! ```text
//! <prefix>/<cluster-id>/meta/<kind>/<number:020>.meta
//! ```
//! Invariants:
//! - An object is written once, under a number that none had: create-only works on every store
//!   (HDFS has no conditional update). Nothing is ever overwritten.
//! - The highest number that reads right is the one that counts. A damaged one is told of, and the
//!   one before it counts.
//! - An older one goes only after a newer one was written and verified, and a few stay.
//! - A list that lacks what must be there is an error (see `numbered`): neither a write nor a read
//!   takes an old number for the newest.
//!
//! A crash after a create and before the removal of older ones leaves some more of these: the next
//! write removes them.

mod envelope;
mod numbered;

use std::collections::HashMap;

use bytes::Bytes;

pub use envelope::EnvelopeError;
pub(crate) use numbered::{Created, META_BYTES_MAX, New, Numbered, is_numbered, judge};

use crate::store::{NotOwner, StoreError};
use crate::tiering::{Tiering, VouchError};

/// Snapshots of a kind that are kept.
const KEPT: usize = 4;
/// Numbers tried in a row when others take them.
const TRIES: usize = 4;

/// What a snapshot is of. Part of object names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetaKind(&'static str);

impl MetaKind {
    /// A kind of that name.
    ///
    /// # Panics
    /// When it is empty, longer than 40 bytes, or not of `a` to `z` and `-`: meant for constants.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 40, "the length of a kind's name");
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at].is_ascii_lowercase() || bytes[at] == b'-', "a kind's name");
            at += 1;
        }
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// A snapshot that reads right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaSnapshot {
    /// Its number.
    pub number: u64,
    /// When it was written, by the writer's clock, in milliseconds.
    pub written_ms: i64,
    /// What was handed in.
    pub payload: Bytes,
}

/// What was found of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaFound {
    /// The newest one that reads right.
    pub newest: Option<MetaSnapshot>,
    /// Newer ones that do not, and why.
    pub damaged: Vec<String>,
}

/// Why a snapshot was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is not, or cannot be shown to be, this cluster's.
    #[error(transparent)]
    Vouch(#[from] VouchError),
    /// It does not read as right.
    #[error("{object}: {reason}")]
    Damaged {
        /// Its name.
        object: String,
        /// What is wrong.
        reason: EnvelopeError,
    },
    /// A later version wrote it. It is not passed over for an older one, as a damaged one is: what
    /// happened since would be lost.
    #[error(
        "{object}: {reason}: a later version of icecore wrote it, start that version (or remove the \
         object, and the one before it counts)"
    )]
    Later {
        /// Its name.
        object: String,
        /// Which format it has.
        reason: EnvelopeError,
    },
    /// More than a snapshot may have.
    #[error("a snapshot of {kind} has {bytes} bytes, at most {max} are kept in one object")]
    TooLarge {
        /// Of what.
        kind: &'static str,
        /// Its size.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// This process does not own the store, or is not sure to: nothing was sent.
    #[error(transparent)]
    NotOwner(#[from] NotOwner),
    /// Others took one number after the other.
    #[error("somebody else writes snapshots of {0} as well")]
    Contended(&'static str),
}

/// The numbers that there are, by kind, once they were listed.
pub(crate) type MetaNumbers = tokio::sync::Mutex<HashMap<MetaKind, Vec<u64>>>;

impl Tiering {
    pub(crate) fn numbered(&self, kind: MetaKind) -> Numbered<'_> {
        Numbered { store: &self.store, layout: &self.layout, kind }
    }

    /// Writes a snapshot, and removes old ones. Returns its number when it is in the store and
    /// verified; from then on it is the one that counts.
    ///
    /// # Errors
    /// [`MetaError`]; the snapshot before still counts, or this one does.
    pub async fn put_meta(&self, kind: MetaKind, payload: Bytes) -> Result<u64, MetaError> {
        let objects = self.numbered(kind);
        self.store.fence().check()?;
        // One write at a time: also two of one process would take each other's numbers.
        let mut by_kind = self.meta_numbers.lock().await;
        let known = match by_kind.remove(&kind) {
            Some(known) => known,
            None => {
                self.vouch().await?;
                objects.list().await?
            }
        };
        let mut next = known.last().map_or(1, |last| last + 1);
        for _ in 0..TRIES {
            let new =
                New { number: next, written_ms: self.clock.now_ms(), payload: payload.clone() };
            match objects.create(new).await? {
                Created::Ours => {
                    let left = self.remove_old(objects, known, next).await;
                    by_kind.insert(kind, left);
                    return Ok(next);
                }
                // An earlier write of ours that was given up, or somebody else's.
                Created::Taken(_) => next += 1,
            }
        }
        Err(MetaError::Contended(kind.name()))
    }

    /// Keeps `newest` and a few before it; what cannot be removed now is tried again next time.
    async fn remove_old(&self, objects: Numbered<'_>, known: Vec<u64>, newest: u64) -> Vec<u64> {
        let mut known = known;
        known.push(newest);
        let old = known.len().saturating_sub(KEPT);
        if old == 0 {
            return known;
        }
        match objects.remove(&known[..old]).await {
            Ok(()) => known.split_off(old),
            Err(error) => {
                tracing::warn!(%error, "old metadata snapshots stay for now");
                known
            }
        }
    }

    /// The newest snapshot of a kind that reads right.
    ///
    /// # Errors
    /// [`MetaError::Vouch`], [`MetaError::Store`], [`MetaError::Later`]: nothing is known then. That there is none is
    /// said only of a store whose marker was read before and after it was listed.
    pub async fn newest_meta(&self, kind: MetaKind) -> Result<MetaFound, MetaError> {
        self.meta_after(kind, 0).await
    }

    /// The same among those that are newer than `known`: for one who has read that one.
    ///
    /// # Errors
    /// As [`Tiering::newest_meta`].
    pub async fn meta_after(&self, kind: MetaKind, known: u64) -> Result<MetaFound, MetaError> {
        self.vouch().await?;
        let objects = self.numbered(kind);
        let mut found = MetaFound::default();
        let newer = objects.list().await?.into_iter().rev().take_while(|number| *number > known);
        for number in newer {
            match objects.read(number).await {
                Ok(snapshot) => {
                    found.newest = Some(snapshot);
                    return Ok(found);
                }
                Err(MetaError::Damaged { object, reason }) if reason.is_later() => {
                    return Err(MetaError::Later { object, reason });
                }
                Err(MetaError::Damaged { object, reason }) => {
                    tracing::warn!(%object, %reason, "a metadata snapshot is damaged: an older one counts");
                    found.damaged.push(format!("{object}: {reason}"));
                }
                Err(MetaError::Store(StoreError::WrongBytes { object, wrong })) => {
                    tracing::warn!(%object, %wrong, "a metadata snapshot is damaged: an older one counts");
                    found.damaged.push(format!("{object}: {wrong}"));
                }
                // Removed since it was listed: newer ones were written meanwhile, or are missing.
                Err(MetaError::Store(StoreError::NotFound { object })) => {
                    found.damaged.push(format!("{object}: listed, but not there"));
                }
                Err(error) => return Err(error),
            }
        }
        // That nothing is newer than what is known says nothing that would have to be proved.
        if known == 0 {
            self.vouch().await?;
        }
        Ok(found)
    }
}

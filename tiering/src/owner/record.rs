//! What an owner record says.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::meta::MetaSnapshot;

/// One record: who holds the cluster's objects, from when it was written on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Which data directory: the same over all its lives.
    pub(super) instance: String,
    /// Which life of it.
    pub(super) run: String,
    /// The holder in words, for people.
    pub(super) holder: String,
    /// Without a newer record for so long, the holder is gone and can change nothing any more.
    pub(super) free_after_ms: u64,
    /// The holder ended in order.
    pub(super) released: bool,
}

impl Record {
    pub(super) fn encode(&self) -> Option<Bytes> {
        serde_json::to_vec(self).ok().map(Bytes::from)
    }

    /// `None` when it is not a record: somebody wrote it who is not of this version.
    pub(super) fn decode(snapshot: &MetaSnapshot) -> Option<Self> {
        serde_json::from_slice(&snapshot.payload).ok()
    }
}

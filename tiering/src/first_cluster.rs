//! The cluster that began first under a prefix, under a name that is asked for without a list.
//!
//! A list that comes back empty would let a second cluster begin beside the one that it hides, and
//! clients would find none of their topics. This object is read before such a list is believed. It
//! vouches for nothing: the marker of the cluster that it names does.

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::key::Layout;
use crate::store::{Store, StoreError};

const NAME: &str = "first-cluster.json";
const BYTES_MAX: u64 = 64 << 10;

#[derive(Serialize, Deserialize)]
struct First {
    cluster_id: String,
}

fn name(store: &Store, prefix: &str) -> Path {
    Layout::clusters(store.url_prefix(), prefix).join(NAME)
}

/// Notes a cluster that begins, unless another one did before.
pub(crate) async fn note(store: &Store, prefix: &str, cluster_id: &str) -> Result<(), StoreError> {
    let first = serde_json::json!(First { cluster_id: cluster_id.to_owned() });
    match store.create(&name(store, prefix), Bytes::from(first.to_string())).await {
        Err(StoreError::Exists { .. }) => Ok(()),
        noted => noted,
    }
}

/// The id of the cluster that began first, if it was noted. What does not read as a note is none.
pub(crate) async fn read(store: &Store, prefix: &str) -> Result<Option<String>, StoreError> {
    match store.get_whole(&name(store, prefix), BYTES_MAX).await {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok().map(|First { cluster_id }| cluster_id)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

//! The marker object: it says which cluster's store this is.
//!
//! A list that comes back empty proves nothing; reading the marker first proves that the store
//! behind the URL is the one that the manifest knows. Nothing is declared lost and nothing is
//! collected without it.

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::key::Layout;
use crate::store::{Store, StoreError};

const FORMAT: u32 = 1;
const BYTES_MAX: u64 = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    format: u32,
    pub(crate) cluster_id: String,
    /// A nonce: tells this store from another one of the same name, and our write from another's.
    pub(crate) store_id: String,
}

/// What every version's marker has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Why the marker does not vouch for the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MarkerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none.
    #[error("the store has no marker object {object}: it was emptied, or it is another store")]
    Missing {
        /// The marker's name.
        object: String,
    },
    /// It belongs to another store.
    #[error("the marker object {object} names store {found}, the manifest belongs to {known}")]
    Other {
        /// The marker's name.
        object: String,
        /// What it says.
        found: String,
        /// What the manifest says.
        known: String,
    },
    /// It is of another format.
    #[error(
        "{object} has format {found}: a later version of icecore wrote this store, start that version"
    )]
    Later {
        /// The marker's name.
        object: String,
        /// Its format.
        found: u32,
    },
    /// It does not read as a marker.
    #[error("{object} is not a marker of this cluster (a proxy's page?)")]
    Unreadable {
        /// The marker's name.
        object: String,
    },
}

pub(crate) fn name(layout: &Layout) -> Path {
    layout.meta("marker.json")
}

/// Reads the marker; `None` when the store says that there is none.
pub(crate) async fn read(
    store: &Store,
    layout: &Layout,
    cluster_id: &str,
) -> Result<Option<Marker>, MarkerError> {
    let object = name(layout);
    let bytes = match store.get_whole(&object, BYTES_MAX).await {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        read => read?,
    };
    let unreadable = || MarkerError::Unreadable { object: object.to_string() };
    // Its format first: in a later one the rest may be called otherwise.
    let Format { format } = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    if format > FORMAT {
        return Err(MarkerError::Later { object: object.to_string(), found: format });
    }
    let marker: Marker = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    if marker.cluster_id != cluster_id {
        return Err(unreadable());
    }
    Ok(Some(marker))
}

/// Creates the marker, or takes the one that another broker created meanwhile. Whatever the create
/// answers, the object decides: an answer of "exists" or none at all can mean our own write.
pub(crate) async fn create(
    store: &Store,
    layout: &Layout,
    cluster_id: &str,
) -> Result<Marker, MarkerError> {
    let store_id = uuid::Uuid::new_v4().simple().to_string();
    let marker = Marker { format: FORMAT, cluster_id: cluster_id.to_owned(), store_id };
    let object = name(layout);
    let bytes = serde_json::to_vec(&marker)
        .map_err(|_| MarkerError::Unreadable { object: object.to_string() })?;
    let created = store.create(&object, Bytes::from(bytes)).await;
    match read(store, layout, cluster_id).await? {
        Some(found) => Ok(found),
        None => Err(match created {
            Err(error) => error.into(),
            Ok(()) => MarkerError::Missing { object: object.to_string() },
        }),
    }
}

/// Reads the marker and compares it with what the manifest knows.
pub(crate) async fn vouch(
    store: &Store,
    layout: &Layout,
    cluster_id: &str,
    known: Option<&str>,
) -> Result<(), MarkerError> {
    let object = name(layout).to_string();
    let Some(found) = read(store, layout, cluster_id).await? else {
        return Err(MarkerError::Missing { object });
    };
    match known {
        Some(known) if known == found.store_id => Ok(()),
        known => Err(MarkerError::Other {
            object,
            found: found.store_id,
            known: known.unwrap_or("no store").to_owned(),
        }),
    }
}

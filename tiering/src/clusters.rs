//! Which clusters a store holds: each has a marker under its own id.

use crate::key::{KeyError, Layout};
use crate::marker::{self, MarkerError};
use crate::store::{Store, StoreError, StoreOpenError, StoreSettings};

/// A cluster whose marker was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundCluster {
    /// Its id: the folder's name.
    pub cluster_id: String,
    /// The nonce in its marker.
    pub store_id: String,
}

/// Why the clusters of a store are not known.
#[derive(Debug, thiserror::Error)]
pub enum FindClustersError {
    /// The store's URL, options or credentials are wrong.
    #[error(transparent)]
    Open(#[from] StoreOpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The prefix or the cluster's id cannot stand in object names.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A marker is there and does not read as one.
    #[error(transparent)]
    Marker(MarkerError),
}

/// The clusters under a prefix of a store, by id. Folders without a marker are none. That there is
/// no cluster is only as good as the store's list: nothing may be deleted on the strength of it.
///
/// # Errors
/// [`FindClustersError`].
pub async fn find_clusters(
    settings: StoreSettings,
    prefix: &str,
) -> Result<Vec<FoundCluster>, FindClustersError> {
    let store = Store::open(settings).await?;
    find_in(&store, prefix).await
}

/// The cluster of that id under a prefix of a store. Its marker is asked for by name: no list is
/// believed.
///
/// # Errors
/// [`FindClustersError`].
pub async fn find_cluster(
    settings: StoreSettings,
    prefix: &str,
    id: &str,
) -> Result<Option<FoundCluster>, FindClustersError> {
    let store = Store::open(settings).await?;
    let layout = Layout::below(store.url_prefix(), prefix, id)?;
    read(&store, &layout, id).await
}

pub(crate) async fn find_in(
    store: &Store,
    prefix: &str,
) -> Result<Vec<FoundCluster>, FindClustersError> {
    let mut found = Vec::new();
    for folder in store.folders(&Layout::clusters(store.url_prefix(), prefix)).await? {
        let Some(id) = folder.filename() else { continue };
        let Ok(layout) = Layout::below(store.url_prefix(), prefix, id) else { continue };
        found.extend(read(store, &layout, id).await?);
    }
    found.sort();
    Ok(found)
}

async fn read(
    store: &Store,
    layout: &Layout,
    id: &str,
) -> Result<Option<FoundCluster>, FindClustersError> {
    match marker::read(store, layout, id).await {
        Ok(marker) => Ok(marker
            .map(|marker| FoundCluster { cluster_id: id.to_owned(), store_id: marker.store_id })),
        Err(MarkerError::Store(error)) => Err(error.into()),
        Err(error) => Err(FindClustersError::Marker(error)),
    }
}

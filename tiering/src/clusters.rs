//! Which clusters a store holds: each has a marker under its own id.

use object_store::path::Path;

use crate::first_cluster;
use crate::key::{KeyError, Layout};
use crate::marker::{self, MarkerError};
use crate::store::{CheckError, Store, StoreError, StoreSettings};
use crate::tiering::{OpenError, check_failed};

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
    /// The store cannot be opened or asked.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The prefix or the cluster's id cannot stand in object names.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A marker is there and does not read as one.
    #[error(transparent)]
    Marker(MarkerError),
}

impl FindClustersError {
    /// Whether the store may answer by itself after a while.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Open(OpenError::Unreachable { .. }))
    }
}

/// The clusters under a prefix of a store, by id. Folders without a marker are none. A list that shows
/// nothing is not believed before the cluster that began first was asked for by name; still, nothing
/// may be deleted on the strength of the answer.
///
/// # Errors
/// [`FindClustersError`].
pub async fn find_clusters(
    settings: StoreSettings,
    prefix: &str,
) -> Result<Vec<FoundCluster>, FindClustersError> {
    let asked = Asked::open(settings).await?;
    let mut found = Vec::new();
    for folder in asked.folders(prefix).await? {
        let Some(id) = folder.filename() else { continue };
        // What cannot be a cluster's id is another's folder.
        match asked.cluster(prefix, id).await {
            Ok(cluster) => found.extend(cluster),
            Err(FindClustersError::Key(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() {
        found.extend(asked.first(prefix).await?);
    }
    found.sort();
    Ok(found)
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
    Asked::open(settings).await?.cluster(prefix, id).await
}

/// A store that is asked.
struct Asked {
    store: Store,
    url: String,
}

impl Asked {
    async fn open(settings: StoreSettings) -> Result<Self, OpenError> {
        let url = settings.url.clone();
        Ok(Self { store: Store::open(settings).await?, url })
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<Path>, OpenError> {
        let folder = Layout::clusters(self.store.url_prefix(), prefix);
        match self.store.folders(&folder).await {
            // Which may mean that there is no bucket: the check that an opening makes tells.
            Err(error @ StoreError::Refused { .. }) => {
                let probe = folder.join(format!("probe-{}", uuid::Uuid::new_v4().simple()));
                Err(match self.store.check(&probe).await {
                    Err(why) => check_failed(&self.url, &self.store, why),
                    Ok(_) => self.failed(error),
                })
            }
            listed => listed.map_err(|error| self.failed(error)),
        }
    }

    /// The cluster that began first, whatever lists show.
    async fn first(&self, prefix: &str) -> Result<Option<FoundCluster>, FindClustersError> {
        match first_cluster::read(&self.store, prefix).await.map_err(|error| self.failed(error))? {
            Some(id) => self.cluster(prefix, &id).await,
            None => Ok(None),
        }
    }

    async fn cluster(
        &self,
        prefix: &str,
        id: &str,
    ) -> Result<Option<FoundCluster>, FindClustersError> {
        let layout = Layout::below(self.store.url_prefix(), prefix, id)?;
        match marker::read(&self.store, &layout, id).await {
            Ok(marker) => Ok(marker.map(|marker| FoundCluster {
                cluster_id: id.to_owned(),
                store_id: marker.store_id,
            })),
            Err(MarkerError::Store(error)) => Err(self.failed(error).into()),
            Err(error) => Err(FindClustersError::Marker(error)),
        }
    }

    fn failed(&self, error: StoreError) -> OpenError {
        check_failed(&self.url, &self.store, CheckError::Bucket(error))
    }
}

//! A start on an empty disk with a store that is not empty.
//!
//! Nobody can tell a lost disk from a broker that was pointed at the store of another by mistake, so
//! nothing is taken over unless the settings say so.

use icecore_tiering::{FindClustersError, FoundCluster, TakeOver, find_cluster, find_clusters};

use super::observe::Observer;
use super::restore::{self, RestoreOptions, RestoreProgress, RestoreStep, RestoreWatch};
use super::start::store_settings;
use super::start_error::StartError;
use super::store_wait::until_reachable;
use crate::config::{BrokerConfig, EmptyDisk};

/// Decides what a disk without a broker's data is to be: nothing is done when a new cluster begins,
/// or when there is a broker's data. A restore that was broken off is made again.
pub(super) async fn decide(config: &BrokerConfig, observer: &Observer) -> Result<(), StartError> {
    let (data_dir, url) = (config.data_dir().to_owned(), config.store().url.clone());
    if restore::is_unfinished(&data_dir) {
        return restore_from(config, observer).await;
    }
    if data_dir.join("metadata.db").exists() {
        return Ok(());
    }
    let wanted = config.cluster_id();
    let clusters = clusters(config, wanted.as_deref(), observer).await?;
    if clusters.is_empty() {
        return Ok(());
    }
    match config.on_empty_disk() {
        EmptyDisk::New if wanted.is_none() => Ok(()),
        EmptyDisk::Restore => restore_from(config, observer).await,
        EmptyDisk::New | EmptyDisk::Refuse => {
            let ids: Vec<_> = clusters.into_iter().map(|cluster| cluster.cluster_id).collect();
            let data_dir = data_dir.display().to_string();
            Err(StartError::StoreHasClusters { data_dir, url, clusters: ids.join(", ") })
        }
    }
}

/// The clusters of the store, or the one that is wanted. A store that is out of reach is waited for.
/// Whatever else keeps it from telling is an error: silence does not mean that there is none.
async fn clusters(
    config: &BrokerConfig,
    wanted: Option<&str>,
    observer: &Observer,
) -> Result<Vec<FoundCluster>, StartError> {
    let prefix = config.tiering_prefix();
    observer.starting("looking for clusters in the object store");
    let ask = || async {
        let store = store_settings(config);
        match wanted {
            Some(id) => find_cluster(store, &prefix, id).await.map(|one| one.into_iter().collect()),
            None => find_clusters(store, &prefix).await,
        }
    };
    let found = until_reachable(observer, FindClustersError::may_pass, ask).await;
    found.map_err(|error| match error {
        FindClustersError::Open(error) => error.into(),
        source => {
            let url = config.store().url.clone();
            StartError::Clusters { url, source: Box::new(source) }
        }
    })
}

async fn restore_from(config: &BrokerConfig, observer: &Observer) -> Result<(), StartError> {
    observer.starting("restoring from the object store");
    let options = RestoreOptions { cluster_id: None, take_over: TakeOver::WhenFree };
    let report = restore::fill(config, &options, &Watched(observer)).await;
    let report = report.map_err(Box::new)?;
    tracing::info!(
        cluster = report.cluster_id,
        topics = report.topics.len(),
        segments = report.segments,
        committed_offsets = report.committed_offsets,
        cut_offsets = report.cut_offsets,
        lost = ?report.lost,
        damaged = ?report.damaged,
        "restored from the object store"
    );
    Ok(())
}

struct Watched<'a>(&'a Observer);

impl RestoreWatch for Watched<'_> {
    fn reached(&self, _step: RestoreStep) -> bool {
        true
    }

    fn progress(&self, progress: RestoreProgress) {
        self.0.starting(&format!("restoring from the object store: {progress}"));
    }
}

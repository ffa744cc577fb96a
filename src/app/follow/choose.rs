//! Which cluster of a store is read.

use std::time::Instant;

use icecore_tiering::{FindClustersError, FoundCluster, find_cluster, find_clusters};

use crate::app::observe::Observer;
use crate::app::start::store_settings;
use crate::app::store_wait::until_reachable;
use crate::config::BrokerConfig;

/// Why no cluster is read, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// The store could not be asked for its clusters.
    #[error(transparent)]
    Find(#[from] FindClustersError),
    /// No cluster in the store.
    #[error(
        "the store {url} holds no cluster below its prefix: check the URL and tiering.prefix; a \
         read-only server makes none"
    )]
    NoCluster {
        /// The store.
        url: String,
    },
    /// Not the one that was asked for.
    #[error(
        "the store {url} holds no cluster {wanted} below its prefix: check cluster.id, the URL and \
         tiering.prefix"
    )]
    NotThere {
        /// The store.
        url: String,
        /// Which one was asked for.
        wanted: String,
    },
    /// More than one.
    #[error("the store {url} holds several clusters, set cluster.id to one of them: {found}")]
    Several {
        /// The store.
        url: String,
        /// Their ids.
        found: String,
    },
}

impl ChooseError {
    /// Whether there may be a cluster a moment later.
    fn is_none_yet(&self) -> bool {
        matches!(self, Self::NoCluster { .. } | Self::NotThere { .. })
    }
}

/// The one that is asked for, else the only one. A store that is out of reach is waited for, and one that
/// holds none as long as the settings say.
pub(in crate::app) async fn choose(
    config: &BrokerConfig,
    observer: &Observer,
) -> Result<String, ChooseError> {
    observer.starting("looking for the cluster in the object store");
    let began = Instant::now();
    let passes = |error: &ChooseError| match error {
        ChooseError::Find(error) => error.may_pass(),
        error => error.is_none_yet() && began.elapsed() < config.follow_start_wait(),
    };
    until_reachable(observer, passes, || look(config)).await
}

async fn look(config: &BrokerConfig) -> Result<String, ChooseError> {
    let prefix = config.tiering_prefix();
    let url = config.store().url.clone();
    if let Some(wanted) = config.cluster_id() {
        return match find_cluster(store_settings(config), &prefix, &wanted).await? {
            Some(found) => Ok(found.cluster_id),
            None => Err(ChooseError::NotThere { url, wanted }),
        };
    }
    let mut found = find_clusters(store_settings(config), &prefix).await?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only.cluster_id),
        (None, _) => Err(ChooseError::NoCluster { url }),
        (Some(last), false) => {
            found.push(last);
            let ids: Vec<_> =
                found.into_iter().map(|FoundCluster { cluster_id, .. }| cluster_id).collect();
            Err(ChooseError::Several { url, found: ids.join(", ") })
        }
    }
}

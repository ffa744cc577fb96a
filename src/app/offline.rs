//! A data directory and its store, opened by a tool while no broker runs on them.

use std::sync::Arc;

use icecore_tiering::{SystemClock, TakeOver, Tiering};
use tokio_util::sync::CancellationToken;

use super::claim::{Claim, claim};
use super::owner::{OwnerTask, identity};
use super::restore;
use super::start::{StartError, tiering_config};
use crate::cluster::SqliteMetaStore;
use crate::config::BrokerConfig;
use crate::metadata::{MetaStore as _, StoredTopic};

/// What a tool is about to do with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfflineUse {
    /// Only look.
    Look,
    /// Remove what nobody needs: only the owner of the cluster may.
    Change,
}

/// Held open by one tool at a time.
pub struct Offline {
    cluster_id: String,
    ownership: Option<OwnerTask>,
    topics: Vec<StoredTopic>,
    tiering: Arc<Tiering>,
    _claim: Claim,
}

impl Offline {
    /// Claims the data directory of `config` and opens its store and manifest.
    ///
    /// # Errors
    /// When a broker runs there, there is no broker's data, the store does not answer, or, for a
    /// change, another broker owns it.
    pub async fn open(config: &BrokerConfig, to: OfflineUse) -> Result<Self, StartError> {
        let data_dir = config.data_dir().to_owned();
        let shown = || data_dir.display().to_string();
        if !config.remote_storage_system_enable() {
            return Err(StartError::NoRemoteTier);
        }
        let metadata = data_dir.join("metadata.db");
        if !metadata.exists() {
            return Err(StartError::NoData(shown()));
        }
        let claim = claim(&data_dir).map_err(StartError::Io)?;
        let claim = claim.ok_or_else(|| StartError::InUse(shown()))?;
        if restore::is_unfinished(&data_dir) {
            return Err(StartError::RestoreUnfinished(shown()));
        }
        let open = tokio::task::spawn_blocking(move || SqliteMetaStore::open(&metadata)).await;
        let store = open.map_err(|panic| StartError::Io(std::io::Error::other(panic)))??;
        let wanted = config.cluster_id();
        let cluster_id = store.cluster_id(wanted.as_deref()).await?;
        let topics = store.topics().await?;
        let instance = store.instance().await?;
        let wanted = tiering_config(config, &cluster_id);
        let tiering = Tiering::open(wanted, Arc::new(SystemClock)).await?;
        let ownership = match to {
            OfflineUse::Look => None,
            OfflineUse::Change => Some(own(&tiering, instance).await?),
        };
        Ok(Self { cluster_id, ownership, topics, tiering, _claim: claim })
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Every topic, also those that are being deleted.
    #[must_use]
    pub fn topics(&self) -> &[StoredTopic] {
        &self.topics
    }

    /// The store with its manifest.
    #[must_use]
    pub fn tiering(&self) -> &Arc<Tiering> {
        &self.tiering
    }

    /// Lets go of everything.
    ///
    /// # Errors
    /// When another broker took over meanwhile.
    pub async fn close(self) -> Result<(), StartError> {
        let owned = match self.ownership {
            Some(ownership) => ownership.end().await,
            None => Ok(()),
        };
        self.tiering.close().await;
        owned
    }
}

async fn own(tiering: &Arc<Tiering>, instance: String) -> Result<OwnerTask, StartError> {
    let owned = tiering.own(identity(instance, None), TakeOver::Never, &|_, _| ()).await;
    let ownership = owned.map_err(|source| StartError::Owner { source })?;
    // Whether another one took over is seen by each change, and at the end.
    Ok(OwnerTask::start(ownership, CancellationToken::new()))
}

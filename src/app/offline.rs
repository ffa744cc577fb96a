//! A data directory and its store, opened by a tool while no broker runs on them.

use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{PartitionKey, SystemClock, TakeOver, Tiering};
use tokio_util::sync::CancellationToken;

use super::claim::{Claim, claim};
use super::jobs::{self, JobPlace};
use super::owner::{OwnerTask, identity};
use super::restore;
use super::start::{READ_ONLY_SERVER, tiering_config};
use super::start_error::StartError;
use crate::cluster::SqliteMetaStore;
use crate::config::BrokerConfig;
use crate::http::{JobEnd, JobProgress, JobRequest};
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
    place: JobPlace,
    ownership: Option<OwnerTask>,
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
        if store.begin_as(false).await?.0 {
            return Err(StartError::OtherRole { data_dir: shown(), found: READ_ONLY_SERVER });
        }
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
        let place = JobPlace {
            tiering,
            cluster_id,
            data_dir,
            partitions_of: Box::new(move |name| partitions_of(&topics, name)),
            // Nothing is on its way any more.
            min_age: Duration::ZERO,
        };
        Ok(Self { place, ownership, _claim: claim })
    }

    /// Does a job, to its end. `told` is called as it goes on.
    pub async fn run(
        &self,
        request: &JobRequest,
        told: &(dyn Fn(JobProgress) + Send + Sync),
    ) -> JobEnd {
        jobs::run(&self.place, request, told).await
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
        self.place.tiering.close().await;
        owned
    }
}

/// The partitions of a topic that is not being deleted.
fn partitions_of(topics: &[StoredTopic], name: &str) -> Option<Vec<PartitionKey>> {
    let found = topics.iter().find(|topic| !topic.deleting && &*topic.name == name)?;
    let key = |number| PartitionKey::new(found.name.clone(), found.id, number);
    Some((0..).take(found.leader_epochs.len()).map(key).collect())
}

async fn own(tiering: &Arc<Tiering>, instance: String) -> Result<OwnerTask, StartError> {
    let owned = tiering.own(identity(instance, None), TakeOver::Never, &|_, _| ()).await;
    let ownership = owned.map_err(|source| StartError::Owner { source })?;
    // Whether another one took over is seen by each change, and at the end.
    Ok(OwnerTask::start(ownership, CancellationToken::new()))
}

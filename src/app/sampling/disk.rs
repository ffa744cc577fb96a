//! The file systems of the logs and of the read cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aside;
use crate::config::BrokerConfig;
use crate::metrics::{Dir, Metrics};

pub(super) struct Sampler {
    folders: [(Dir, PathBuf); 2],
    metrics: Arc<Metrics>,
}

impl Sampler {
    pub(super) fn new(config: &BrokerConfig, metrics: &Arc<Metrics>) -> Self {
        let folders = [(Dir::Data, config.log_dir()), (Dir::Cache, config.cache_dir())];
        Self { folders, metrics: metrics.clone() }
    }

    pub(super) async fn take(&mut self) {
        let (folders, metrics) = (self.folders.clone(), self.metrics.clone());
        aside(move || {
            for (dir, folder) in &folders {
                // A store that is read in place has no cache, and no folder for it.
                if let Some((size, free)) = space(folder) {
                    metrics.broker.disk(*dir, size, free);
                }
            }
        })
        .await;
    }
}

/// Bytes of the file system, and those that are free for us.
fn space(folder: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
}

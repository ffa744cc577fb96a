//! Brings what the parts know of themselves to the metrics: what counts up and lags once a second, what
//! is added up over all topics and groups every few seconds. Nothing here waits on a network thread.

mod disk;
mod groups;
mod partitions;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::start::Started;
use crate::config::BrokerConfig;
use crate::metrics::Metrics;

pub(super) use partitions::sealed_for;
pub(super) use store::Watch;

const SECOND: Duration = Duration::from_secs(1);
/// Between two looks at what is added up.
const ROUND: Duration = Duration::from_secs(2);

/// Samples until `stop`.
pub(super) fn start(
    started: &Started,
    config: &BrokerConfig,
    metrics: &Arc<Metrics>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let every = |interval, sample| tasks.spawn(repeat(interval, sample, stop.clone()));
    every(SECOND, Sample::Partitions(partitions::Sampler::new(started, config, metrics)));
    every(ROUND, Sample::Groups(groups::Sampler::new(started, metrics)));
    every(SECOND, Sample::Disk(disk::Sampler::new(started, config, metrics)));
    if let Some(tiering) = started.replicas.tiering() {
        every(SECOND, Sample::Store(store::Sampler::new(started, tiering, metrics)));
    }
    every(ROUND, Sample::Sizes(partitions::Sizes::new(started, metrics)));
}

/// What is sampled.
enum Sample {
    Partitions(partitions::Sampler),
    Sizes(partitions::Sizes),
    Groups(groups::Sampler),
    Disk(disk::Sampler),
    Store(store::Sampler),
}

impl Sample {
    async fn take(&mut self) {
        match self {
            Self::Partitions(sampler) => sampler.take().await,
            Self::Sizes(sampler) => sampler.take().await,
            Self::Groups(sampler) => sampler.take().await,
            Self::Disk(sampler) => sampler.take().await,
            Self::Store(sampler) => sampler.take(),
        }
    }
}

async fn repeat(interval: Duration, mut sample: Sample, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sample.take() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// A number for a gauge.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

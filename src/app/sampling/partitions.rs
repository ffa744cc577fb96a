//! Partitions: how many, how they are, what waits for its upload, and how large topics are.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use icecore_tiering::{RemoteState, TopicSum};

use super::number;
use crate::app::start::Started;
use crate::config::BrokerConfig;
use crate::env::{Clock as _, SystemClock};
use crate::log::{FileKind, Sealed};
use crate::metadata::{ClusterImage, LiveImage};
use crate::metrics::{Metrics, PartitionCounts, TopicSizes};
use crate::model::BrokerId;
use crate::replica::{Partition, Replicas};
use crate::task;

pub(super) struct Sampler {
    broker: BrokerId,
    image: Arc<LiveImage>,
    replicas: Arc<Replicas>,
    metrics: Arc<Metrics>,
}

/// What waits for its upload.
#[derive(Debug, Default)]
struct Lag {
    segments: u64,
    bytes: u64,
    /// For how long the oldest segment has been sealed.
    sealed_for: Duration,
    /// What only this disk has, the active segments included.
    only_here_bytes: u64,
    /// Since when, at the earliest, there is something that only this disk has.
    only_here_for: Duration,
}

impl Sampler {
    pub(super) fn new(started: &Started, config: &BrokerConfig, metrics: &Arc<Metrics>) -> Self {
        Self {
            broker: BrokerId(config.node_id()),
            image: started.image.clone(),
            replicas: started.replicas.clone(),
            metrics: metrics.clone(),
        }
    }

    pub(super) async fn take(&mut self) {
        let (broker, image) = (self.broker, self.image.load());
        let (replicas, metrics) = (self.replicas.clone(), self.metrics.clone());
        task::aside(move || {
            let hosted = replicas.all();
            metrics.partitions.count(&counts(broker, &image, &hosted));
            let mut lag = Lag::default();
            hosted.iter().for_each(|partition| lag.add(partition));
            let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            let tiering = &metrics.tiering;
            tiering.copy_lag_segments.set(number(lag.segments));
            tiering.copy_lag_bytes.set(number(lag.bytes));
            tiering.copy_lag_seconds.set(seconds(lag.sealed_for));
            tiering.not_uploaded_bytes.set(number(lag.only_here_bytes));
            tiering.not_uploaded_age_seconds.set(seconds(lag.only_here_for));
        })
        .await;
    }
}

fn counts(broker: BrokerId, image: &ClusterImage, hosted: &[Arc<Partition>]) -> PartitionCounts {
    let mut counts = PartitionCounts { partitions: hosted.len() as u64, ..Default::default() };
    for topic in image.topics() {
        counts.topics += 1;
        for (number, partition) in (0..).zip(&topic.partitions) {
            counts.cluster_partitions += 1;
            counts.leaders += u64::from(partition.leader == broker);
            counts.under_replicated += u64::from(partition.isr.len() < partition.replicas.len());
            counts.under_min_isr += u64::from(topic.check_in_sync(number).is_err());
        }
    }
    let failed = hosted.iter().filter(|partition| partition.log().local().failure().is_some());
    counts.offline = failed.count() as u64;
    counts
}

impl Lag {
    /// Blocking: the age of a segment is that of its file.
    fn add(&mut self, partition: &Partition) {
        let log = partition.log();
        if !log.is_tiered() {
            return;
        }
        let uploaded = log.remote_end().unwrap_or_default().max(log.log_start());
        let sealed = log.local().sealed();
        let waiting: Vec<_> = sealed.iter().filter(|sealed| sealed.end() > uploaded).collect();
        let bytes = waiting.iter().map(|sealed| sealed.size()).sum::<u64>();
        self.segments += waiting.len() as u64;
        self.bytes += bytes;
        self.only_here_bytes += bytes + log.local().active_extent().1.size;
        if let Some(oldest) = waiting.first() {
            self.sealed_for = self.sealed_for.max(sealed_for(oldest));
            // Its first record was written after its file was made.
            self.only_here_for = self.only_here_for.max(file_age(oldest, Metadata::created));
        }
        let active_ms = log.local().active_for_ms(SystemClock.now_ms());
        let active_for = Duration::from_millis(u64::try_from(active_ms).unwrap_or(0));
        self.only_here_for = self.only_here_for.max(active_for);
    }
}

/// How long ago a segment was last written; none at all when it is gone meanwhile. Blocking.
pub(in crate::app) fn sealed_for(segment: &Sealed) -> Duration {
    file_age(segment, Metadata::modified)
}

fn file_age(segment: &Sealed, since: impl Fn(&Metadata) -> io::Result<SystemTime>) -> Duration {
    let age = || -> io::Result<Duration> {
        let file = std::fs::metadata(segment.path(FileKind::Log))?;
        // Not every file system knows when a file was made.
        let since = since(&file).or_else(|_| file.modified())?;
        Ok(SystemTime::now().duration_since(since).unwrap_or_default())
    };
    age().unwrap_or_default()
}

/// How large topics are, in either tier.
pub(super) struct Sizes {
    replicas: Arc<Replicas>,
    metrics: Arc<Metrics>,
}

impl Sizes {
    pub(super) fn new(started: &Started, metrics: &Arc<Metrics>) -> Self {
        Self { replicas: started.replicas.clone(), metrics: metrics.clone() }
    }

    pub(super) async fn take(&mut self) {
        let sums = match self.replicas.tiering() {
            Some(tiering) => tiering.sums().await,
            None => Ok(Vec::new()),
        };
        match sums {
            Ok(sums) => self.show(&sums),
            Err(error) => tracing::warn!(%error, "the sizes of topics cannot be read"),
        }
    }

    fn show(&self, sums: &[TopicSum]) {
        let mut topics: BTreeMap<String, TopicSizes> = BTreeMap::new();
        for partition in self.replicas.all() {
            let topic = topics.entry(partition.name().topic.to_string()).or_default();
            topic.local_bytes += partition.log().local().size_bytes();
        }
        let (mut deleting_segments, mut deleting_bytes) = (0, 0);
        for TopicSum { topic, remote, count } in sums {
            if *remote == RemoteState::Deleting {
                deleting_segments += count.segments;
                deleting_bytes += count.bytes;
            }
            let topic = topics.entry(topic.to_string()).or_default();
            topic.remote_segments += count.segments;
            if *remote == RemoteState::Live {
                topic.remote_bytes += count.bytes;
            }
        }
        self.metrics.partitions.show_sizes(&topics);
        self.metrics.tiering.delete_lag_segments.set(number(deleting_segments));
        self.metrics.tiering.delete_lag_bytes.set(number(deleting_bytes));
    }
}

//! Consumer groups: their states, and how far they are behind.

use std::sync::Arc;

use crate::app::start::Started;
use crate::coordinator::{GroupOffset, Groups};
use crate::metrics::{GroupMetrics, LagLabels, Metrics};
use crate::replica::Replicas;

pub(super) struct Sampler {
    groups: Arc<Groups>,
    replicas: Arc<Replicas>,
    metrics: Arc<Metrics>,
}

impl Sampler {
    pub(super) fn new(started: &Started, metrics: &Arc<Metrics>) -> Self {
        let (groups, replicas) = (started.groups.clone(), started.replicas.clone());
        Self { groups, replicas, metrics: metrics.clone() }
    }

    pub(super) async fn take(&mut self) {
        let seen = self.groups.look(GroupMetrics::LAGS_MAX).await;
        self.metrics.groups.count(seen.by_state.map(|groups| groups as u64));
        let lags = seen.offsets.into_iter().filter_map(|offset| self.lag(offset));
        self.metrics.groups.show_lags(lags);
    }

    /// None for a partition that is no more.
    fn lag(&self, at: GroupOffset) -> Option<(LagLabels, i64)> {
        let partition = self.replicas.partition(&at.topic, at.partition)?;
        let behind = partition.high_watermark().get().saturating_sub(at.offset).max(0);
        let labels = LagLabels {
            consumergroup: at.group.to_string(),
            topic: at.topic,
            partition: at.partition,
        };
        Some((labels, behind))
    }
}

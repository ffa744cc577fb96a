//! What a restore brought back and what it could not, for people and for machines.

use icecore_tiering::ReconcileReport;
use serde::Serialize;

use super::plan::{Origin, Plan, PlannedTopic};
use crate::config::{BrokerConfig, Policies, Policy, TopicConfig};
use crate::coordinator::{OFFSETS_TOPIC, RestoredGroups};
use crate::metadata::StoredTopic;

/// Cut offsets that are told one by one.
const CUT_TOLD_MAX: usize = 1000;

/// A topic that is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoredTopic {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: String,
    /// Its partitions.
    pub partitions: usize,
    /// Segments in the bucket.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
    /// Whether it is known from its objects alone, and has other settings than it had.
    pub from_objects_alone: bool,
    /// Whether its records were on the lost disk alone, by its settings.
    pub local_only: bool,
}

/// A topic in the bucket that was not raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftTopic {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: String,
}

/// A committed offset that lay beyond what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CutTold {
    /// Whose.
    pub group: String,
    /// In which topic.
    pub topic: String,
    /// In which partition.
    pub partition: i32,
    /// What was committed.
    pub committed: i64,
    /// What it is now.
    pub end: i64,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Which cluster.
    pub cluster_id: String,
    /// Topics that are back, by name.
    pub topics: Vec<RestoredTopic>,
    /// Segments in the bucket.
    pub segments: u64,
    /// Bytes of their logs.
    pub bytes: u64,
    /// Groups that are back with members or a history.
    pub groups: u64,
    /// Committed offsets that are back.
    pub committed_offsets: u64,
    /// When the snapshot of the topics was written, in milliseconds; `None` when there is none.
    pub snapshot_written_ms: Option<i64>,
    /// When the snapshot of the groups was written, in milliseconds.
    pub groups_written_ms: Option<i64>,
    /// Policies that are back, by name.
    pub policies: Vec<String>,
    /// Topics whose deletion goes on at the next start.
    pub deleting: Vec<String>,
    /// Topics that stay in the bucket and were not raised: another has their name.
    pub left: Vec<LeftTopic>,
    /// How many committed offsets were cut to the end of their log.
    pub cut_offsets: u64,
    /// The first thousand of them.
    pub cut: Vec<CutTold>,
    /// Committed offsets of topics that are no more.
    pub forgotten_offsets: u64,
    /// Objects that are damaged, and what else does not read.
    pub damaged: Vec<String>,
    /// In words: what did not come back.
    pub lost: Vec<String>,
}

impl RestoreReport {
    pub(super) fn new(cluster_id: String) -> Self {
        Self {
            cluster_id,
            topics: Vec::new(),
            segments: 0,
            bytes: 0,
            groups: 0,
            committed_offsets: 0,
            snapshot_written_ms: None,
            groups_written_ms: None,
            policies: Vec::new(),
            deleting: Vec::new(),
            left: Vec::new(),
            cut_offsets: 0,
            cut: Vec::new(),
            forgotten_offsets: 0,
            damaged: Vec::new(),
            lost: Vec::new(),
        }
    }

    pub(super) fn note_objects(&mut self, rebuilt: &ReconcileReport) {
        self.segments = rebuilt.live;
        self.bytes = rebuilt.partitions.iter().map(|partition| partition.bytes).sum();
        self.damaged.extend(rebuilt.damaged.names.iter().cloned());
        let gaps = rebuilt.gaps.names.iter();
        self.lost.extend(gaps.map(|gap| format!("offsets that no object holds: {gap}")));
    }

    pub(super) fn note_groups(&mut self, restored: &RestoredGroups) {
        self.groups = restored.groups;
        self.committed_offsets = restored.offsets;
        self.forgotten_offsets = restored.forgotten;
        self.cut_offsets = restored.cut.len() as u64;
        let told = restored.cut.iter().take(CUT_TOLD_MAX).map(|cut| CutTold {
            group: cut.group.clone(),
            topic: cut.topic.clone(),
            partition: cut.partition,
            committed: cut.committed.get(),
            end: cut.end.get(),
        });
        self.cut.extend(told);
    }

    pub(super) fn note_plan(&mut self, config: &BrokerConfig, plan: &Plan) {
        let policies = policies(config, plan);
        self.topics = plan.topics.iter().map(|topic| told(config, &policies, topic)).collect();
        self.policies = plan.policies.iter().map(|policy| policy.name.clone()).collect();
        self.deleting = plan.deleting.iter().map(|topic| topic.name.to_string()).collect();
        let left = |(name, id): &(String, crate::model::TopicId)| LeftTopic {
            name: name.clone(),
            id: id.to_string(),
        };
        self.left = plan.left.iter().map(left).collect();
        for topic in self.topics.iter().filter(|topic| topic.local_only) {
            self.lost
                .push(format!("the records of {}: they were on the lost disk alone", topic.name));
        }
        for topic in self.topics.iter().filter(|topic| topic.from_objects_alone) {
            self.lost.push(format!(
                "the settings of {}: no snapshot knows it, it keeps its records for ever now",
                topic.name
            ));
        }
    }
}

/// The policies that will be in force.
fn policies(config: &BrokerConfig, plan: &Plan) -> Policies {
    let given = plan.policies.iter().cloned().map(Policy::check);
    config.policies_with(given.filter_map(Result::ok).collect())
}

fn told(config: &BrokerConfig, policies: &Policies, topic: &PlannedTopic) -> RestoredTopic {
    let remote = || topic.partitions.iter().filter_map(|partition| partition.remote.as_ref());
    RestoredTopic {
        name: topic.stored.name.to_string(),
        id: topic.stored.id.to_string(),
        partitions: topic.partitions.len(),
        segments: remote().map(|found| found.segments).sum(),
        bytes: remote().map(|found| found.bytes).sum(),
        from_objects_alone: topic.origin == Origin::Bucket,
        local_only: &*topic.stored.name != OFFSETS_TOPIC && !tiers(config, policies, &topic.stored),
    }
}

fn tiers(config: &BrokerConfig, policies: &Policies, topic: &StoredTopic) -> bool {
    TopicConfig::new(config, policies, &topic.name, &topic.overrides)
        .is_ok_and(|config| config.remote_storage_enable())
}

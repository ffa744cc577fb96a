//! The cluster's metadata as it lies in the bucket: what a broker whose disk is lost gets back.
//!
//! A JSON document, so that people and tools can read it:
//!
//! ```text
//! {"format": 1, "next_producer_id": 3000, "topics": [
//!    {"name": "orders", "id": "...", "deleting": false, "settings": {"retention.ms": "-1"},
//!     "leader_epochs": [3, 3], "log_starts": [0, 120],
//!     "last_objects": [null, "00000000000000000120-....log"]}],
//!  "policies": [{"name": "long", "topics": ["orders-*"], "priority": 0,
//!                "settings": {"retention.ms": "-1"}}],
//!  "broker_settings": {"all": {}, "own": {"remote.log.manager.copy.max.bytes.per.second": "1000000"}}}
//! ```
//! Policies and the broker's settings are those that were given while it ran: the others stand in its file.
//! Topics that are being deleted are in it, so that a restore goes on deleting them and does not
//! raise them. The last object of each partition is in it, so that a restore does not take a list
//! that lacks it for the whole. A reader passes over fields that it does not know; the format's number changes only
//! when an older reader must not read on.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_tiering::ObjectName;
use serde::{Deserialize, Serialize};

use crate::config::{BrokerOverrides, PolicyText};
use crate::metadata::{StoredTopic, TopicNameError, check_topic_name};
use crate::model::{LeaderEpoch, Offset, TopicId};

const FORMAT: u32 = 1;

/// A topic with what else is told of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTopic {
    /// The topic as it is stored.
    pub stored: StoredTopic,
    /// The log start of each partition, by number.
    pub log_starts: Vec<Offset>,
    /// The last log of each partition in the bucket, by number; `None` where there is none.
    pub last_objects: Vec<Option<ObjectName>>,
}

/// The metadata of a cluster at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSnapshot {
    /// Every topic, also those that are being deleted.
    pub topics: Vec<SnapshotTopic>,
    /// The policies that were given while brokers ran, by name.
    pub policies: Vec<PolicyText>,
    /// The settings that were given for brokers while they ran.
    pub broker_settings: BrokerOverrides,
    /// The first producer id that was not given out.
    pub next_producer_id: i64,
}

/// Why bytes are not a right snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not JSON of this shape.
    #[error("the snapshot of the cluster does not read: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a later version.
    #[error("the snapshot of the cluster has format {0}, this version reads {FORMAT}")]
    Format(u32),
    /// A topic's name breaks a rule.
    #[error("topic {name:?} of the snapshot: {source}")]
    Name {
        /// The name.
        name: String,
        /// The rule.
        source: TopicNameError,
    },
    /// A value that no writer writes.
    #[error("topic {name:?} of the snapshot: {what}")]
    Topic {
        /// The topic.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    next_producer_id: i64,
    topics: Vec<Topic>,
    #[serde(default)]
    policies: Vec<PolicyText>,
    #[serde(default)]
    broker_settings: BrokerOverrides,
}

#[derive(Serialize, Deserialize)]
struct Topic {
    name: String,
    id: String,
    deleting: bool,
    settings: BTreeMap<String, String>,
    leader_epochs: Vec<i32>,
    log_starts: Vec<i64>,
    #[serde(default)]
    last_objects: Vec<Option<String>>,
}

impl ClusterSnapshot {
    /// The document. Topics are in the order of names and ids: the same cluster gives the same
    /// bytes.
    ///
    /// # Errors
    /// None that is known of: no value of these types is not JSON.
    pub fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        let mut topics: Vec<_> = self.topics.iter().map(written).collect();
        topics.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let document = Document {
            format: FORMAT,
            next_producer_id: self.next_producer_id,
            topics,
            policies: self.policies.clone(),
            broker_settings: self.broker_settings.clone(),
        };
        Ok(serde_json::to_vec(&document)?)
    }

    /// Reads a document, believing nothing.
    ///
    /// # Errors
    /// [`SnapshotError`] names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let Head { format } = serde_json::from_slice(bytes)?;
        if format != FORMAT {
            return Err(SnapshotError::Format(format));
        }
        let document: Document = serde_json::from_slice(bytes)?;
        let topics = document.topics.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self {
            topics,
            policies: document.policies,
            broker_settings: document.broker_settings,
            next_producer_id: document.next_producer_id.max(0),
        })
    }
}

fn written(topic: &SnapshotTopic) -> Topic {
    let SnapshotTopic { stored, log_starts, last_objects } = topic;
    Topic {
        name: stored.name.to_string(),
        id: stored.id.to_string(),
        deleting: stored.deleting,
        settings: stored.overrides.clone(),
        leader_epochs: stored.leader_epochs.iter().map(|epoch| epoch.get()).collect(),
        log_starts: log_starts.iter().map(|start| start.get()).collect(),
        last_objects: last_objects.iter().map(|name| name.map(|name| name.to_string())).collect(),
    }
}

fn read(topic: Topic) -> Result<SnapshotTopic, SnapshotError> {
    let Topic { name, id, deleting, settings: overrides, .. } = topic;
    let (leader_epochs, log_starts) = (topic.leader_epochs, topic.log_starts);
    check_topic_name(&name).map_err(|source| SnapshotError::Name { name: name.clone(), source })?;
    let wrong = |what| SnapshotError::Topic { name: name.clone(), what };
    let id: TopicId = id.parse().map_err(|_| wrong("its id is none"))?;
    if leader_epochs.is_empty() || leader_epochs.len() != log_starts.len() {
        return Err(wrong("its partitions do not fit together"));
    }
    if leader_epochs.iter().any(|epoch| *epoch < 0) || log_starts.iter().any(|start| *start < 0) {
        return Err(wrong("a negative epoch or log start"));
    }
    let read =
        |text: String| text.parse::<ObjectName>().map_err(|_| wrong("no object is named so"));
    let last_objects = topic.last_objects.into_iter().map(|name| name.map(read).transpose());
    let last_objects = last_objects.collect::<Result<Vec<_>, _>>()?;
    let leader_epochs = leader_epochs.into_iter().map(LeaderEpoch::new).collect();
    let log_starts = log_starts.into_iter().map(Offset::new).collect();
    let name: Arc<str> = name.into();
    let stored = StoredTopic { id, name, leader_epochs, overrides, deleting };
    Ok(SnapshotTopic { stored, log_starts, last_objects })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> ObjectName {
        let name = format!("{:020}-{:020}-5-e3-{}.log", 120, 130, "ab".repeat(16));
        name.parse().expect("a name")
    }

    fn snapshot() -> ClusterSnapshot {
        let topic = |name: &str, deleting| SnapshotTopic {
            stored: StoredTopic {
                id: TopicId::random(),
                name: name.into(),
                leader_epochs: vec![LeaderEpoch::new(3); 2],
                overrides: [("retention.ms".to_owned(), "-1".to_owned())].into(),
                deleting,
            },
            log_starts: vec![Offset::ZERO, Offset::new(120)],
            last_objects: vec![None, Some(object())],
        };
        ClusterSnapshot {
            topics: vec![topic("a", false), topic("b", true)],
            policies: vec![PolicyText {
                name: "long".into(),
                topics: vec!["a*".into()],
                priority: 2,
                settings: [("retention.ms".to_owned(), "-1".to_owned())].into(),
            }],
            broker_settings: BrokerOverrides {
                own: [("tiering.replay.slowdown.max.percent".to_owned(), "50".to_owned())].into(),
                ..BrokerOverrides::default()
            },
            next_producer_id: 3000,
        }
    }

    #[test]
    fn a_cluster_reads_back_as_it_was() {
        let snapshot = snapshot();
        let bytes = snapshot.encode().expect("encode");
        assert_eq!(ClusterSnapshot::decode(&bytes).expect("decode"), snapshot);
        let mut turned = snapshot.clone();
        turned.topics.reverse();
        assert_eq!(turned.encode().expect("encode"), bytes, "whatever the order");
    }

    #[test]
    fn what_no_writer_writes_is_refused_by_its_name() {
        let good = String::from_utf8(snapshot().encode().expect("encode")).expect("text");
        for (from, to, told) in [
            ("\"format\":1", "\"format\":2", "format 2"),
            ("\"name\":\"a\"", "\"name\":\"a/b\"", "\"a/b\""),
            ("\"log_starts\":[0,120]", "\"log_starts\":[0]", "do not fit together"),
            ("\"log_starts\":[0,120]", "\"log_starts\":[0,-1]", "negative"),
            ("\"leader_epochs\":[3,3]", "\"leader_epochs\":[3,\"x\"]", "does not read"),
            ("-5-e3-", "-5-", "no object is named so"),
            ("{", "", "does not read"),
        ] {
            let error = ClusterSnapshot::decode(good.replacen(from, to, 1).as_bytes());
            let error = error.expect_err(to).to_string();
            assert!(error.contains(told), "{to}: {error}");
        }
    }

    #[test]
    fn a_snapshot_of_an_earlier_version_has_no_policies_and_no_settings_of_brokers() {
        let mut earlier: serde_json::Value =
            serde_json::from_slice(&snapshot().encode().expect("encode")).expect("json");
        for later in ["policies", "broker_settings"] {
            earlier.as_object_mut().expect("an object").remove(later).expect(later);
        }
        let read = ClusterSnapshot::decode(earlier.to_string().as_bytes()).expect("decode");
        assert!(read.policies.is_empty() && read.topics.len() == 2);
        assert_eq!(read.broker_settings, BrokerOverrides::default());
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let good = String::from_utf8(snapshot().encode().expect("encode")).expect("text");
        let later = good.replacen("\"format\":1", "\"format\":1,\"users\":[]", 1);
        assert_eq!(ClusterSnapshot::decode(later.as_bytes()).expect("decode"), {
            ClusterSnapshot::decode(good.as_bytes()).expect("decode")
        });
    }
}

//! `__consumer_offsets`: made when the first client asks for a group's coordinator.

use std::collections::BTreeMap;

use super::Broker;
use crate::cluster::{CreateTopic, CreateTopicError};
use crate::coordinator::OFFSETS_TOPIC;
use crate::wire::ErrorCode;

impl Broker {
    /// Makes sure that the topic is there.
    pub(super) async fn ensure_offsets_topic(&self) -> Result<(), ErrorCode> {
        if self.image.load().topic(OFFSETS_TOPIC).is_some() {
            return Ok(());
        }
        let wanted = CreateTopic {
            name: OFFSETS_TOPIC.to_owned(),
            partitions: self.partitions_for_new_topic(OFFSETS_TOPIC),
            replication_factor: -1,
            settings: self.settings_for_new_topic(OFFSETS_TOPIC),
            ..CreateTopic::default()
        };
        match self.controller.create_topic(wanted).await {
            Ok(_) | Err(CreateTopicError::Exists(_)) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "{OFFSETS_TOPIC} cannot be made");
                Err(ErrorCode::CoordinatorNotAvailable)
            }
        }
    }

    /// How many partitions a topic gets that is made without a number; -1 for the default.
    pub(super) fn partitions_for_new_topic(&self, name: &str) -> i32 {
        if name == OFFSETS_TOPIC { self.config.offsets_topic_num_partitions() } else { -1 }
    }

    /// The settings that a topic gets that is made automatically.
    pub(super) fn settings_for_new_topic(&self, name: &str) -> BTreeMap<String, String> {
        if name != OFFSETS_TOPIC {
            return BTreeMap::new();
        }
        let segment_bytes = self.config.offsets_topic_segment_bytes().to_string();
        BTreeMap::from([
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("compression.type".to_owned(), "producer".to_owned()),
            ("segment.bytes".to_owned(), segment_bytes),
        ])
    }
}

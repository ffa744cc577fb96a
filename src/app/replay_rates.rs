//! The rates that people set and a replay keeps to, as a plan tells them.
//!
//! Invariant: the same settings as those that are in force ([`crate::pace`]): the topic's counts for what
//! readers are handed of the remote tier, the broker's for what is downloaded for them, and where a store is
//! read in place, for what they are handed.

use super::policies::PolicyDesk;
use crate::http::{PartitionPlan, RateBound, SettingFrom, ValueFrom};

/// The topic's setting.
const OF_TOPIC: &str = "tiering.fetch.max.bytes.per.second";
/// The broker's.
const OF_BROKER: &str = "remote.log.manager.fetch.max.bytes.per.second";

/// The rates in force for a topic's readers.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplayRates {
    /// Of the topic or its policy: so many bytes a second, and where that comes from.
    topic: Option<(u64, ValueFrom)>,
    /// Of the broker.
    broker: Option<u64>,
}

impl ReplayRates {
    /// Those of now.
    pub(super) fn of(desk: &PolicyDesk, topic: &str) -> Self {
        let mut explained = desk.explain(topic).settings.into_iter();
        let found = explained.find(|setting| setting.name == OF_TOPIC).map(|found| found.value);
        // -1 is no bound, and no number of bytes.
        let topic = found.and_then(|value| Some((value.value.as_ref()?.parse().ok()?, value)));
        Self { topic, broker: desk.fetch_rate() }
    }

    /// The rate of a replay that would otherwise go at `wanted`, in bytes a second.
    pub(super) fn bound(&self, wanted: Option<u64>) -> Option<u64> {
        let topic = self.topic.as_ref().map(|(rate, _)| *rate);
        [wanted, topic, self.broker].into_iter().flatten().min()
    }

    /// Each with the bytes of these partitions that it counts for.
    pub(super) fn told(
        &self,
        partitions: &[PartitionPlan],
        reads_in_place: bool,
    ) -> Vec<RateBound> {
        let handed: u64 = partitions.iter().map(|one| one.remote.bytes).sum();
        let fetched: u64 = partitions.iter().map(|one| one.fetched_bytes).sum();
        let topic = self.topic.iter().map(|(rate, value)| RateBound {
            setting: OF_TOPIC.to_owned(),
            bytes_per_second: *rate,
            from: value.from,
            by: value.by.clone(),
            bytes: handed,
        });
        let broker = self.broker.iter().map(|rate| RateBound {
            setting: OF_BROKER.to_owned(),
            bytes_per_second: *rate,
            from: SettingFrom::Broker,
            by: None,
            bytes: if reads_in_place { handed } else { fetched },
        });
        topic.chain(broker).collect()
    }
}

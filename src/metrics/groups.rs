//! Consumer groups: how many there are in which state, and how far they are behind.
//!
//! Groups and their partitions are a matter of clients, so the lines of the lag are bounded:
//! [`GroupMetrics::LAGS_MAX`]. A group's lines leave with it.

use std::collections::HashSet;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::gauged;
use super::page::Page;

/// The gauges.
#[derive(Debug)]
pub struct GroupMetrics {
    all: Gauge,
    by_state: [Gauge; GroupState::ALL.len()],
    lags: Family<LagLabels, Gauge>,
    shown: Mutex<HashSet<LagLabels>>,
}

/// Where a group stands, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// Nobody is in it.
    Empty,
    /// Members are joining.
    PreparingRebalance,
    /// The assignment is awaited.
    CompletingRebalance,
    /// The assignment is there.
    Stable,
}

impl GroupState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] =
        [Self::Empty, Self::PreparingRebalance, Self::CompletingRebalance, Self::Stable];
}

/// A partition that a group has committed an offset of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LagLabels {
    /// The group.
    pub consumergroup: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

impl GroupMetrics {
    /// Lines of lag, at most.
    pub const LAGS_MAX: usize = 1000;

    /// Shows how many groups are in each state, in the order of [`GroupState::ALL`].
    pub fn count(&self, by_state: [u64; GroupState::ALL.len()]) {
        self.all.set(gauged(by_state.iter().sum()));
        for (gauge, number) in self.by_state.iter().zip(by_state) {
            gauge.set(gauged(number));
        }
    }

    /// Shows these lags, up to the bound, and no others.
    pub fn show_lags(&self, lags: impl Iterator<Item = (LagLabels, i64)>) {
        let mut now = HashSet::new();
        for (labels, lag) in lags.take(Self::LAGS_MAX) {
            self.lags.get_or_create(&labels).set(lag);
            now.insert(labels);
        }
        let mut shown = self.shown.lock();
        for gone in shown.difference(&now) {
            self.lags.remove(gone);
        }
        *shown = now;
    }

    pub(super) fn registered(page: &mut Page) -> Self {
        let kafka = |name| format!("kafka_coordinator_group_groupmetadatamanager_numgroups{name}");
        let all = page.gauge(&kafka(""), "Consumer groups");
        let by_state = GroupState::ALL.map(|state| match state {
            GroupState::Empty => page.gauge(&kafka("empty"), "Groups without members"),
            GroupState::PreparingRebalance => {
                page.gauge(&kafka("preparingrebalance"), "Groups whose members are joining")
            }
            GroupState::CompletingRebalance => {
                page.gauge(&kafka("completingrebalance"), "Groups that wait for their assignment")
            }
            GroupState::Stable => page.gauge(&kafka("stable"), "Groups that have their assignment"),
        });
        let lags = page.family(
            "kafka_consumergroup_lag",
            &["consumergroup", "topic", "partition"],
            "Offsets between what a group has committed and the high watermark",
        );
        Self { all, by_state, lags, shown: Mutex::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(number: i32) -> (LagLabels, i64) {
        let (consumergroup, topic) = ("g".to_owned(), "snow".to_owned());
        (LagLabels { consumergroup, topic, partition: number }, 5)
    }

    #[test]
    fn lags_have_lines_while_they_are_there_and_no_more_than_the_bound() {
        let mut page = Page::default();
        let groups = GroupMetrics::registered(&mut page);
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &page.registry).expect("text");
            text.matches("consumergroup=").count()
        };
        groups.show_lags((0..2000).map(lag));
        assert_eq!(text(), GroupMetrics::LAGS_MAX);
        groups.show_lags((7..9).map(lag));
        assert_eq!(text(), 2);
        groups.show_lags(std::iter::empty());
        assert_eq!(text(), 0);
    }
}

//! How many partitions there are, how they are, and how large their topics are in either tier.

use std::collections::{BTreeMap, HashSet};

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::page::Page;
use super::{TopicMetrics, gauged};

/// The gauges.
#[derive(Debug)]
pub struct PartitionMetrics {
    topics: Gauge,
    cluster_partitions: Gauge,
    partitions: Gauge,
    leaders: Gauge,
    under_replicated: Gauge,
    under_min_isr: Gauge,
    offline: Gauge,
    local_bytes: Family<TopicLabels, Gauge>,
    remote_bytes: Family<TopicLabels, Gauge>,
    remote_segments: Family<TopicLabels, Gauge>,
    /// The topics that have lines.
    shown: Mutex<HashSet<TopicLabels>>,
}

/// What the partitions of this broker add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionCounts {
    /// Topics of the cluster.
    pub topics: u64,
    /// Partitions of the cluster.
    pub cluster_partitions: u64,
    /// Partitions that are kept here.
    pub partitions: u64,
    /// Those of them that this broker leads.
    pub leaders: u64,
    /// Those with fewer in-sync replicas than replicas.
    pub under_replicated: u64,
    /// Those with fewer in-sync replicas than `min.insync.replicas`.
    pub under_min_isr: u64,
    /// Those that take no more appends since their disk failed.
    pub offline: u64,
}

/// How large a topic is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicSizes {
    /// Bytes on this disk.
    pub local_bytes: u64,
    /// Bytes in the remote tier.
    pub remote_bytes: u64,
    /// Segments of which the manifest knows.
    pub remote_segments: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: String,
}

impl PartitionMetrics {
    /// Shows these counts.
    pub fn count(&self, counts: &PartitionCounts) {
        for (gauge, number) in [
            (&self.topics, counts.topics),
            (&self.cluster_partitions, counts.cluster_partitions),
            (&self.partitions, counts.partitions),
            (&self.leaders, counts.leaders),
            (&self.under_replicated, counts.under_replicated),
            (&self.under_min_isr, counts.under_min_isr),
            (&self.offline, counts.offline),
        ] {
            gauge.set(gauged(number));
        }
    }

    /// Shows the sizes of these topics and of no others; beyond [`TopicMetrics::TOPICS_MAX`], in the
    /// order of their names, they share a line.
    pub fn show_sizes(&self, topics: &BTreeMap<String, TopicSizes>) {
        let mut rest = TopicSizes::default();
        let mut now = HashSet::new();
        for (at, (topic, sizes)) in topics.iter().enumerate() {
            if at < TopicMetrics::TOPICS_MAX {
                self.show(&mut now, topic, sizes);
            } else {
                rest.local_bytes += sizes.local_bytes;
                rest.remote_bytes += sizes.remote_bytes;
                rest.remote_segments += sizes.remote_segments;
            }
        }
        if topics.len() > TopicMetrics::TOPICS_MAX {
            self.show(&mut now, TopicMetrics::OTHER_TOPICS, &rest);
        }
        let mut shown = self.shown.lock();
        for gone in shown.difference(&now) {
            for family in [&self.local_bytes, &self.remote_bytes, &self.remote_segments] {
                family.remove(gone);
            }
        }
        *shown = now;
    }

    fn show(&self, now: &mut HashSet<TopicLabels>, topic: &str, sizes: &TopicSizes) {
        let labels = TopicLabels { topic: topic.to_owned() };
        self.local_bytes.get_or_create(&labels).set(gauged(sizes.local_bytes));
        self.remote_bytes.get_or_create(&labels).set(gauged(sizes.remote_bytes));
        self.remote_segments.get_or_create(&labels).set(gauged(sizes.remote_segments));
        now.insert(labels);
    }

    pub(super) fn registered(page: &mut Page) -> Self {
        let replicas = |name| format!("kafka_server_replicamanager_{name}");
        let controller = |name| format!("kafka_controller_kafkacontroller_{name}");
        let remote = |name| format!("kafka_server_brokertopicmetrics_remotelog{name}");
        Self {
            topics: page.gauge(&controller("globaltopiccount"), "Topics of the cluster"),
            cluster_partitions: page
                .gauge(&controller("globalpartitioncount"), "Partitions of the cluster"),
            partitions: page.gauge(&replicas("partitioncount"), "Partitions that are kept here"),
            leaders: page.gauge(&replicas("leadercount"), "Partitions that this broker leads"),
            under_replicated: page.gauge(
                &replicas("underreplicatedpartitions"),
                "Partitions with fewer in-sync replicas than replicas",
            ),
            under_min_isr: page.gauge(
                &replicas("underminisrpartitioncount"),
                "Partitions with fewer in-sync replicas than min.insync.replicas: acks=all is refused",
            ),
            offline: page.gauge(
                &replicas("offlinereplicacount"),
                "Partitions that take no more appends since their disk failed",
            ),
            local_bytes: page.family("kafka_log_log_size", &["topic"], "Bytes on the local disk"),
            remote_bytes: page.family(&remote("sizebytes"), &["topic"], "Bytes in the remote tier"),
            remote_segments: page.family(
                &remote("metadatacount"),
                &["topic"],
                "Segments of the topic in the manifest, in whatever state",
            ),
            shown: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(topics: &BTreeMap<String, TopicSizes>, before: &PartitionMetrics) -> String {
        before.show_sizes(topics);
        let mut text = String::new();
        let mut page = Page::default();
        page.add("local", &["topic"], "", before.local_bytes.clone());
        prometheus_client::encoding::text::encode(&mut text, &page.registry).expect("text");
        text
    }

    #[test]
    fn sizes_beyond_the_bound_share_a_line_and_a_topic_that_is_gone_has_none() {
        let metrics = PartitionMetrics::registered(&mut Page::default());
        let sizes = TopicSizes { local_bytes: 7, ..TopicSizes::default() };
        let name = |number| format!("t{number:04}");
        let all = (0..TopicMetrics::TOPICS_MAX + 3).map(|number| (name(number), sizes));
        let text = shown(&all.collect(), &metrics);
        assert!(text.contains("local{topic=\"t0999\"} 7\n"));
        assert!(text.contains("local{topic=\"(other)\"} 21\n"));
        assert_eq!(text.matches("local{").count(), TopicMetrics::TOPICS_MAX + 1);
        let text = shown(&BTreeMap::from([(name(5), sizes)]), &metrics);
        assert_eq!(text.matches("local{").count(), 1, "{text}");
    }
}

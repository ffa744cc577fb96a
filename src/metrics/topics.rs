//! Produce and fetch by topic.
//!
//! A partition keeps its topic's [`TopicHandle`]. The number of lines is bounded: topics beyond
//! [`TopicMetrics::TOPICS_MAX`] are counted together.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::page::Page;

/// The counters of one topic; the names are those of Kafka's `BrokerTopicMetrics`.
#[derive(Clone, Debug)]
pub struct TopicHandle {
    /// Bytes of record batches that producers sent.
    pub bytes_in: Counter,
    /// Bytes of record batches that consumers were sent.
    pub bytes_out: Counter,
    /// Records that producers sent.
    pub messages_in: Counter,
    /// Produce requests, counted once for each partition.
    pub produce_requests: Counter,
    /// Fetch requests, counted once for each partition.
    pub fetch_requests: Counter,
    /// Produce requests that failed.
    pub failed_produce_requests: Counter,
    /// Fetch requests that failed.
    pub failed_fetch_requests: Counter,
}

/// Gives out the handles.
#[derive(Debug)]
pub struct TopicMetrics {
    families: [Family<TopicLabels, Counter>; NAMES.len()],
    handles: Mutex<HashMap<Arc<str>, TopicHandle>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: String,
}

/// In the order of [`TopicHandle`]'s fields.
const NAMES: [(&str, &str); 7] = [
    ("bytesin", "Bytes of record batches that producers sent"),
    ("bytesout", "Bytes of record batches that consumers were sent"),
    ("messagesin", "Records that producers sent"),
    ("totalproducerequests", "Produce requests by partition"),
    ("totalfetchrequests", "Fetch requests by partition"),
    ("failedproducerequests", "Produce requests that failed, by partition"),
    ("failedfetchrequests", "Fetch requests that failed, by partition"),
];

impl TopicMetrics {
    /// Topics with lines of their own.
    pub const TOPICS_MAX: usize = 1000;
    /// The label of all further topics; no topic can have this name.
    pub const OTHER_TOPICS: &'static str = "(other)";

    /// The handle of a topic, the same for every partition. Ask once and keep it.
    pub fn topic(&self, name: &str) -> TopicHandle {
        let mut handles = self.handles.lock();
        if let Some(handle) = handles.get(name) {
            return handle.clone();
        }
        if handles.len() >= Self::TOPICS_MAX {
            return self.create(Self::OTHER_TOPICS);
        }
        let handle = self.create(name);
        handles.insert(name.into(), handle.clone());
        handle
    }

    /// Takes a deleted topic's lines off the page. Handles that are still held count into nothing.
    pub fn forget(&self, name: &str) {
        if self.handles.lock().remove(name).is_some() {
            let labels = TopicLabels { topic: name.to_owned() };
            for family in &self.families {
                family.remove(&labels);
            }
        }
    }

    fn create(&self, name: &str) -> TopicHandle {
        let labels = TopicLabels { topic: name.to_owned() };
        let [bytes_in, bytes_out, messages_in, produces, fetches, bad_produces, bad_fetches] =
            self.families.each_ref().map(|family| family.get_or_create_owned(&labels));
        TopicHandle {
            bytes_in,
            bytes_out,
            messages_in,
            produce_requests: produces,
            fetch_requests: fetches,
            failed_produce_requests: bad_produces,
            failed_fetch_requests: bad_fetches,
        }
    }

    pub(super) fn registered(page: &mut Page) -> Self {
        let families = NAMES.map(|(name, help)| {
            page.family(&format!("kafka_server_brokertopicmetrics_{name}"), &["topic"], help)
        });
        Self { families, handles: Mutex::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &Page) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &page.registry).unwrap();
        text
    }

    #[test]
    fn a_thousand_and_one_topics_show_a_thousand_lines_and_one_for_the_rest() {
        let mut page = Page::default();
        let topics = TopicMetrics::registered(&mut page);
        for number in 0..=TopicMetrics::TOPICS_MAX + 5 {
            topics.topic(&format!("t{number}")).bytes_in.inc_by(7);
        }
        topics.topic("t3").bytes_in.inc_by(1);
        let page = text(&page);
        assert!(page.contains("bytesin_total{topic=\"t3\"} 8\n"));
        assert!(page.contains("bytesin_total{topic=\"(other)\"} 42\n"));
        assert_eq!(page.matches("bytesin_total{").count(), TopicMetrics::TOPICS_MAX + 1);
    }

    #[test]
    fn a_forgotten_topic_leaves_the_page_and_its_place() {
        let mut page = Page::default();
        let topics = TopicMetrics::registered(&mut page);
        topics.topic("gone").messages_in.inc();
        topics.forget("gone");
        assert!(!text(&page).contains("gone"));
        topics.topic("gone").messages_in.inc();
        assert!(text(&page).contains("messagesin_total{topic=\"gone\"} 1\n"));
    }
}

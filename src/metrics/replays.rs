//! Consumers that read the remote tier.
//!
//! Who reads is a matter of clients, so the lines are bounded: [`ReplayMetrics::READERS_MAX`] of
//! them have lines of their own, and all are in the count. A reader's lines leave with it.

use std::collections::HashSet;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::page::Page;

/// The gauges of those that read now.
#[derive(Debug)]
pub struct ReplayMetrics {
    readers: Gauge,
    behind: Family<ReaderLabels, Gauge>,
    rates: Family<ReaderLabels, Gauge>,
    times: Family<ReaderLabels, Gauge>,
    shown: Mutex<HashSet<ReaderLabels>>,
}

/// Who reads what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReaderLabels {
    /// The group, or the client's name for itself where no group is known.
    pub reader: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

/// Where a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderAt {
    /// Offsets between it and the end of the partition.
    pub behind: i64,
    /// What it took lately.
    pub bytes_per_second: i64,
    /// The time that it has reached, in seconds since 1970; -1 when the records carry none.
    pub time_seconds: i64,
}

impl ReplayMetrics {
    /// Readers with lines of their own.
    pub const READERS_MAX: usize = 100;

    /// Shows these readers and no others.
    pub fn show(&self, readers: impl ExactSizeIterator<Item = (ReaderLabels, ReaderAt)>) {
        self.readers.set(i64::try_from(readers.len()).unwrap_or(i64::MAX));
        let mut shown = self.shown.lock();
        let mut now = HashSet::new();
        for (labels, at) in readers.take(Self::READERS_MAX) {
            self.behind.get_or_create(&labels).set(at.behind);
            self.rates.get_or_create(&labels).set(at.bytes_per_second);
            self.times.get_or_create(&labels).set(at.time_seconds);
            now.insert(labels);
        }
        for gone in shown.difference(&now) {
            for family in [&self.behind, &self.rates, &self.times] {
                family.remove(gone);
            }
        }
        *shown = now;
    }

    pub(super) fn registered(page: &mut Page) -> Self {
        const LABELS: &[&str] = &["reader", "topic", "partition"];
        let mut family = |name: &str, help: &'static str| page.family(name, LABELS, help);
        Self {
            behind: family("icecore_replay_behind_offsets", "Offsets that a reader has before it"),
            rates: family("icecore_replay_bytes_per_second", "What a reader took lately"),
            times: family("icecore_replay_time_seconds", "The time that a reader has reached"),
            readers: page.gauge(
                "icecore_replay_readers",
                "Partitions that consumers read from the remote tier, each consumer's counted",
            ),
            shown: Mutex::default(),
        }
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

    fn reader(number: usize) -> (ReaderLabels, ReaderAt) {
        let labels =
            ReaderLabels { reader: format!("g{number}"), topic: "snow".into(), partition: 3 };
        (labels, ReaderAt { behind: 7, bytes_per_second: 80, time_seconds: 9 })
    }

    #[test]
    fn readers_have_lines_while_they_read_and_no_more_than_the_bound() {
        let mut page = Page::default();
        let replays = ReplayMetrics::registered(&mut page);
        replays.show((0..ReplayMetrics::READERS_MAX + 50).map(reader));
        let full = text(&page);
        assert!(full.contains("icecore_replay_readers 150\n"), "{full}");
        let line =
            "icecore_replay_behind_offsets{reader=\"g7\",topic=\"snow\",partition=\"3\"} 7\n";
        assert!(full.contains(line), "{full}");
        assert_eq!(full.matches("_bytes_per_second{").count(), ReplayMetrics::READERS_MAX);
        replays.show((7..8).map(reader));
        let left = text(&page);
        assert!(left.contains(line), "{left}");
        assert_eq!(left.matches("{reader=").count(), 3, "{left}");
        replays.show((0..0).map(reader));
        assert!(!text(&page).contains("{reader="), "all have left");
    }
}

//! The chart speaks of metrics that the broker has, and of no others.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use icecore::metrics::{Metrics, ReaderAt, ReaderLabels, StoreFailure};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/icecore").join(path);
    std::fs::read_to_string(path).expect("a file of the chart")
}

/// The names in a text that are spelled as metrics are.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| {
        ["icecore_", "kafka_", "process_"].iter().any(|start| word.starts_with(start))
    };
    let plain = |word: &str| word.trim_end_matches("_total").trim_end_matches("_bucket").to_owned();
    words.filter(ours).map(plain).collect()
}

/// A page on which every metric has a line: those with labels have none before they are counted.
fn full_page() -> String {
    let metrics = Metrics::new();
    let produce = metrics.requests.api(0, "Produce");
    produce.requests.inc();
    produce.took(Duration::from_millis(1));
    metrics.tiering.store_failures(StoreFailure::Busy).inc();
    let labels = ReaderLabels { reader: "g".into(), topic: "snow".into(), partition: 0 };
    let at = ReaderAt { behind: 1, bytes_per_second: 1, time_seconds: 1 };
    metrics.replays.show([(labels, at)].into_iter());
    metrics.encode()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let page = full_page();
    let there: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next())
        .collect();
    for file in ["templates/_alerts.tpl", "files/dashboard.json"] {
        let named = named(&read(file));
        assert!(named.len() > 5, "{file} names metrics");
        for name in named {
            assert!(there.contains(name.as_str()), "{file} asks for {name}, which is not there");
        }
    }
}

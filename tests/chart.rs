//! The chart asks for metrics that the broker has, and for no others.
//!
//! What the broker has is what `docs/METRICS.md` lists, which another test holds against the code.

use std::collections::BTreeSet;
use std::path::Path;

/// Metrics of the volumes are the kubelet's, and whether a target answers is told by Prometheus.
const OF_OTHERS: [&str; 3] =
    ["up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("a file")
}

/// The names that stand right before braces: in a query of ours no metric stands without.
fn asked_for(text: &str) -> BTreeSet<&str> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let before_braces = text.match_indices('{').map(|(at, _)| &text[..at]);
    let names = before_braces.map(|text| &text[text.trim_end_matches(is_of_a_name).len()..]);
    names.filter(|name| !name.is_empty()).collect()
}

/// Metrics by the name on the page, a histogram by those of its parts.
fn listed() -> BTreeSet<String> {
    let text = read("docs/METRICS.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut listed = BTreeSet::new();
    for (name, rest) in rows.filter_map(|row| row.split_once("` | ")) {
        if rest.starts_with("histogram") {
            listed.extend(["_bucket", "_count", "_sum"].map(|part| format!("{name}{part}")));
        } else {
            listed.insert(name.to_owned());
        }
    }
    listed
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let listed = listed();
    assert!(listed.len() > 100, "the table is read: {listed:?}");
    for (file, least) in [
        ("templates/_alerts.tpl", 15),
        ("templates/_replay_alerts.tpl", 4),
        ("dashboards/icecore.json", 50),
    ] {
        let text = read(&format!("helm/icecore/{file}"));
        let queries: Vec<_> = text
            .lines()
            .filter(|line| line.contains("expr: ") || line.contains("\"expr\": "))
            .collect();
        let asked: BTreeSet<_> = queries.iter().flat_map(|line| asked_for(line)).collect();
        assert!(asked.len() >= least, "{file} asks for {asked:?}");
        for name in asked.iter().filter(|name| !OF_OTHERS.contains(name)) {
            assert!(listed.contains(*name), "{file} asks for {name}, which is not there");
        }
    }
}

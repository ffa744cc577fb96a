//! `docs/METRICS.md` lists every metric. The table in it is made of what is registered; this test
//! fails when the two differ, and writes it anew when `ICECORE_WRITE_DOCS` is set.

use std::fmt::Write as _;
use std::path::Path;

use super::{GroupMetrics, Listed, Metrics, ReplayMetrics, TopicMetrics};

const MARK: &str = "<!-- The tables below are written by a test: ICECORE_WRITE_DOCS=1 cargo test --lib \
                    metrics::table_test -->\n";

/// Kafka's MBean of each metric that has one: the first part of the metric's name, and the bean.
const MBEANS: &[(&str, &str)] = &[
    ("kafka_server_brokertopicmetrics_", "kafka.server:type=BrokerTopicMetrics"),
    (
        "kafka_network_requestmetrics_requests",
        "kafka.network:type=RequestMetrics,name=RequestsPerSec",
    ),
    ("kafka_network_requestmetrics_errors", "kafka.network:type=RequestMetrics,name=ErrorsPerSec"),
    ("kafka_server_socket_server_metrics_", "kafka.server:type=socket-server-metrics"),
    (
        "kafka_server_delayedoperationpurgatory_",
        "kafka.server:type=DelayedOperationPurgatory,name=PurgatorySize",
    ),
    ("kafka_server_replicamanager_", "kafka.server:type=ReplicaManager"),
    ("kafka_controller_kafkacontroller_", "kafka.controller:type=KafkaController"),
    (
        "kafka_coordinator_group_groupmetadatamanager_",
        "kafka.coordinator.group:type=GroupMetadataManager",
    ),
    ("kafka_log_log_size", "kafka.log:type=Log,name=Size"),
    ("kafka_consumergroup_lag", "none: the name is that of kafka_exporter"),
    (
        "icecore_request_seconds",
        "kafka.network:type=RequestMetrics,name=TotalTimeMs, which is quantiles",
    ),
    ("icecore_log_sync_seconds", "kafka.log:type=LogFlushStats, which is quantiles"),
];

/// What values each label can have, and how many.
fn label_values(label: &str) -> String {
    let topics = TopicMetrics::TOPICS_MAX;
    match label {
        "topic" => {
            format!("names of topics: {topics}, and `(other)` for all further ones together")
        }
        "request" => "Kafka's names of APIs: those that were asked for".into(),
        "error" => "Kafka's names of error codes: those that were answered".into(),
        "reason" => "why a connection ended: a fixed set".into(),
        "operation" => {
            "`get`, `head`, `put`, `create`, `multipart`, `delete`, `list`, `bucket`".into()
        }
        "outcome" => "`ok`, `not_found`, `exists`, `busy`, `timed_out`, `denied`, `refused`, \
                      `wrong_bytes`, `broken_off`"
            .into(),
        "kind" => "`busy`, `timed_out`, `denied`, `refused`, `wrong_bytes`".into(),
        "object" => "`index`, `log`".into(),
        "class" => "`normal`, `keep`, `pass`".into(),
        "version" => "this one's".into(),
        "delayedOperation" => "`Produce`, `Fetch`, `Rebalance`".into(),
        "partition" => "a number; bounded by the other labels of its metric".into(),
        "reader" => {
            let readers = ReplayMetrics::READERS_MAX;
            format!("groups or client ids that read the remote tier: {readers} lines in all")
        }
        "consumergroup" => {
            let lags = GroupMetrics::LAGS_MAX;
            format!("groups that have committed offsets: {lags} lines in all")
        }
        other => panic!("what values does the label {other} have?"),
    }
}

fn mbean(metric: &Listed) -> String {
    let bean = MBEANS.iter().find(|(start, _)| metric.name.starts_with(start));
    assert!(bean.is_some() || !metric.name.starts_with("kafka_"), "{} has no MBean", metric.name);
    bean.map_or_else(String::new, |(_, bean)| (*bean).to_owned())
}

fn metrics_table(list: &[Listed]) -> String {
    let mut text =
        "| Metric | Type | Labels | What it tells | Kafka's MBean |\n|---|---|---|---|---|\n"
            .to_owned();
    let mut sorted: Vec<_> = list.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for metric in sorted {
        let Listed { name, kind, labels, help } = metric;
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (labels, mbean) = (labels.join(", "), mbean(metric));
        writeln!(text, "| `{name}` | {kind} | {labels} | {help} | {mbean} |").expect("text");
    }
    text
}

fn labels_table(list: &[Listed]) -> String {
    let mut labels: Vec<_> = list.iter().flat_map(|metric| metric.labels).copied().collect();
    labels.sort_unstable();
    labels.dedup();
    let mut text = "| Label | Values |\n|---|---|\n".to_owned();
    for label in labels {
        writeln!(text, "| `{label}` | {} |", label_values(label)).expect("text");
    }
    text
}

#[test]
fn the_table_of_metrics_in_the_documents_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md");
    let text = std::fs::read_to_string(&path).expect("docs/METRICS.md");
    let (before, _) = text.split_once(MARK).expect("the document has the mark");
    let metrics = Metrics::new();
    let list = metrics.list();
    let expected = format!(
        "{before}{MARK}\n## Metrics\n\n{}\n## Labels\n\n{}",
        metrics_table(list),
        labels_table(list)
    );
    if std::env::var_os("ICECORE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("written");
    }
    assert!(
        text == expected || std::env::var_os("ICECORE_WRITE_DOCS").is_some(),
        "docs/METRICS.md is out of date: run the command that stands in it"
    );
}

#[test]
fn no_name_is_registered_twice() {
    let metrics = Metrics::new();
    let mut names: Vec<_> = metrics.list().iter().map(|metric| &metric.name).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

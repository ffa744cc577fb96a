//! The Grafana dashboard of the chart, asked by a real Prometheus that scrapes a broker at work: every
//! question of every panel has an answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{
    Broker, Bucket, Client, Place, Reading, Running, Topic, Writing, components, free_port, java,
    now_ms, request, run, until,
};

const PATIENCE: Duration = Duration::from_secs(120);

/// A Prometheus that looks at one broker every second.
struct Prometheus {
    address: String,
    _process: Running,
}

impl Prometheus {
    fn start(place: &Place, broker: &Broker) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: icecore\n  \
             static_configs: [{{targets: ['{}']}}]\n",
            broker.http_address()
        );
        let file = place.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(components().join("prometheus/bin/prometheus"));
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", place.join("prometheus").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Running::start(command, &place.join("prometheus.log"));
        let prometheus = Self { address, _process: process };
        until("Prometheus has seen the broker", PATIENCE, || {
            let (status, _) = request(&prometheus.address, "GET", "/-/ready").ok()?;
            (status == 200 && !prometheus.ask("icecore_build_info").ok()?.is_empty()).then_some(())
        });
        prometheus
    }

    /// The values that a query gives, NaN left out, or what is wrong with it.
    fn ask(&self, query: &str) -> Result<Vec<f64>, String> {
        let path = format!("/api/v1/query?query={}", escaped(query));
        let (_, body) = request(&self.address, "GET", &path).map_err(|e| e.to_string())?;
        let answer: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let series = answer["data"]["result"].as_array().ok_or("no result")?;
        let values = series.iter().filter_map(|series| series["value"][1].as_str()?.parse().ok());
        Ok(values.filter(|value: &f64| !value.is_nan()).collect())
    }
}

fn escaped(query: &str) -> String {
    query.bytes().fold(String::new(), |mut text, byte| {
        write!(text, "%{byte:02X}").unwrap();
        text
    })
}

/// Every query of the dashboard, by its panel and letter, as Grafana would send it.
fn queries() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/icecore/dashboards/icecore.json");
    let text = std::fs::read_to_string(file).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut queries = BTreeMap::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "the source can be chosen");
            let name = format!("{} {}", panel["title"], target["refId"]);
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$__rate_interval", "1m");
            let all = |query: String, name: &&str| query.replace(*name, ".*");
            let query = ["$namespace", "$job", "$instance"].iter().fold(query, all);
            assert!(!query.contains('$'), "{query}");
            assert!(queries.insert(name, query).is_none(), "two panels have one title");
        }
    }
    assert!(queries.len() > 40, "{}", queries.len());
    queries
}

/// A topic at work of every kind that the panels tell of.
struct Work<'a> {
    place: &'a Place,
    topic: Topic,
    /// Where the history ends that is read.
    ends: Vec<i64>,
}

impl<'a> Work<'a> {
    /// Does once what is shown ever after.
    fn begin(place: &'a Place, broker: &Broker) -> Self {
        let config =
            [("segment.bytes", "1048576"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
        let topic = Topic::create(place, broker, "panels", 1, &config);
        let mut work = Self { place, topic, ends: Vec::new() };
        work.write("first", 4 << 20);
        until("most of it lies in the store alone", PATIENCE, || {
            let partitions = broker.partitions("panels");
            let [partition] = &partitions[..] else { return None };
            (partition.pending.segments == 0 && partition.local_log_start_offset > 0).then_some(())
        });
        work.ends = broker.ends("panels");
        let mut reset = java("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
        reset.args(["--bootstrap-server", &broker.address(), "--group", "readers"]);
        reset.args(["--reset-offsets", "--topic", "panels", "--to-earliest", "--execute"]);
        run(reset, &place.join("reset.log"), PATIENCE);
        // A topic that is there already is refused: an error code that is not NONE.
        let mut again = Command::new(env!("CARGO_BIN_EXE_icecore"));
        again.args(["topic", "create", "panels"]).env("ICECORE_BROKER", broker.address());
        let refused = Running::start(again, &place.join("again.log")).wait(PATIENCE);
        assert_eq!(refused.code(), Some(1));
        work
    }

    /// Goes on with what is shown only while it is done, and shortly after.
    fn go_on(&self, stop: &AtomicBool) {
        for round in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            self.topic.read(self.place, Client::Librdkafka, &Reading::Beginning, &self.ends);
            self.write(&format!("more{round}"), 64 << 10);
        }
    }

    fn write(&self, name: &str, bytes: u64) {
        let more = [("--bytes", bytes.to_string())];
        let start_ms = now_ms() - 86_400_000;
        let writing = Writing { name, codecs: "none", start_ms, more: &more };
        self.topic.write(self.place, Client::Librdkafka, &writing);
    }
}

/// Says stop when it goes, also when what is around it fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn every_panel_comes_to_have_data(prometheus: &Prometheus) {
    for (name, query) in queries() {
        until(&format!("data in the panel {name}: {query}"), PATIENCE, || {
            let values = prometheus.ask(&query);
            let values = values.unwrap_or_else(|error| panic!("{name}: {query}: {error}"));
            (!values.is_empty()).then_some(())
        });
    }
}

#[test]
fn every_panel_of_the_dashboard_has_data() {
    let place = Place::new("dashboard");
    let bucket = Bucket::create("dashboard");
    let quick = [
        ("log.retention.check.interval.ms", "100"),
        ("remote.log.manager.task.interval.ms", "100"),
    ];
    let mut broker = Broker::start(&place, Some(&bucket), &quick);
    let prometheus = Prometheus::start(&place, &broker);
    let work = Work::begin(&place, &broker);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| work.go_on(&stop));
        let _stop = StopAtEnd(&stop);
        every_panel_comes_to_have_data(&prometheus);
    });
    assert!(broker.stop().success());
}

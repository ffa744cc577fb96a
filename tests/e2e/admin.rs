//! Kafka's own command line against the broker.

use std::process::Command;
use std::time::Duration;

use crate::harness::{Broker, Place, java, run};

const PATIENCE: Duration = Duration::from_secs(120);

/// One broker, and tools that are pointed at it.
struct Tools {
    place: Place,
    broker: Broker,
}

impl Tools {
    /// Runs a tool to its good end, and gives what it printed.
    fn run(&self, class: &str, arguments: &[&str]) -> String {
        let mut command: Command = java(&format!("org.apache.kafka.tools.{class}"));
        command.args(["--bootstrap-server", &self.broker.address()]).args(arguments);
        let log = self.place.join("tool.log");
        let _ = std::fs::remove_file(&log);
        run(command, &log, PATIENCE)
    }
}

#[test]
fn kafkas_admin_tools_describe_elect_reassign_and_reset() {
    let place = Place::new("admin");
    let broker = Broker::start(&place, None, &[]);
    let tools = Tools { place, broker };
    let assert_says = |told: &str, wanted: &[&str]| {
        assert!(wanted.iter().all(|words| told.contains(words)), "{wanted:?} in: {told}");
    };

    tools.run("TopicCommand", &["--create", "--topic", "tools", "--partitions", "2"]);
    let told = tools.run("TopicCommand", &["--describe", "--topic", "tools"]);
    assert_says(&told, &["PartitionCount: 2", "Partition: 1\tLeader: 0\tReplicas: 0\tIsr: 0"]);

    let produce = ["--topic", "tools", "--num-records", "10", "--record-size", "10"];
    tools.run("ProducerPerformance", &[&produce[..], &["--throughput", "-1"]].concat());
    let told = tools.run("GetOffsetShell", &["--topic", "tools", "--time", "-1"]);
    let ends = told.lines().filter_map(|line| line.strip_prefix("tools:")?.split(':').nth(1));
    let ends: Vec<i64> = ends.map(|end| end.parse().unwrap()).collect();
    assert_eq!((ends.len(), ends.iter().sum()), (2, 10), "{told}");

    let group = ["--group", "readers"];
    let reset = ["--reset-offsets", "--topic", "tools", "--to-latest", "--execute"];
    let groups = "consumer.group.ConsumerGroupCommand";
    tools.run(groups, &[&group[..], &reset].concat());
    let told = tools.run(groups, &[&group[..], &["--describe"]].concat());
    assert_says(&told, &["Consumer group 'readers' has no active members.", "tools"]);

    let elect = ["--election-type", "preferred", "--topic", "tools", "--partition", "1"];
    let told = tools.run("LeaderElectionCommand", &elect);
    assert_says(&told, &["Valid replica already elected for partitions tools-1"]);

    let plan = tools.place.join("plan.json");
    let assignment = r#"{"topic": "tools", "partition": 0, "replicas": [0], "log_dirs": ["any"]}"#;
    std::fs::write(&plan, format!(r#"{{"version": 1, "partitions": [{assignment}]}}"#)).unwrap();
    let file = ["--reassignment-json-file", plan.to_str().unwrap()];
    let reassign = "reassign.ReassignPartitionsCommand";
    let told = tools.run(reassign, &[&file[..], &["--execute"]].concat());
    assert_says(&told, &["Successfully started partition reassignment for tools-0"]);
    let told = tools.run(reassign, &[&file[..], &["--verify"]].concat());
    assert_says(&told, &["Reassignment of partition tools-0 is completed."]);
    assert_says(&tools.run(reassign, &["--list"]), &["No partition reassignments found."]);
}

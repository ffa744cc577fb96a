//! Kafka's own command line against the broker.

use std::path::Path;
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
        let class = format!("org.apache.kafka.tools.{class}");
        let address = self.broker.address();
        self.run_as_written(&class, &[&["--bootstrap-server", &address][..], arguments].concat())
    }

    /// The same with no arguments but these.
    fn run_as_written(&self, class: &str, arguments: &[&str]) -> String {
        let mut command = java(class);
        command.args(arguments);
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

/// The commands of a document by Kafka's tool for settings, each as its arguments.
fn documented(document: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document);
    let text = std::fs::read_to_string(path).unwrap().replace("\\\n", " ");
    let commands = text.lines().filter_map(|line| line.strip_prefix("kafka-configs.sh "));
    commands.map(|words| words.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn kafkas_tool_for_settings_takes_the_commands_that_operations_tells() {
    let place = Place::new("configs");
    let broker = Broker::start(&place, None, &[]);
    let (address, tools) = (broker.address(), Tools { place, broker });
    let run = |arguments: &[&str]| tools.run_as_written("kafka.admin.ConfigCommand", arguments);
    let describe = ["--describe", "--entity-type", "brokers", "--entity-default"];
    let commands = documented("OPERATIONS.md");
    assert_eq!(commands.len(), 2, "one sets rates, one takes them back");
    for (command, sets) in commands.iter().zip([true, false]) {
        let words = command.iter().map(|word| word.replace("127.0.0.1:9092", &address));
        let words: Vec<_> = words.collect();
        run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let told = run(&[&["--bootstrap-server", &address][..], &describe].concat());
        for rate in [
            "remote.log.manager.fetch.max.bytes.per.second=20971520",
            "tiering.replay.slowdown.max.percent=5",
        ] {
            assert_eq!(told.contains(rate), sets, "{command:?}: {told}");
        }
    }
}

//! `icecore topic`.

use serde_json::json;

use crate::broker::Broker;

#[test]
fn a_topic_is_made_listed_described_altered_and_deleted() {
    let broker = Broker::start(&[]);
    let made = broker.run("topic create orders --partitions 3 --config retention.ms=86400000");
    assert_eq!(made, "created topic orders with 3 partitions\n");
    broker.run("topic create payments");

    let listed = broker.json("topic list");
    let names: Vec<_> = listed.as_array().expect("array").iter().map(|t| &t["name"]).collect();
    assert_eq!(names, ["orders", "payments"]);
    assert!(broker.run("topic list").starts_with("TOPIC     PARTITIONS  TOPIC ID\norders"));

    broker.produce("orders --partition 1", "a\nb\n");
    let described = broker.json("topic describe orders");
    assert_eq!(described["settings"], json!({ "retention.ms": "86400000" }));
    assert_eq!(described["partitions"][1]["log_end_offset"], 2);
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(3));
    let all = broker.json("topic describe orders --all");
    assert_eq!(all["settings"]["cleanup.policy"], "delete");

    broker
        .run("topic alter orders --partitions 4 --config segment.ms=60000 --config retention.ms=");
    let described = broker.json("topic describe orders");
    assert_eq!(described["settings"], json!({ "segment.ms": "60000" }));
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(4));
    assert!(broker.run("topic describe orders").contains("segment.ms  60000 (1m)\n"));
    let all = broker.run("topic describe orders --all");
    let rows: Vec<_> = all.lines().map(|row| row.split_whitespace().collect::<Vec<_>>()).collect();
    for told in [
        "local.retention.bytes -2 (as retention.bytes)",
        "local.retention.ms -2 (as retention.ms)",
        "retention.bytes -1 (no limit)",
        "flush.messages 9223372036854775807 (never)",
        "message.timestamp.before.max.ms 9223372036854775807 (no limit)",
        "max.message.bytes 1048588 (about 1.00 MiB)",
    ] {
        assert!(rows.iter().any(|row| row.join(" ") == told), "{told}: {all}");
    }
    let all = broker.json("topic describe orders --all");
    assert_eq!(all["settings"]["local.retention.bytes"], "-2", "scripts read what there is");

    assert_eq!(broker.run("topic delete orders"), "deleted topic orders\n");
    assert_eq!(broker.json("topic list").as_array().map(Vec::len), Some(1));
}

/// What `topic apply` says of each topic, and why.
fn applied(broker: &Broker, file: &str, flags: &str) -> Vec<[String; 3]> {
    let path = broker.dir().join("topics.toml");
    std::fs::write(&path, file).expect("write");
    let report = broker.json(&format!("topic apply topics.toml {flags}"));
    let text =
        |line: &serde_json::Value, field: &str| line[field].as_str().expect(field).to_owned();
    let line = |line| ["topic", "what", "detail"].map(|field| text(line, field));
    report.as_array().expect("array").iter().map(line).collect()
}

#[test]
fn a_file_of_topics_is_applied_any_number_of_times_and_takes_nothing_away() {
    let broker = Broker::start(&[]);
    let file = "[topics.orders]\npartitions = 2\nsettings = { \"retention.ms\" = \"9d\" }\n\
                [topics.payments]\n";
    let made = ["orders", "created", "partitions=2"];
    assert_eq!(applied(&broker, file, "--dry-run")[0], made);
    assert_eq!(broker.json("topic list").as_array().map(Vec::len), Some(0), "it was a rehearsal");
    assert_eq!(applied(&broker, file, ""), [made, ["payments", "created", "partitions=1"]]);
    let same = [["orders", "unchanged", ""], ["payments", "unchanged", ""]];
    assert_eq!(applied(&broker, file, "--wait 1m"), same);

    let more = "[topics.orders]\npartitions = 3\nsettings = { \"segment.bytes\" = 2097152 }\n";
    let differences = [
        ["orders", "altered", "partitions=3 (was 2), segment.bytes=2097152 (2MiB)"],
        ["orders", "differs", "has retention.ms=777600000 (9d), which the file has not"],
        ["payments", "differs", "is not in the file"],
    ];
    assert_eq!(applied(&broker, more, ""), differences);
    let described = broker.json("topic describe orders");
    let settings = json!({ "retention.ms": "777600000", "segment.bytes": "2097152" });
    assert_eq!(described["settings"], settings);
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(3));

    let fewer = applied(&broker, "[topics.orders]\npartitions = 1\n[topics.payments]\n", "");
    let told = "has 3 partitions, the file 1: partitions cannot be taken away";
    assert_eq!(fewer[1], ["orders", "differs", told]);
}

#[test]
fn a_file_of_topics_that_cannot_be_applied_says_why_and_applies_the_others() {
    let broker = Broker::start(&[]);
    let path = broker.dir().join("topics.toml");
    let bad = "[topics.bad]\nsettings = { \"retention.byte\" = 1 }\n[topics.good]\n";
    std::fs::write(&path, bad).expect("write");
    let mut command = broker.command("topic apply topics.toml");
    let done = command.assert().code(1);
    let shown = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(shown.contains("did you mean retention.bytes?"), "{shown}");
    assert_eq!(broker.json("topic list")[0]["name"], "good");
    for (file, said) in [
        ("[topics.a]\npartitions = 0\n", "topic a needs at least one partition"),
        ("[topics.a]\npartition = 1\n", "unknown field `partition`"),
        ("[topics.a]\nsettings = { b = [1] }\n", "setting b of topic a is no text"),
        ("[topic.a]\n", "unknown field `topic`"),
    ] {
        std::fs::write(&path, file).expect("write");
        let told = broker.refused("topic apply topics.toml");
        assert!(told.contains(said), "{file}: {told}");
    }
}

#[test]
fn what_a_broker_refuses_is_told_with_its_reason() {
    let broker = Broker::start(&[]);
    broker.run("topic create orders");
    for (words, reason) in [
        ("topic create orders", "TOPIC_ALREADY_EXISTS"),
        ("topic create no/name", "INVALID_TOPIC_EXCEPTION"),
        ("topic create t --config segment.bytes=1", "at least 1048576"),
        ("topic create t --config no.setting=1", "no.setting"),
        ("topic alter orders --config retention.ms=x", "retention.ms"),
        ("topic describe nothing", "topic nothing does not exist"),
        ("topic delete nothing", "UNKNOWN_TOPIC_OR_PARTITION"),
        ("consume orders --partition 7", "has no partition 7"),
        ("topic list --broker 127.0.0.1:1", "start one with `icecore serve`, or give --broker"),
        ("tier status --http 127.0.0.1:1", "start one with `icecore serve`, or give --http"),
        ("tier status nothing", "no partition of topic nothing"),
    ] {
        let told = broker.refused(words);
        assert!(told.starts_with("icecore: ") && told.contains(reason), "{words}: {told}");
    }
}

#[test]
fn a_command_that_is_not_understood_ends_with_code_2() {
    for words in [
        "nonsense",
        "topic create",
        "topic create t --partitions 0",
        "topic create t --config x",
        "topic alter t",
        "consume t --from yesterday",
        "demo --bytes 0",
    ] {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
        command.args(words.split_whitespace()).assert().code(2);
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
        let done = command.args(["completions", shell]).assert().success();
        assert!(String::from_utf8_lossy(&done.get_output().stdout).contains("consume"), "{shell}");
    }
}

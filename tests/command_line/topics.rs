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
    assert!(broker.run("topic describe orders").contains("segment.ms  60000"));

    assert_eq!(broker.run("topic delete orders"), "deleted topic orders\n");
    assert_eq!(broker.json("topic list").as_array().map(Vec::len), Some(1));
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

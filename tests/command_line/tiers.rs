//! `icecore tier status`, and reading across the tiers.

use crate::broker::{Broker, wait_for};

const SMALL_AND_OFTEN: &[&str] = &[
    "num.partitions=1",
    "log.segment.bytes=1MiB",
    "log.local.retention.bytes=1MiB",
    "log.retention.check.interval.ms=50",
    "remote.log.manager.task.interval.ms=50",
];

#[test]
fn the_tiers_are_shown_and_records_come_back_from_both() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t");
    broker.run("topic create other");
    let lines: String = (0..400_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.produce("t", &lines);
    let freed = |status: &serde_json::Value| {
        let partition = &status[0];
        let number = |value: &serde_json::Value| value.as_u64().expect("a number");
        let uploaded = number(&partition["pending"]["segments"]) == 0;
        let small = number(&partition["local"]["bytes"]) <= 2 << 20;
        (uploaded && small && number(&partition["local_log_start_offset"]) > 0).then_some(())
    };
    let status = wait_for("a freed disk", || {
        let status = broker.json("tier status t");
        freed(&status).map(|()| status)
    });
    assert_eq!(status.as_array().map(Vec::len), Some(1), "only the topic that was asked for");
    assert_eq!(status[0]["log_end_offset"], 400_000);
    assert!(status[0]["remote"]["bytes"].as_u64() > Some(4 << 20), "{status}");
    assert!(status[0]["oldest_timestamp_ms"].is_u64());
    let table = broker.run("tier status");
    assert!(table.starts_with("TOPIC") && table.contains("MiB in "), "{table}");
    assert_eq!(table.lines().count(), 3, "two topics under a line of headings: {table}");

    // Everything was written a moment ago, and most of it lies in the store alone.
    assert_eq!(broker.run("consume t --to end"), lines);
    assert_eq!(broker.run("consume t --from 5 --max 1"), "5 of these lines\n");
}

#[test]
fn the_time_of_the_oldest_record_shows_as_soon_as_there_is_one() {
    let broker = Broker::start(&["num.partitions=1"]);
    broker.run("topic create t");
    let oldest = || broker.json("tier status t")[0]["oldest_timestamp_ms"].clone();
    assert!(oldest().is_null(), "nothing is there yet");
    broker.produce("t", "one\n");
    assert!(oldest().is_u64(), "it lies in the active segment");
}

#[test]
fn topics_that_brokers_keep_for_themselves_show_when_they_are_asked_for() {
    let broker = Broker::start(&["num.partitions=1"]);
    broker.run("topic create t");
    let done = broker.command("produce t").write_stdin("one\n").assert().success();
    let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(told.starts_with("1 record acknowledged"), "{told}");
    assert_eq!(broker.run("consume t --group g --max 1"), "one\n");
    let shown = |flags: &str| {
        let table = broker.run(&format!("tier status {flags}"));
        (table.contains("__consumer_offsets"), table.lines().any(|line| line.starts_with("t ")))
    };
    assert_eq!(shown(""), (false, true), "fifty partitions of no history would hide the others");
    assert_eq!(shown("--internal"), (true, true));
    assert_eq!(shown("__consumer_offsets"), (true, false), "named, it needs no flag");
}

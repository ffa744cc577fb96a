//! `icecore produce` and `icecore consume`.

use std::io::{BufRead as _, BufReader};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::broker::{Broker, interrupt, wait_for};

fn numbers(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}

#[test]
fn lines_come_back_in_order() {
    let broker = Broker::start(&["num.partitions=1"]);
    broker.run("topic create t");
    let done = broker.command("produce t").write_stdin(numbers(0..50_000)).assert().success();
    let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(told.contains("50000 records acknowledged") && told.contains("records/s"), "{told}");
    assert_eq!(broker.run("consume t --to end"), numbers(0..50_000));
    // The last line needs no end, and an empty line is an empty record.
    broker.produce("t", "\nlast");
    assert_eq!(broker.run("consume t --from 50000 --to end"), "\nlast\n");
}

#[test]
fn keys_are_split_off_kept_and_decide_the_partition() {
    let broker = Broker::start(&[]);
    broker.run("topic create t --partitions 4");
    let lines = "anna=>1\nben=>2\nanna=>3\n=>4\nbytes=>\u{e9}=>5\n";
    broker.produce("t --key-separator =>", lines);
    let mut came: Vec<_> =
        broker.run("consume t --to end --key-separator =>").lines().map(str::to_owned).collect();
    let mut sent: Vec<_> = lines.lines().map(str::to_owned).collect();
    came.sort();
    sent.sort();
    assert_eq!(came, sent);

    let records = broker.run("consume t --to end --output json");
    let records: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    let of_anna: Vec<_> = records.iter().filter(|record| record["key"] == "anna").collect();
    assert_eq!([&of_anna[0]["value"], &of_anna[1]["value"]], ["1", "3"]);
    // As Kafka's own clients place this key.
    assert_eq!([&of_anna[0]["partition"], &of_anna[1]["partition"]], [&json!(3), &json!(3)]);
    let told = broker.command("produce t --key-separator =>").write_stdin("a=>1\nb\n").assert();
    let told = String::from_utf8_lossy(&told.code(1).get_output().stderr).into_owned();
    assert!(told.contains("line 2 has no \"=>\""), "{told}");
}

#[test]
fn a_reader_begins_and_stops_where_it_is_told() {
    let broker = Broker::start(&["num.partitions=1"]);
    broker.run("topic create t");
    // One batch: what is asked for begins and ends inside of it.
    broker.produce("t", &numbers(0..100));
    assert_eq!(broker.run("consume t --from 42 --to 45"), numbers(42..45));
    assert_eq!(broker.run("consume t --from 97 --to end"), numbers(97..100));
    assert_eq!(broker.run("consume t --from beginning --max 3"), numbers(0..3));
    assert_eq!(broker.run("consume t --max 0"), "");
    assert_eq!(broker.run("consume t --from end --to end"), "");
    assert_eq!(broker.run("consume t --from 50 --to 40"), "");
    let told = broker.refused("consume t --from 101");
    assert!(told.contains("offset 101 is not in t-0, whose first offset is 0"), "{told}");
}

#[test]
fn times_are_where_to_begin_and_where_to_stop() {
    let broker = Broker::start(&["num.partitions=1"]);
    broker.run("topic create t");
    broker.produce("t", "early\n");
    let early: Value =
        serde_json::from_str(&broker.run("consume t --max 1 --output json")).expect("json");
    let early_ms = early["timestamp_ms"].as_u64().expect("a time");
    wait_for("the next millisecond", || (now_ms() > early_ms).then_some(()));
    broker.produce("t", "late\n");

    let between = early_ms + 1;
    assert_eq!(broker.run(&format!("consume t --from {between}ms --to end")), "late\n");
    assert_eq!(broker.run(&format!("consume t --to {between}ms")), "early\n");
    let time = UNIX_EPOCH + std::time::Duration::from_millis(between);
    let time = humantime::format_rfc3339_millis(time);
    assert_eq!(broker.run(&format!("consume t --from {time} --to end")), "late\n");
    assert_eq!(broker.run("consume t --from 1h --to end"), "early\nlate\n");
    assert_eq!(broker.run("consume t --from 2001-01-01 --to end"), "early\nlate\n");
    assert_eq!(broker.run("consume t --from 2999-01-01 --to end"), "", "nothing is as late");
}

#[test]
fn a_closed_pipe_ends_a_reader_quietly() {
    let broker = Broker::start(&["num.partitions=1"]);
    broker.run("topic create t");
    broker.produce("t", &numbers(0..200_000));
    let mut reader = broker.spawn("consume t");
    let mut lines = BufReader::new(reader.stdout.take().expect("stdout")).lines();
    assert_eq!(lines.next().expect("line").expect("read"), "0");
    drop(lines);
    let done = reader.wait_with_output().expect("wait");
    assert_eq!((done.status.code(), done.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn an_interrupted_reader_has_written_all_that_it_got() {
    let broker = Broker::start(&["num.partitions=1"]);
    broker.run("topic create t");
    let mut reader = broker.spawn("consume t");
    broker.produce("t", "one\n");
    let mut lines = BufReader::new(reader.stdout.take().expect("stdout")).lines();
    assert_eq!(lines.next().expect("line").expect("read"), "one");
    interrupt(&reader, Signal::INT);
    assert_eq!(reader.wait().expect("wait").code(), Some(0));
    assert!(lines.next().is_none());
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("before the end of time")
}

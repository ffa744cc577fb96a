//! `icecore check`: whether a broker serves clients, and that it leaves nothing behind.

use rustix::process::Signal;
use serde_json::json;

use crate::broker::{Broker, interrupt, wait_for};

fn topics(broker: &Broker) -> serde_json::Value {
    broker.json("topic list")
}

#[test]
fn a_broker_that_serves_is_told_and_the_topic_of_the_check_is_gone() {
    let broker = Broker::start(&[]);
    let told = broker.run("check --wait 1m");
    assert!(told.contains("3 records were written and read back"), "{told}");
    assert_eq!(broker.json("check")["records"], 3);
    assert_eq!(topics(&broker), json!([]));
}

#[test]
fn a_check_that_fails_says_why_and_its_topic_is_gone() {
    // With one broker acks=all is refused: the topic is made, and nothing is written.
    let broker = Broker::start(&["min.insync.replicas=2"]);
    let why = broker.refused("check");
    assert!(why.contains("NOT_ENOUGH_REPLICAS") && !why.contains("stays"), "{why}");
    assert_eq!(topics(&broker), json!([]));
    let why = broker.refused("check --broker 127.0.0.1:1");
    assert!(why.contains("no broker answers at 127.0.0.1:1"), "{why}");
}

#[test]
fn a_check_that_is_told_to_stop_or_takes_too_long_takes_its_topic_away() {
    // More than a topic may have: no group is ever kept here, and a client asks again for seconds.
    let broker = Broker::start(&["offsets.topic.num.partitions=10001"]);
    let why = broker.refused("check --timeout 0s");
    assert!(why.contains("it did not come to its end within 0s"), "{why}");
    assert_eq!(topics(&broker), json!([]));

    let stopped = broker.spawn("check");
    wait_for("the topic of the check", || topics(&broker)[0].is_object().then_some(()));
    interrupt(&stopped, Signal::TERM);
    let done = stopped.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(1) && said.contains("interrupted"), "{said}");
    assert_eq!(topics(&broker), json!([]));
}

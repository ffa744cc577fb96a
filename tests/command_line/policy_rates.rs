//! Rates of a topic that a policy gives: over all its partitions together, and changed while the broker
//! runs.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::broker::{Broker, wait_for};

/// Small segments, an upkeep that comes round all the time, and one upload at a time.
const SMALL_AND_OFTEN: &[&str] = &[
    "num.partitions=3",
    "log.segment.bytes=1MiB",
    "log.retention.check.interval.ms=50",
    "remote.log.manager.task.interval.ms=50",
    "remote.log.manager.copier.thread.pool.size=1",
];
const LINES: usize = 400_000;

/// Gives the topic its rates, in bytes a second, and keeps nothing on the disk that is uploaded.
fn set(broker: &Broker, copies: &str, fetches: &str) {
    broker.run(&format!(
        "policy set thrifty --topics slow --config local.retention.bytes=0 \
         --config tiering.copy.max.bytes.per.second={copies} \
         --config tiering.fetch.max.bytes.per.second={fetches}"
    ));
}

/// How much of a topic's partitions together lies at a place.
fn sum(broker: &Broker, topic: &str, place: &str, unit: &str) -> u64 {
    let told = broker.json(&format!("tier status {topic}"));
    let partitions = told.as_array().expect("partitions");
    assert_eq!(partitions.len(), 3);
    let number = |partition: &Value| partition[place][unit].as_u64().expect("a number");
    partitions.iter().map(number).sum()
}

/// Waits until all that is sealed is uploaded; how many bytes of it the store has.
fn uploaded(broker: &Broker, topic: &str) -> u64 {
    wait_for("an upload of all that is sealed", || {
        (sum(broker, topic, "pending", "segments") == 0).then_some(())
    });
    sum(broker, topic, "remote", "bytes")
}

/// How long so many bytes take at a MiB a second, when the last MiB is let through and not waited for.
fn at_a_mib_a_second(bytes: u64) -> Duration {
    Duration::from_millis((bytes.saturating_sub(1 << 20) * 1000) >> 20)
}

/// Reads all of a topic, and tells how long it took.
fn read(broker: &Broker, topic: &str) -> Duration {
    let began = Instant::now();
    assert_eq!(broker.run(&format!("consume {topic} --to end")).lines().count(), LINES);
    began.elapsed()
}

#[test]
fn rates_of_a_policy_bound_all_partitions_of_a_topic_together_and_change_at_runtime() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    // Slower than any test waits for.
    set(&broker, "1", "1MiB");
    let lines: String = (0..LINES).map(|n| format!("{n} of these lines\n")).collect();
    for topic in ["slow", "fast"] {
        broker.run(&format!("topic create {topic}"));
        broker.produce(topic, &lines);
    }
    assert!(uploaded(&broker, "fast") > 4 << 20, "beside a topic that waits");
    assert_eq!(sum(&broker, "slow", "remote", "segments"), 0);

    set(&broker, "1MiB", "1MiB");
    let began = Instant::now();
    let bytes = uploaded(&broker, "slow");
    let took = began.elapsed();
    assert!(took > at_a_mib_a_second(bytes), "{bytes} bytes in {took:?}");

    wait_for("a freed disk", || (sum(&broker, "slow", "local", "segments") == 3).then_some(()));
    let bounded = read(&broker, "slow");
    assert!(bounded > at_a_mib_a_second(bytes), "{bytes} bytes in {bounded:?}");
    broker.run("policy delete thrifty");
    let free = read(&broker, "slow");
    assert!(free < bounded / 2, "{free:?} without a bound, {bounded:?} with one");
}

#[test]
fn explain_tells_which_policy_gives_a_topic_its_rates_and_nonsense_is_refused() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create slow");
    set(&broker, "20MiB", "5MiB");
    broker.run("topic alter slow --config tiering.fetch.max.bytes.per.second=-1");
    let text = broker.run("policy explain slow");
    let line = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a line of the setting");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let copies = line("tiering.copy.max.bytes.per.second ");
    assert!(copies.contains(" 20971520 (20MiB) policy thrifty"), "{copies}");
    let fetches = line("tiering.fetch.max.bytes.per.second ");
    assert!(fetches.contains(" -1 (no limit) topic 5242880 (5MiB) by policy thrifty"), "{fetches}");
    for (value, said) in [
        ("0", "invalid value 0 for tiering.copy.max.bytes.per.second: at least 1, or -1 for none"),
        ("-2", "at least 1, or -1 for none"),
        ("fast", "a number, or one with KiB, MiB, GiB or TiB"),
    ] {
        let config = format!("--config tiering.copy.max.bytes.per.second={value}");
        let refused = broker.refused(&format!("policy set p --topics * {config}"));
        assert!(refused.contains(said), "{refused}");
        let refused = broker.refused(&format!("topic create wrong {config}"));
        assert!(refused.contains(said), "{refused}");
    }
}

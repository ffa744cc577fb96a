//! A process that may have few files open.

use std::collections::BTreeSet;

use crate::broker::Broker;

const PARTITIONS: usize = 30;
const ROUNDS: usize = 8;
/// Enough to have at least one of them in each partition.
const RECORDS: usize = 600;

#[test]
fn a_broker_with_more_segments_than_files_that_it_may_open_takes_and_gives_all_records() {
    let settings = ["remote.log.storage.system.enable=false", "log.roll.ms=1"];
    let broker = Broker::start_with_files(450, &settings);
    broker.run(&format!("topic create many --partitions {PARTITIONS}"));
    for round in 0..ROUNDS {
        let lines: Vec<_> =
            (0..RECORDS).map(|number| format!("{number}:{round}-{number}")).collect();
        broker.produce("many --key-separator :", &lines.join("\n"));
    }
    let partitions = broker.page("/v1/partitions");
    let partitions = partitions.as_array().expect("partitions").iter();
    let segments = partitions.map(|one| one["local"]["segments"].as_u64().expect("a number"));
    assert!(segments.sum::<u64>() >= (PARTITIONS * ROUNDS) as u64, "of three files each");

    for _ in 0..2 {
        let read = broker.run("consume many --from beginning --to end");
        let values: BTreeSet<_> = read.lines().collect();
        assert_eq!((read.lines().count(), values.len()), (ROUNDS * RECORDS, ROUNDS * RECORDS));
    }
    broker.stop();
}

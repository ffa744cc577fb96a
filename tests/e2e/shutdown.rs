//! The end that an operator asks for.

use std::time::Duration;

use crate::harness::{
    Ack, Broker, Client, Place, Reading, Topic, Writing, ledger, now_ms, read_ledger, until,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The producer sends each record once and learns of every failure: were one appended and not
/// answered, the log would hold more than was acked.
#[test]
fn sigterm_answers_what_is_in_flight_and_the_next_start_has_nothing_to_recover() {
    let place = Place::new("shutdown");
    let mut broker = Broker::start(&place, None, &[]);
    let topic = Topic::create(&place, &broker, "shutdown", 3, &[("retention.ms", "-1")]);
    let more = [("--rate", "2000".to_owned()), ("--attempts", "one".to_owned())];
    let codecs = "none";
    let writing = Writing { name: "once", codecs, start_ms: now_ms() - 86_400_000, more: &more };
    let mut producer = topic.start_writing(&place, Client::Librdkafka, &writing);
    until("records flow", PATIENCE, || {
        (broker.ends("shutdown").iter().sum::<i64>() > 5000).then_some(())
    });
    assert_eq!(broker.stop().code(), Some(0));
    producer.succeed(PATIENCE);

    let before = broker.log_length();
    broker.start_again();
    let log = broker.log_after(before);
    let others = log.replacen("recovered=0", "", 1);
    assert!(others.len() < log.len(), "it tells that nothing was recovered: {log}");
    assert!(!others.contains("recovered"), "something was recovered: {log}");
    let ends = broker.ends("shutdown");
    let acks = read_ledger(&ledger(&place, "once"));
    assert_eq!(ends.iter().sum::<i64>(), acks.len() as i64, "appended, and acked");
    let (read, _) = topic.read(&place, Client::Librdkafka, &Reading::Beginning, &ends);
    let is_there = |ack: &Ack| {
        let at = usize::try_from(ack.offset.unwrap()).unwrap();
        read[ack.partition][at].digest == ack.digest
    };
    assert!(acks.iter().all(is_there));
}

//! A read-only server, and clients that do not know that it is one.

use std::time::Duration;

use crate::harness::{
    Broker, Bucket, Client, Entry, Place, Reading, Topic, Writing, ledger, log_of, now_ms,
    read_ledger, until,
};

const PARTITIONS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn clients_replay_from_a_read_only_server_what_the_broker_acked_and_leave_the_bucket_as_it_was() {
    let place = Place::new("read-only");
    let bucket = Bucket::create("read-only");
    let often =
        [("log.retention.check.interval.ms", "200"), ("tiering.meta.upload.interval.ms", "200")];
    let mut broker = Broker::start(&place, Some(&bucket), &often);
    let config = [
        ("segment.bytes", "1048576"),
        ("retention.ms", "-1"),
        ("tiering.max.upload.lag.ms", "1000"),
    ];
    let topic = Topic::create(&place, &broker, "read-only", PARTITIONS, &config);
    let following = [("tiering.follow.interval.ms", "200")];
    let reader = Broker::start_reading(&place, &bucket, &following);
    let more = [("--bytes", (6_u64 << 20).to_string())];
    let start_ms = now_ms() - 86_400_000;
    let writing = Writing { name: "all", codecs: "zstd", start_ms, more: &more };
    topic.write(&place, Client::Librdkafka, &writing);
    let logs = log_of(&read_ledger(&ledger(&place, "all")), PARTITIONS);
    let ends = broker.ends("read-only");
    until("everything is uploaded and followed", PATIENCE, || {
        (reader.ends("read-only") == ends).then_some(())
    });
    assert!(broker.stop().success());

    let names = bucket.list();
    let before: Vec<_> = names.iter().map(|name| bucket.get(name)).collect();
    let topic = topic.at(&reader);
    for client in Client::ALL {
        topic.replays(&place, client, &Reading::Beginning, &logs, &[0; PARTITIONS]);
    }
    let time = logs[0][logs[0].len() / 2].timestamp;
    let since = |log: &Vec<Entry>| {
        log.iter().find(|entry| entry.timestamp >= time).map_or(0, |entry| entry.offset)
    };
    let at_time: Vec<_> = logs.iter().map(since).collect();
    topic.replays(&place, Client::Java, &Reading::Time(time), &logs, &at_time);
    assert_eq!(bucket.list(), names);
    let after: Vec<_> = names.iter().map(|name| bucket.get(name)).collect();
    assert!(before == after, "the same bytes");
}

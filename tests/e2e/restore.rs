//! A lost disk, and a broker that comes back from its bucket.

use std::time::Duration;

use crate::harness::{
    Broker, Bucket, Client, Place, Reading, Topic, Writing, ledger, log_of, now_ms, read_ledger,
    until,
};

const PARTITIONS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_killed_broker_whose_disk_is_lost_comes_back_from_its_bucket_with_all_that_was_uploaded() {
    let place = Place::new("restore");
    let bucket = Bucket::create("restore");
    let often =
        [("log.retention.check.interval.ms", "200"), ("tiering.meta.upload.interval.ms", "200")];
    let mut broker = Broker::start(&place, Some(&bucket), &often);
    let config = [
        ("segment.bytes", "1048576"),
        ("local.retention.bytes", "0"),
        ("retention.ms", "-1"),
        ("tiering.max.upload.lag.ms", "1000"),
    ];
    let topic = Topic::create(&place, &broker, "restore", PARTITIONS, &config);
    let more = [("--bytes", (6_u64 << 20).to_string())];
    let start_ms = now_ms() - 86_400_000;
    let writing = Writing { name: "all", codecs: "zstd", start_ms, more: &more };
    topic.write(&place, Client::Librdkafka, &writing);
    let logs = log_of(&read_ledger(&ledger(&place, "all")), PARTITIONS);
    until("everything is uploaded and freed", PATIENCE, || {
        let partitions = broker.partitions("restore");
        let gone = partitions.iter().all(|partition| {
            partition.local_log_start_offset == partition.high_watermark
                && partition.high_watermark > 0
        });
        gone.then_some(())
    });
    let ends = broker.ends("restore");
    until("the topic is in the bucket", PATIENCE, || {
        bucket.list().iter().any(|name| name.contains("/meta/cluster/")).then_some(())
    });

    broker.kill();
    std::fs::remove_dir_all(&broker.data).unwrap();
    // Nobody waits for one who was killed and whose disk is gone.
    let told = broker.run_tool(&place, &["tier", "restore", "--take-over"]);
    assert!(told.contains("restore"), "{told}");
    let checked = broker.run_tool(&place, &["tier", "fsck", "--deep"]);
    assert!(checked.contains("nothing is wrong"), "{checked}");
    broker.start_again();
    assert_eq!(broker.ends("restore"), ends);
    for client in [Client::Librdkafka, Client::Java] {
        topic.replays(&place, client, &Reading::Beginning, &logs, &[0; PARTITIONS]);
    }
}

//! Far more than the disk may keep, and replays that cannot tell.
//!
//! ICECORE_E2E_BYTES, _SEGMENT_BYTES and _LOCAL_BYTES set the size; `cargo xtask soak tiered` runs
//! it with a gigabyte in S3.

use std::path::Path;
use std::time::Duration;

use crate::harness::{
    Broker, Bucket, Client, Entry, HdfsFolder, Partition, Place, Random, Reading, Remote, Running,
    Topic, Writing, ledger, log_of, now_ms, number, read_ledger, until,
};

const PARTITIONS: usize = 4;
/// Who produces at the same time, and packed how.
const PRODUCERS: [(&str, Client, &str); 6] = [
    ("plain", Client::Librdkafka, "none"),
    ("gzip", Client::Librdkafka, "gzip"),
    ("zstd", Client::Librdkafka, "zstd"),
    ("java-plain", Client::Java, "none"),
    ("java-snappy", Client::Java, "snappy"),
    ("java-lz4", Client::Java, "lz4"),
];
const READERS: [Client; 3] = [Client::Librdkafka, Client::Java, Client::KafkaPython];

struct Size {
    bytes: u64,
    segment_bytes: u64,
    local_bytes: u64,
}

impl Size {
    fn of_this_run() -> Self {
        Self {
            bytes: number("ICECORE_E2E_BYTES", 64 << 20),
            segment_bytes: number("ICECORE_E2E_SEGMENT_BYTES", 1 << 20),
            local_bytes: number("ICECORE_E2E_LOCAL_BYTES", 2 << 20),
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(300 + self.bytes / (1 << 20))
    }
}

#[test]
fn a_replay_from_s3_gives_every_record_once_in_order_also_after_the_manifest_was_lost() {
    every_record_comes_back(&Place::new("tiered"), &Bucket::create("tiered"));
}

#[test]
fn a_replay_from_hdfs_gives_every_record_once_in_order_also_after_the_manifest_was_lost() {
    every_record_comes_back(&Place::new("tiered-hdfs"), &HdfsFolder::new("tiered"));
}

/// Equal results from each store, since both must equal what the producers were acked.
fn every_record_comes_back(place: &Place, store: &dyn Remote) {
    let size = Size::of_this_run();
    let interval = [("log.retention.check.interval.ms", "500")];
    let mut broker = Broker::start(place, Some(store), &interval);
    let config = [
        ("segment.bytes", &size.segment_bytes.to_string()[..]),
        ("local.retention.bytes", &size.local_bytes.to_string()),
        ("retention.ms", "-1"),
    ];
    let topic = Topic::create(place, &broker, "tiered", PARTITIONS, &config);
    // All within a week of record time, so that segments are rolled by size alone.
    let start_ms = now_ms() - 6 * 86_400_000;
    let logs = fill(place, &topic, &size, start_ms);
    let partitions = wait_until_local_disk_is_free(&broker, &size);
    assert_folders_are_bounded(&broker, &size);
    replay_from_everywhere(place, &topic, &logs, &partitions);

    assert!(broker.stop().success());
    for file in ["manifest.db", "manifest.db-wal", "manifest.db-shm"] {
        let _ = std::fs::remove_file(broker.data.join(file));
    }
    broker.start_again();
    let rebuilt = broker.partitions("tiered");
    for (before, after) in partitions.iter().zip(&rebuilt) {
        assert_eq!((&after.remote, &after.pending), (&before.remote, &before.pending));
        assert_eq!(after.log_start_offset, 0);
    }
    replay_from_everywhere(place, &topic, &logs, &rebuilt);
}

/// Everything that was produced, as it should be read.
fn fill(place: &Place, topic: &Topic, size: &Size, start_ms: i64) -> Vec<Vec<Entry>> {
    let bytes = size.bytes / PRODUCERS.len() as u64;
    let more = [
        ("--bytes", bytes.to_string()),
        ("--size-min", "100".to_owned()),
        ("--size-max", "102400".to_owned()),
    ];
    let mut producers: Vec<Running> = PRODUCERS
        .iter()
        .map(|(name, client, codecs)| {
            let writing = Writing { name, codecs, start_ms, more: &more };
            topic.start_writing(place, *client, &writing)
        })
        .collect();
    for producer in &mut producers {
        producer.succeed(size.patience());
    }
    let acks: Vec<_> =
        PRODUCERS.iter().flat_map(|(name, ..)| read_ledger(&ledger(place, name))).collect();
    log_of(&acks, PARTITIONS)
}

fn wait_until_local_disk_is_free(broker: &Broker, size: &Size) -> Vec<Partition> {
    // Whole segments go: what stays is less than the bound and one segment, and the active one.
    let bound = size.local_bytes + 2 * size.segment_bytes;
    until("all segments uploaded and local copies freed", size.patience(), || {
        let partitions = broker.partitions("tiered");
        let freed = |partition: &Partition| {
            partition.pending.segments == 0
                && partition.local.bytes <= bound
                && partition.local_log_start_offset > 0
        };
        partitions.iter().all(freed).then_some(partitions)
    })
}

/// What the disk says, not the broker.
fn assert_folders_are_bounded(broker: &Broker, size: &Size) {
    let segments = (size.local_bytes / size.segment_bytes + 2) * size.segment_bytes;
    for partition in 0..PARTITIONS {
        let used = bytes_on_disk(&broker.partition_folder("tiered", partition));
        // Indexes and snapshots are small beside the segments.
        assert!(used <= segments + segments / 8, "partition {partition} takes {used} bytes");
    }
}

fn bytes_on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().metadata().map_or(0, |facts| facts.blocks() * 512)).sum()
}

fn replay_from_everywhere(
    place: &Place,
    topic: &Topic,
    logs: &[Vec<Entry>],
    partitions: &[Partition],
) {
    let mut random = Random::of_this_run();
    let time = logs[0][logs[0].len() / 4].timestamp;
    let at_time: Vec<i64> = logs.iter().map(|log| first_since(log, time)).collect();
    for (partition, offset) in partitions.iter().zip(&at_time) {
        assert!(*offset < partition.local_log_start_offset, "the time lies in the remote tier");
    }
    for client in READERS {
        let zeros = vec![0; logs.len()];
        topic.replays(place, client, &Reading::Beginning, logs, &zeros);
        topic.replays(place, client, &Reading::Time(time), logs, &at_time);
        for _ in 0..2 {
            let anywhere =
                |log: &Vec<Entry>| i64::try_from(random.below(log.len() as u64)).unwrap();
            let starts: Vec<i64> = logs.iter().map(anywhere).collect();
            topic.replays(place, client, &Reading::Offsets(starts.clone()), logs, &starts);
        }
    }
}

fn first_since(log: &[Entry], time: i64) -> i64 {
    log.iter().find(|entry| entry.timestamp >= time).unwrap().offset
}

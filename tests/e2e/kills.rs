//! SIGKILL at random moments under idempotent producers, uploads and local deletes.
//!
//! ICECORE_E2E_ROUNDS says how often; `cargo xtask soak kill` runs it a hundred times.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::harness::{
    Ack, Broker, Bucket, Client, Entry, Place, Random, Reading, Running, Topic, Writing, ledger,
    log_of, now_ms, number, read_ledger, until,
};

const PARTITIONS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(180);
/// Record times of the producers: today's, and those of years ago.
const YEARS_MS: i64 = 9 * 365 * 86_400_000;
const PRODUCERS: [(&str, Client, &str, i64); 4] = [
    ("today", Client::Librdkafka, "lz4", 3_600_000),
    ("years-ago", Client::Librdkafka, "none", YEARS_MS),
    ("java-today", Client::Java, "none", 3_600_000),
    ("java-years-ago", Client::Java, "zstd", YEARS_MS),
];

#[test]
fn every_acked_record_is_there_once_and_in_order_after_each_kill_and_one_collection_leaves_no_rest()
{
    let (place, mut random) = (Place::new("kills"), Random::of_this_run());
    let rounds = number("ICECORE_E2E_ROUNDS", 5);
    let bucket = Bucket::create("kills");
    let busy = [
        ("log.retention.check.interval.ms", "200"),
        ("remote.log.manager.task.interval.ms", "200"),
        ("log.flush.offset.checkpoint.interval.ms", "1000"),
    ];
    let mut broker = Broker::start(&place, Some(&bucket), &busy);
    let config = [
        ("segment.bytes", "1048576"),
        ("segment.ms", "9223372036854775807"),
        ("local.retention.bytes", "1048576"),
        ("retention.ms", "-1"),
    ];
    let topic = Topic::create(&place, &broker, "kills", PARTITIONS, &config);
    let mut producers = start_producers(&place, &topic);
    let mut checked = Checked::default();
    for round in 1..=rounds {
        let before = acks(&place).len();
        until("records are acked", PATIENCE, || (acks(&place).len() > before + 200).then_some(()));
        std::thread::sleep(Duration::from_millis(random.below(2500)));
        broker.kill();
        let acked = acks(&place);
        broker.start_again();
        checked.check(&place, &topic, &broker, &acked);
        for producer in &mut producers {
            assert!(producer.runs(), "a producer gave up: {}", producer.output_tail());
        }
        println!("round {round} of {rounds}: {} records are there", checked.count());
    }
    for producer in &mut producers {
        producer.tell_to_end();
    }
    for producer in &mut producers {
        producer.succeed(PATIENCE);
    }
    let acked = acks(&place);
    let logs = log_of(&acked, PARTITIONS);
    for (client, zeros) in [(Client::Librdkafka, [0; 3]), (Client::Java, [0; 3])] {
        topic.replays(&place, client, &Reading::Beginning, &logs, &zeros);
    }
    assert_in_order(&place, &logs);
    collect(&mut broker);
    let objects = objects_of_segments(&bucket);
    assert_eq!(objects, rows(&broker), "objects in the bucket, and rows of the manifest");
    assert!(objects.len() > 5, "{}", objects.len());
}

fn start_producers(place: &Place, topic: &Topic) -> Vec<Running> {
    let more = [
        ("--rate", "150".to_owned()),
        ("--step-ms", "10".to_owned()),
        ("--size-max", "10000".to_owned()),
    ];
    let start = |(name, client, codecs, ago_ms): (_, Client, _, i64)| {
        let writing = Writing { name, codecs, start_ms: now_ms() - ago_ms, more: &more };
        topic.start_writing(place, client, &writing)
    };
    PRODUCERS.into_iter().map(start).collect()
}

/// Of all producers, as far as they were acked.
fn acks(place: &Place) -> Vec<Ack> {
    let ledgers = PRODUCERS.iter().map(|(name, ..)| ledger(place, name));
    ledgers.filter(|ledger| ledger.exists()).flat_map(|ledger| read_ledger(&ledger)).collect()
}

/// What was read so far: each round reads on, from both tiers, where the one before it ended.
#[derive(Default)]
struct Checked {
    logs: [Vec<Entry>; PARTITIONS],
    digests: HashSet<[u8; 16]>,
}

impl Checked {
    fn count(&self) -> usize {
        self.digests.len()
    }

    /// Everything acked before the kill must be there, once, at the offset that was told.
    fn check(&mut self, place: &Place, topic: &Topic, broker: &Broker, acked: &[Ack]) {
        let ends = broker.ends("kills");
        let starts = self.logs.iter().map(|log| log.len() as i64).collect();
        let (read, _) = topic.read(place, Client::Librdkafka, &Reading::Offsets(starts), &ends);
        for (partition, entries) in read.iter().enumerate() {
            for entry in entries {
                let log = &mut self.logs[partition];
                assert_eq!(entry.offset, log.len() as i64, "a gap in partition {partition}");
                assert!(self.digests.insert(entry.digest), "twice: {partition}, {entry:?}");
                log.push(*entry);
            }
        }
        for ack in acked {
            assert!(self.digests.contains(&ack.digest), "acked and lost: {ack:?}");
            if let Some(offset) = ack.offset {
                let entry = &self.logs[ack.partition][usize::try_from(offset).unwrap()];
                assert_eq!(entry.digest, ack.digest, "acked at another offset: {ack:?}");
            }
        }
    }
}

/// Each producer's records lie in each partition in the order in which it sent them.
fn assert_in_order(place: &Place, logs: &[Vec<Entry>]) {
    for (name, ..) in PRODUCERS {
        let ledger = read_ledger(&ledger(place, name));
        let numbers: HashMap<_, _> = ledger.iter().map(|ack| (ack.digest, ack.number)).collect();
        let mut found = 0;
        for log in logs {
            let sent: Vec<i64> =
                log.iter().filter_map(|entry| numbers.get(&entry.digest).copied()).collect();
            assert!(sent.is_sorted(), "{name}: not in the order of sending");
            found += sent.len();
        }
        assert_eq!(found, ledger.len(), "{name}");
    }
}

/// Starts once more with a collection right away, and waits for its effect.
fn collect(broker: &mut Broker) {
    broker.kill();
    broker.set("tiering.gc.interval.ms", "1000");
    broker.set("tiering.gc.min.age.ms", "0");
    broker.start_again();
    until("nothing is left to upload", PATIENCE, || {
        let partitions = broker.partitions("kills");
        partitions.iter().all(|partition| partition.pending.segments == 0).then_some(())
    });
    let before = broker.log_length();
    until("garbage is collected", PATIENCE, || {
        // The first may have begun while something was on its way.
        let told = broker.log_after(before);
        let collections =
            ["garbage collected", "no garbage"].map(|line| told.matches(line).count());
        (collections.iter().sum::<usize>() > 1).then_some(())
    });
}

/// Names of objects without their suffix, and which suffixes there are.
fn objects_of_segments(bucket: &Bucket) -> BTreeMap<String, BTreeSet<String>> {
    let mut objects: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in bucket.list() {
        if name.contains("/topics/") {
            let (stem, suffix) = name.rsplit('/').next().unwrap().rsplit_once('.').unwrap();
            let id = stem.rsplit('-').next().unwrap().to_owned();
            objects.entry(id).or_default().insert(suffix.to_owned());
        }
    }
    objects
}

/// The same by the manifest.
fn rows(broker: &Broker) -> BTreeMap<String, BTreeSet<String>> {
    let file = broker.data.join("manifest.db");
    let manifest = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let query = "SELECT lower(hex(segment_id)), remote_state FROM segments WHERE remote_state > 0";
    let mut statement = manifest.prepare(query).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let both = BTreeSet::from(["index".to_owned(), "log".to_owned()]);
    rows.map(|row| {
        let (id, state): (String, i64) = row.unwrap();
        assert_eq!(state, 2, "{id} is live");
        (id, both.clone())
    })
    .collect()
}

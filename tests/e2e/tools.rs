//! Kafka's own tools on our files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::{
    Broker, Bucket, Client, Place, Topic, Writing, java, ledger, now_ms, read_ledger, run, until,
};

const PATIENCE: Duration = Duration::from_secs(120);

/// Runs DumpLogSegments on one file.
fn dump(place: &Place, file: &Path, how: &[&str]) -> String {
    let mut command = java("org.apache.kafka.tools.DumpLogSegments");
    command.args(how).arg("--files").arg(file);
    let log = place.join("dump.log");
    let _ = std::fs::remove_file(&log);
    let told = run(command, &log, PATIENCE);
    for complaint in ["mismatch", "Exception", "rror", "isvalid: false", "corrupt", "not found"] {
        assert!(!told.contains(complaint), "{}: {told}", file.display());
    }
    assert!(told.contains(file.to_str().unwrap()), "{}: {told}", file.display());
    told
}

/// The offsets of all records that a deep look at a log shows.
fn offsets_in(told: &str) -> BTreeSet<i64> {
    let records = told.lines().filter_map(|line| line.trim_start().strip_prefix("| offset: "));
    records.map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
}

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_str().is_some_and(|name| name.ends_with(suffix))).collect();
    files.sort();
    files
}

#[test]
fn kafkas_dump_log_segments_accepts_local_files_and_objects_of_the_bucket() {
    let place = Place::new("tools");
    let bucket = Bucket::create("tools");
    let mut broker = Broker::start(&place, Some(&bucket), &[]);
    let config = [("segment.bytes", "1048576"), ("retention.ms", "-1")];
    let topic = Topic::create(&place, &broker, "tools", 1, &config);
    let more = [("--bytes", (1 << 20).to_string()), ("--size-max", "20000".to_owned())];
    let codecs = "none,gzip,snappy,lz4,zstd";
    let writing = Writing { name: "writer", codecs, start_ms: now_ms() - 86_400_000, more: &more };
    topic.write(&place, Client::Librdkafka, &writing);
    let count = read_ledger(&ledger(&place, "writer")).len();
    until("all sealed segments are in the bucket", PATIENCE, || {
        let partition = &broker.partitions("tools")[0];
        (partition.pending.segments == 0 && partition.remote.segments > 0).then_some(())
    });
    // So that the files are whole: an active segment's indexes are larger than their content.
    assert!(broker.stop().success());

    let folder = broker.partition_folder("tools", 0);
    let logs = files(&folder, ".log");
    assert!(logs.len() > 2, "{logs:?}");
    let mut seen = BTreeSet::new();
    for log in &logs {
        seen.append(&mut offsets_in(&dump(&place, log, &["--deep-iteration"])));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..count as i64).collect::<Vec<_>>());
    for suffix in [".index", ".timeindex"] {
        let indexes = files(&folder, suffix);
        assert_eq!(indexes.len(), logs.len());
        // The look at all entries needs the log beside it; three of them tell as much as all.
        for index in [&indexes[0], &indexes[1], &indexes[indexes.len() - 1]] {
            let told = dump(&place, index, &["--index-sanity-check"]);
            assert!(told.contains("passed sanity check"), "{told}");
            dump(&place, index, &["--verify-index-only"]);
            dump(&place, index, &[]);
        }
    }
    let snapshots = files(&folder, ".snapshot");
    let told = dump(&place, snapshots.last().unwrap(), &[]);
    let ids = told.split("producerId: ").skip(1).map(|rest| rest.split(' ').next().unwrap());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 5, "one for each codec's producer: {told}");

    let names = bucket.list();
    let object = names.iter().find(|name| name.ends_with(".log")).unwrap();
    // The tool wants Kafka's name: the base offset and no more.
    let base = object.rsplit('/').next().unwrap().split('-').next().unwrap();
    let copy = place.join(format!("{base}.log"));
    std::fs::write(&copy, bucket.get(object)).unwrap();
    let in_object = offsets_in(&dump(&place, &copy, &["--deep-iteration"]));
    let local = folder.join(format!("{base}.log"));
    assert_eq!(in_object, offsets_in(&dump(&place, &local, &["--deep-iteration"])));
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&local).unwrap());
}

//! `icecore log dump`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::broker::{Broker, files, wait_for};

fn dump(broker: &Broker, what: &Path, flags: &str) -> assert_cmd::assert::Assert {
    broker.command("log dump").arg(what).args(flags.split_whitespace()).assert()
}

fn lines(done: &assert_cmd::assert::Assert) -> Vec<Value> {
    let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("json")).collect()
}

/// Some batches of one partition.
fn broker_with_records(settings: &[&str]) -> Broker {
    let broker = Broker::start(&[settings, &["num.partitions=1"]].concat());
    broker.run("topic create t");
    let text: String = (0..100_000).map(|n| format!("key-{n}=value-{n}\n")).collect();
    broker.produce("t --key-separator =", &text);
    broker
}

#[test]
fn a_right_segment_is_shown_with_its_records() {
    let broker = broker_with_records(&[]);
    let log = broker.log_dir("t-0").join("00000000000000000000.log");
    let batches = lines(&dump(&broker, &log, "--output json").success());
    let records: u64 = batches.iter().filter_map(|batch| batch["records"].as_u64()).sum();
    assert_eq!(records, 100_000);
    assert!(batches.iter().all(|batch| batch["crc_valid"] == true && batch["codec"] == "none"));

    let all = lines(&dump(&broker, &log, "--output json --records").success());
    assert_eq!(all.len(), batches.len() + 100_000);
    assert_eq!((&all[1]["key"], &all[1]["value"]), (&"key-0".into(), &"value-0".into()));
    let text = dump(&broker, &log, "").success();
    assert!(String::from_utf8_lossy(&text.get_output().stdout).starts_with("batch 0.."));
}

#[test]
fn a_damaged_segment_is_told_with_the_place_of_the_damage() {
    let broker = broker_with_records(&[]);
    let log = broker.log_dir("t-0").join("00000000000000000000.log");
    let copy = tempfile::tempdir().expect("dir");
    let damaged = copy.path().join("00000000000000000000.log");
    let mut bytes = fs::read(&log).expect("read");
    let second = 12 + u32::from_be_bytes(bytes[8..12].try_into().expect("a length")) as usize;
    bytes[second + 100] ^= 1;
    bytes.truncate(bytes.len() - 5);
    fs::write(&damaged, &bytes).expect("write");

    let done = dump(&broker, &damaged, "").code(1);
    let shown = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    let wrong: Vec<_> = shown.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].contains(&format!("position {second}, ")), "{wrong:?}");
    assert!(wrong[0].ends_with("the CRC does not fit the bytes"), "{wrong:?}");
    assert!(wrong[1].ends_with("are no whole batch"), "{wrong:?}");
    let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(told.contains("2 things are wrong in"), "{told}");

    // The first offset is not the one in the name.
    let renamed = copy.path().join("00000000000000000007.log");
    fs::copy(&log, &renamed).expect("copy");
    let done = dump(&broker, &renamed, "--output json").code(1);
    assert!(lines(&done).iter().any(|line| line["wrong"].is_string()));
}

#[test]
fn small_files_and_objects_are_shown_and_compared_with_their_log() {
    let often = ["log.segment.bytes=1MiB", "remote.log.manager.task.interval.ms=50"];
    let broker = broker_with_records(&often);
    let object = wait_for("an object", || files(&broker.store(), ".log").into_iter().next());
    let bundle = object.with_extension("index");
    let url = format!("file://{}", bundle.display());
    let shown = lines(&dump(&broker, Path::new(&url), "--output json").success());
    assert_eq!((&shown[0]["topic"], &shown[0]["base_offset"]), (&"t".into(), &0.into()));
    dump(&broker, &object, "").success();

    let folder = broker.log_dir("t-0");
    for ending in [".index", ".timeindex", ".snapshot", "leader-epoch-checkpoint"] {
        let found = files(&folder, ending);
        assert!(!found.is_empty(), "{ending}");
        found.iter().for_each(|file| drop(dump(&broker, file, "").success()));
    }

    // An entry that points into the middle of a batch, beside a log that is right.
    let copy = tempfile::tempdir().expect("dir");
    let name = |ending| copy.path().join(format!("00000000000000000000.{ending}"));
    fs::copy(folder.join("00000000000000000000.log"), name("log")).expect("copy");
    let mut index = fs::read(folder.join("00000000000000000000.index")).expect("read");
    index[7] ^= 1;
    fs::write(name("index"), &index).expect("write");
    let done = dump(&broker, &name("index"), "").code(1);
    let shown = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(shown.contains("WRONG at entry 0: no batch begins at"), "{shown}");

    let mut bytes = fs::read(&bundle).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(copy.path().join("x.index"), &bytes).expect("write");
    dump(&broker, &copy.path().join("x.index"), "").code(1);
}

#[test]
fn what_is_no_file_of_a_partition_is_refused() {
    let broker = Broker::start(&[]);
    let told = broker.refused("log dump Cargo.toml.nothing");
    assert!(told.contains("cannot read"), "{told}");
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("notes.txt");
    fs::write(&file, "x").expect("write");
    let done = dump(&broker, &file, "").code(1);
    let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(told.contains("no file that is known here"), "{told}");
}

//! `icecore tier fsck`, `gc`, `verify` and `restore`, on what a broker left that was stopped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::broker::{Broker, PATIENCE, files, wait_for};

const SMALL_AND_OFTEN: &[&str] = &[
    "num.partitions=1",
    "log.segment.bytes=1MiB",
    "log.local.retention.bytes=1",
    "log.retention.check.interval.ms=50",
    "remote.log.manager.task.interval.ms=50",
];

/// The folder of a stopped broker whose topic `t` lies in the store, in several segments.
fn tiered() -> tempfile::TempDir {
    tiering(SMALL_AND_OFTEN).stop()
}

/// A broker whose topic `t` lies in the store, in several segments.
fn tiering(settings: &[&str]) -> Broker {
    let broker = Broker::start(settings);
    broker.run("topic create t");
    let lines: String = (0..400_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.produce("t", &lines);
    wait_for("a freed disk", || {
        let status = broker.json("tier status t");
        let uploaded = status[0]["pending"]["segments"] == 0;
        let local = status[0]["local"]["segments"] == 1;
        (uploaded && local && status[0]["remote"]["segments"].as_u64() >= Some(6)).then_some(())
    });
    broker
}

/// The name of a log object of another attempt, for the same offsets.
fn twin(log: &Path, id: &str) -> PathBuf {
    let name = log.file_name().expect("a name").to_string_lossy().into_owned();
    let own = &name[name.len() - 36..name.len() - 4];
    log.with_file_name(name.replace(own, &id.repeat(16)))
}

/// Runs a command in a folder: its code, and the JSON that it writes.
fn run(dir: &Path, words: &str) -> (i32, Value) {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
    let words = format!("{words} --data-dir data --output json");
    command.args(words.split_whitespace()).current_dir(dir).timeout(PATIENCE);
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::String(told));
    (output.status.code().expect("a code"), json)
}

/// The kinds of the findings.
fn kinds(found: &Value) -> Vec<String> {
    let found = found["found"].as_array().unwrap_or_else(|| panic!("findings: {found}"));
    let mut kinds: Vec<_> =
        found.iter().map(|one| one["kind"].as_str().expect("a kind").to_owned()).collect();
    kinds.sort();
    kinds
}

fn objects(dir: &Path, ending: &str) -> Vec<PathBuf> {
    files(&dir.join("data/store"), ending)
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("/topics/t."))
        .collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("read");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("write");
}

fn shorten(path: &Path) {
    let len = std::fs::metadata(path).expect("an object").len();
    std::fs::File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(len - 1))
        .expect("shorter");
}

#[test]
fn a_sound_store_is_clean_and_a_running_broker_is_left_alone() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t");
    let told = broker.command("tier fsck --data-dir data").assert().code(2);
    let told = String::from_utf8_lossy(&told.get_output().stderr).into_owned();
    assert!(told.contains("is in use by another icecore"), "{told}");
    drop(broker);
    let dir = tiered();
    for words in ["tier fsck", "tier fsck --deep", "tier verify t"] {
        let (code, found) = run(dir.path(), words);
        assert_eq!((code, &found["findings"]), (0, &Value::from(0)), "{words}: {found}");
        assert!(found["segments"].as_u64() >= Some(6), "{words}: {found}");
    }
    let (_, verified) = run(dir.path(), "tier verify t");
    assert_eq!(verified["partitions"][0]["first_offset"], 0);
    assert!(verified["bytes"].as_u64() > Some(6 << 20), "every byte was read: {verified}");
    assert_eq!(run(dir.path(), "tier verify nothing").0, 2);
}

#[test]
fn each_thing_that_is_wrong_with_a_store_is_found_and_only_that() {
    let dir = tiered();
    let (logs, indexes) = (objects(dir.path(), ".log"), objects(dir.path(), ".index"));
    let folder = logs[0].parent().expect("a folder").to_owned();
    let check = |deep: bool, kind: &str, spoil: &dyn Fn(), mend: &dyn Fn()| {
        spoil();
        let words = if deep { "tier fsck --deep --anew" } else { "tier fsck" };
        let (code, found) = run(dir.path(), words);
        assert_eq!((code, kinds(&found)), (1, vec![kind.to_owned()]), "{found}");
        mend();
    };
    let keep = |path: &Path| (path.to_owned(), std::fs::read(path).expect("an object"));
    let restore = |(path, bytes): &(PathBuf, Vec<u8>)| std::fs::write(path, bytes).expect("back");
    let remove = |path: &Path| std::fs::remove_file(path).expect("gone");

    let (log, index) = (keep(&logs[1]), keep(&indexes[1]));
    check(false, "missing-log", &|| remove(&log.0), &|| restore(&log));
    check(false, "missing-index", &|| remove(&index.0), &|| restore(&index));
    let both = || [&log, &index].into_iter().for_each(|kept| remove(&kept.0));
    let back = || [&log, &index].into_iter().for_each(restore);
    check(false, "missing-segment", &both, &back);
    check(false, "wrong-log-size", &|| shorten(&log.0), &|| restore(&log));
    check(false, "wrong-index-size", &|| shorten(&index.0), &|| restore(&index));
    check(false, "damaged-index", &|| flip(&index.0, 40), &|| restore(&index));
    check(true, "damaged-index", &|| flip(&index.0, index.1.len() - 1), &|| restore(&index));
    check(true, "damaged-log", &|| flip(&log.0, log.1.len() / 2), &|| restore(&log));
    let other = keep(&indexes[2]);
    let swapped = || std::fs::write(&index.0, &other.1).expect("another's");
    check(false, "other-header", &swapped, &|| restore(&index));
    let meta = files(&dir.path().join("data/store"), ".meta").remove(0);
    let meta = keep(&meta);
    check(false, "damaged-meta", &|| flip(&meta.0, meta.1.len() - 1), &|| restore(&meta));
    let stray = folder.join("README.md");
    check(false, "foreign-name", &|| std::fs::write(&stray, "x").expect("stray"), &|| {
        remove(&stray)
    });
    let name = logs[1].file_name().expect("a name").to_string_lossy().into_owned();
    let again = twin(&logs[1], "ab");
    check(false, "overlap", &|| std::fs::write(&again, &log.1).expect("copy"), &|| remove(&again));
    let orphan = twin(&logs[1], "cd").with_extension("index");
    let write = || std::fs::write(&orphan, &index.1).expect("orphan");
    check(false, "unknown-object", &write, &|| remove(&orphan));
    let staged = folder.join(format!("{name}#1"));
    let write = || std::fs::write(&staged, "half").expect("staged");
    check(false, "unfinished-upload", &write, &|| remove(&staged));
    assert_eq!(run(dir.path(), "tier fsck").0, 0, "all is mended");
}

#[test]
fn garbage_collection_leaves_nothing_that_no_row_names() {
    let dir = tiered();
    let log = objects(dir.path(), ".log").remove(1);
    let name = log.file_name().expect("a name").to_string_lossy().into_owned();
    let copy = twin(&log, "ab");
    std::fs::copy(&log, &copy).expect("copy");
    std::fs::write(log.with_file_name(format!("{name}#7")), "half").expect("staged");
    let before = objects(dir.path(), "").len();
    let (code, told) = run(dir.path(), "tier gc --dry-run");
    let one = Value::from(1);
    assert_eq!((code, &told["orphans"]["count"], &told["unfinished"]["count"]), (0, &one, &one));
    assert!(copy.exists(), "a dry run removes nothing");
    assert_eq!(run(dir.path(), "tier fsck").0, 1);
    let (code, told) = run(dir.path(), "tier gc");
    assert_eq!((code, &told["orphans"]["count"]), (0, &Value::from(1)), "{told}");
    let after = objects(dir.path(), "");
    assert!(!copy.exists() && after.len() == before - 2, "{after:?}");
    assert_eq!(run(dir.path(), "tier fsck").0, 0);
    assert_eq!(run(dir.path(), "tier verify t").0, 0);
}

#[test]
fn a_deep_check_that_was_broken_off_goes_on_where_it_was() {
    let dir = tiered();
    let checkpoint = dir.path().join("data/fsck-deep.checkpoint");
    let (code, all) = run(dir.path(), "tier fsck --deep");
    assert_eq!(code, 0, "{all}");
    assert!(!checkpoint.exists(), "all was looked at");
    let segments = all["segments"].as_u64().expect("a number");

    // As it is left by one that died: two segments are known.
    let ids: BTreeSet<_> = objects(dir.path(), ".log")
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .map(|name| name[name.len() - 36..name.len() - 4].to_owned())
        .collect();
    let folders = std::fs::read_dir(dir.path().join("data/store")).expect("store");
    let mut folders =
        folders.map(|entry| entry.expect("entry").path()).filter(|path| path.is_dir());
    let cluster = folders.next().expect("one");
    let cluster = cluster.file_name().expect("a name").to_string_lossy().into_owned();
    let known: Vec<_> = ids.iter().take(2).cloned().collect();
    let text = format!("icecore fsck 1 {cluster}\n{}\n", known.join("\n"));
    std::fs::write(&checkpoint, text).expect("checkpoint");
    let (code, rest) = run(dir.path(), "tier fsck --deep");
    assert_eq!((code, &rest["known_segments"]), (0, &Value::from(2)), "{rest}");
    assert_eq!(rest["segments"].as_u64(), Some(segments - 2));
}

#[test]
fn a_running_broker_checks_and_cleans_its_store_when_it_is_asked_to() {
    let settings = [SMALL_AND_OFTEN, &["tiering.gc.min.age.ms=0"]].concat();
    let broker = tiering(&settings);
    let http = broker.http_address();
    let run = |words: &str| {
        let output = broker.command(&format!("{words} --http {http} --output json")).output();
        let output = output.expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::String(told));
        (output.status.code().expect("a code"), json)
    };
    for words in ["tier fsck", "tier fsck --deep", "tier verify t"] {
        let (code, found) = run(words);
        assert_eq!((code, &found["findings"]), (0, &Value::from(0)), "{words}: {found}");
        assert!(found["segments"].as_u64() >= Some(6), "{words}: {found}");
    }
    let (code, told) = run("tier verify nothing");
    assert!(code == 2 && told.to_string().contains("no topic nothing"), "{code} {told}");

    let log = files(&broker.store(), ".log").into_iter();
    let log = log.filter(|path| path.to_string_lossy().contains("/topics/t.")).nth(1);
    let log = log.expect("a log");
    let copy = twin(&log, "ab");
    std::fs::copy(&log, &copy).expect("copy");
    let (code, found) = run("tier fsck");
    assert_eq!((code, kinds(&found)), (1, vec!["overlap".to_owned()]), "{found}");
    let (code, told) = run("tier gc --dry-run");
    assert_eq!((code, &told["orphans"]["count"]), (0, &Value::from(1)), "{told}");
    assert!(copy.exists(), "a dry run removes nothing");
    assert_eq!(run("tier gc --min-age 1h").1["orphans"]["count"], 0, "it is young");
    let (code, told) = run("tier gc");
    assert_eq!((code, &told["orphans"]["count"]), (0, &Value::from(1)), "{told}");
    assert!(!copy.exists());
    assert_eq!(run("tier fsck --deep").0, 0);

    flip(&log, std::fs::metadata(&log).expect("an object").len() as usize / 2);
    let (code, found) = run("tier verify t");
    assert_eq!((code, kinds(&found)), (1, vec!["damaged-log".to_owned()]), "{found}");
    drop(broker.stop());
    let gone = broker_less(&http);
    assert!(gone.contains("no broker answers over HTTP"), "{gone}");
}

/// What a check says that asks where nobody is.
fn broker_less(http: &str) -> String {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
    let asked = command.args(["tier", "fsck", "--http", http]).timeout(PATIENCE).assert().code(2);
    String::from_utf8_lossy(&asked.get_output().stderr).into_owned()
}

#[test]
fn a_lost_disk_is_filled_from_the_command_line() {
    let dir = tiered();
    let data = dir.path().join("data");
    let (code, refused) = run(dir.path(), "tier restore");
    assert_eq!(code, 1);
    assert!(refused.as_str().expect("words").contains("is not empty"), "{refused}");
    std::fs::rename(data.join("store"), dir.path().join("kept")).expect("the store stays");
    std::fs::remove_dir_all(&data).expect("the disk is lost");
    let store = format!("file://{}", dir.path().join("kept").display());
    let (code, report) = run(dir.path(), &format!("tier restore --store {store}"));
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["topics"][0]["name"], "t");
    let store = format!("--store {store}");
    let (code, found) = run(dir.path(), &format!("tier fsck --deep {store}"));
    assert_eq!(code, 0, "{found}");
    assert_eq!(run(dir.path(), &format!("tier verify t {store}")).0, 0);
}

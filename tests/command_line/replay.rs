//! `icecore replay`: what a plan says is what a run does, and a run that is killed at any moment
//! ends with every record once.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::broker::{Broker, interrupt, wait_for};

/// Small segments that leave the disk at once. Replays give way to nobody: how busy the machine is
/// that runs the tests is no matter of theirs.
const SMALL: &[&str] = &[
    "tiering.replay.slowdown.max.percent=-1",
    "log.segment.bytes=1MiB",
    "log.local.retention.bytes=1",
    "log.retention.check.interval.ms=50",
    "remote.log.manager.task.interval.ms=50",
    "cache.bytes=128MiB",
];

/// A topic of three partitions with so many lines of about 100 bytes, most of it off the disk.
fn history(broker: &Broker, lines: u32) {
    broker.run("topic create t --partitions 3");
    let text: String = (0..lines).map(|n| format!("key {n}=>{n:0>90}\n")).collect();
    broker.produce("t --key-separator =>", &text);
    wait_for("a freed disk", || {
        let status = broker.json("tier status t");
        let partitions = status.as_array().expect("partitions");
        let freed = |partition: &Value| {
            partition["pending"]["segments"] == 0 && partition["local"]["segments"] == 1
        };
        partitions.iter().all(freed).then_some(())
    });
}

/// GET requests that readers caused, and bytes that came.
fn fetched(broker: &Broker) -> (u64, u64) {
    let replays = broker.page("/v1/replays");
    let number = |name: &str| replays[name].as_u64().expect(name);
    (number("index_gets") + number("log_gets"), number("fetched_bytes"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn checkpoint(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// The records of a file of JSON lines, by partition and in order.
fn records(text: &str) -> BTreeMap<u64, Vec<Value>> {
    let mut records: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).expect("a whole line");
        records.entry(number(&record["partition"])).or_default().push(record);
    }
    records
}

/// All but what a copy in another topic has of its own.
fn same_everywhere(records: &BTreeMap<u64, Vec<Value>>) -> BTreeMap<u64, Vec<[Value; 4]>> {
    let fields = |record: &Value| {
        ["key", "value", "timestamp_ms", "headers"].map(|name| record[name].clone())
    };
    records.iter().map(|(number, of)| (*number, of.iter().map(fields).collect())).collect()
}

/// Runs a replay again and again, killing it each time once it has come further, until it ends by
/// itself; how often it was killed.
fn kill_until_it_ends(broker: &Broker, words: &str, notes: &Path) -> u32 {
    let reached = || checkpoint(notes).map_or(0, |told| told["records"].as_u64().unwrap_or(0));
    let mut kills = 0;
    loop {
        let (before, mut replay) = (reached(), broker.spawn(words));
        let ended = wait_for("a replay that comes further", || match replay.try_wait() {
            Ok(Some(status)) => Some(Some(status)),
            _ => (reached() > before).then_some(None),
        });
        if let Some(status) = ended {
            assert!(status.success(), "{}", errors(replay));
            return kills;
        }
        interrupt(&replay, Signal::KILL);
        replay.wait().expect("wait");
        kills += 1;
    }
}

fn errors(child: Child) -> String {
    let done = child.wait_with_output().expect("wait");
    String::from_utf8_lossy(&done.stderr).into_owned()
}

struct Places {
    dir: tempfile::TempDir,
}

impl Places {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("dir") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[test]
fn a_plan_is_what_the_run_then_does() {
    let (broker, places) = (Broker::start_on("memory://", SMALL), Places::new());
    history(&broker, 150_000);
    let plan = broker.json("replay plan t --bandwidth 100MiB/s");
    let total = &plan["total"];
    assert_eq!((&plan["reads_in_place"], &total["exact"]), (&false.into(), &true.into()));
    assert!(number(&total["segments"]) > 12, "{total}");
    assert_eq!(number(&total["cached_bytes"]), 0, "{total}");
    assert_eq!(
        number(&total["bytes"]),
        number(&total["local_bytes"]) + number(&total["remote_bytes"])
    );
    assert!(plan["price"]["total"].as_f64() > Some(0.0), "{plan}");

    let (notes, before) = (places.at("notes"), fetched(&broker));
    let to = places.at("history");
    let words = format!("replay run t --to-file {} --checkpoint {}", to.display(), notes.display());
    broker.run(&words);
    let after = fetched(&broker);
    let ran = checkpoint(&notes).expect("a checkpoint");
    assert_eq!((&ran["done"], number(&ran["records"])), (&true.into(), 150_000));
    assert_eq!(number(&ran["bytes"]), number(&total["bytes"]), "bytes are what was planned");
    let (gets, planned) = (after.0 - before.0, number(&total["gets"]));
    assert!(20 * gets.abs_diff(planned) <= gets, "{gets} requests, {planned} were planned");
    let indexes = after.1 - before.1 - number(&total["fetched_bytes"]);
    assert!(indexes < 1 << 20, "no log byte beyond the plan: {indexes} bytes of indexes");

    let again = broker.json("replay plan t");
    assert_eq!(again["total"]["gets"], 0, "everything is in the cache now: {again}");
    assert_eq!(again["total"]["cached_bytes"], total["remote_bytes"]);
    assert_eq!(broker.run("replay run t --to-stdout").lines().count(), 150_000);
    assert_eq!(fetched(&broker).0, after.0, "no request for what the cache holds");
}

#[test]
fn the_bytes_of_a_part_are_exact_where_the_disk_knows_and_about_right_elsewhere() {
    let (broker, places) = (Broker::start(SMALL), Places::new());
    history(&broker, 100_000);
    broker.run("topic create local --partitions 1 --config remote.storage.enable=false");
    for first in 0..4 {
        let lines = (0..1000).map(|n| format!("{first} {n}\n")).collect::<String>();
        broker.produce("local", &lines);
    }
    let run = |topic: &str, range: &str, name: &str| {
        let (to, notes) = (places.at(name), places.at(&format!("{name}.notes")));
        let words = format!("replay run {topic} {range} --to-file {} --checkpoint", to.display());
        broker.run(&format!("{words} {}", notes.display()));
        checkpoint(&notes).expect("a checkpoint")
    };
    for range in ["--from 10 --to 20", "--from 500 --to 2500", "--from 1000 --to 2000"] {
        let plan = broker.json(&format!("replay plan local {range}"));
        assert_eq!(plan["total"]["exact"], true);
        let ran = run("local", range, &range.replace([' ', '-'], ""));
        assert_eq!(ran["bytes"], plan["total"]["bytes"], "{range}");
    }
    let range = "--partitions 1 --from 100 --to 20000";
    let plan = broker.json(&format!("replay plan t {range}"));
    assert_eq!(plan["reads_in_place"], true, "the store is a folder");
    assert_eq!(plan["total"]["exact"], false, "it begins within a segment");
    let ran = run("t", range, "part");
    assert_eq!(number(&ran["records"]), 19_900);
    let (planned, got) = (number(&plan["total"]["bytes"]), number(&ran["bytes"]));
    // A batch of 256 KiB at each end is read whole.
    assert!(planned.abs_diff(got) < 600 << 10, "{planned} planned, {got} read");
    let table = broker.run(&format!("replay plan t {range} --bandwidth 1MiB/s"));
    for words in ["PARTITION", "about", "read in place", "as given", "USD"] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn a_plan_is_no_faster_than_the_rates_that_bound_its_replay_and_says_which_one_does() {
    let broker = Broker::start(SMALL);
    history(&broker, 60_000);
    let plan = || broker.json("replay plan t --bandwidth 200MiB/s");
    let free = plan();
    assert_eq!((&free["rates"], &free["bound_by"]), (&json!([]), &Value::Null));
    let remote = number(&free["total"]["remote_bytes"]);
    assert!(remote > 3 << 20, "{free}");

    let fetches = "--config tiering.fetch.max.bytes.per.second";
    broker.run(&format!("policy set thrifty --topics t {fetches}=1MiB"));
    let bounded = plan();
    let bound = &bounded["bound_by"];
    assert_eq!((&bound["from"], &bound["by"]), (&json!("policy"), &json!("thrifty")));
    assert_eq!(bound["bytes_per_second"], 1 << 20);
    let seconds = |plan: &Value| plan["seconds"].as_f64().expect("a time");
    let least = |bytes_a_second: u64| remote as f64 / bytes_a_second as f64;
    assert!(seconds(&bounded) >= least(1 << 20), "{bounded}");
    assert!(seconds(&bounded) < least(1 << 20) + 1.0, "what is local is not bounded: {bounded}");
    let text = broker.run("replay plan t --bandwidth 200MiB/s");
    let said = "tiering.fetch.max.bytes.per.second of policy thrifty bounds it to 1.00 MiB/s, and not \
                200.00 MiB/s, as given\n";
    assert!(text.contains(said), "{text}");
    // The first MiB is let through and not waited for.
    let began = Instant::now();
    broker.run("replay run t --to-stdout");
    let took = began.elapsed().as_secs_f64();
    assert!(took > seconds(&bounded) - 1.2, "{took} s, and {bounded}");

    broker.run(&format!("topic alter t {fetches}=512KiB"));
    let own = plan();
    assert_eq!(own["bound_by"]["from"], "topic");
    assert!(seconds(&own) >= least(1 << 19), "{own}");
    let slower = broker.json("replay plan t --bandwidth 1KiB/s");
    assert_eq!(slower["bound_by"], Value::Null, "it is slower by itself");
}

#[test]
fn a_plan_is_no_faster_than_the_brokers_rate_for_what_has_to_be_fetched() {
    let rate = "remote.log.manager.fetch.max.bytes.per.second";
    let settings = |value: &str| [SMALL, &[&*format!("{rate}={value}")]].concat().join(" ");
    let words = settings("2MiB");
    let broker = Broker::start_on("memory://", &words.split(' ').collect::<Vec<_>>());
    history(&broker, 60_000);
    let plan = broker.json("replay plan t --bandwidth 200MiB/s");
    assert_eq!(plan["bound_by"]["setting"], rate);
    assert_eq!(plan["bound_by"]["bytes"], plan["total"]["fetched_bytes"]);
    let least = number(&plan["total"]["fetched_bytes"]) as f64 / f64::from(2 << 20);
    assert!(plan["seconds"].as_f64() >= Some(least), "{plan}");
    broker.run("replay warm t");
    let plan = broker.json("replay plan t --bandwidth 200MiB/s");
    assert_eq!(plan["bound_by"], Value::Null, "nothing has to be fetched: {plan}");

    let words = settings("1MiB");
    let folder = Broker::start(&words.split(' ').collect::<Vec<_>>());
    history(&folder, 60_000);
    let plan = folder.json("replay plan t --bandwidth 200MiB/s");
    assert_eq!(plan["bound_by"]["setting"], rate);
    assert_eq!(plan["bound_by"]["bytes"], plan["total"]["remote_bytes"], "it is read in place");
    let text = folder.run("replay plan t --bandwidth 200MiB/s");
    assert!(text.contains(&format!("{rate} of the broker bounds it to 1.00 MiB/s")), "{text}");
    let unknown = folder.run("replay plan t");
    assert!(unknown.contains("at least") && unknown.contains("give --bandwidth"), "{unknown}");
}

#[test]
fn a_file_has_every_record_once_whenever_its_replay_is_killed() {
    let (broker, places) = (Broker::start(SMALL), Places::new());
    history(&broker, 60_000);
    let (to, notes) = (places.at("history"), places.at("notes"));
    let words = format!(
        "replay run t --to-file {} --checkpoint {} --rate-limit 1500KiB/s --parallel 2",
        to.display(),
        notes.display()
    );
    let kills = kill_until_it_ends(&broker, &words, &notes);
    assert!(kills >= 2, "it was killed {kills} times");
    let replayed = std::fs::read_to_string(&to).expect("the file");
    let consumed = broker.run("consume t --to end --output json");
    assert_eq!(records(&replayed), records(&consumed));
    let told = broker.command(&words).assert().success();
    let told = String::from_utf8_lossy(&told.get_output().stderr).into_owned();
    assert!(told.contains("all 60000 records are there"), "{told}");
    assert_eq!(std::fs::read_to_string(&to).expect("the file"), replayed);
}

#[test]
fn a_topic_has_every_record_once_whenever_its_replay_is_killed() {
    let (broker, places) = (Broker::start(SMALL), Places::new());
    history(&broker, 60_000);
    broker.run("topic create copy --partitions 4 --config remote.storage.enable=false");
    broker.produce("copy --partition 0", "somebody else's\n");
    let notes = places.at("notes");
    let words = format!(
        "replay run t --to-topic copy --checkpoint {} --rate-limit 1500KiB/s --parallel 2",
        notes.display()
    );
    let kills = kill_until_it_ends(&broker, &words, &notes);
    assert!(kills >= 2, "it was killed {kills} times");
    let told = checkpoint(&notes).expect("a checkpoint");
    assert_eq!((number(&told["records"]), &told["done"]), (60_000, &true.into()));
    let mut copied = records(&broker.run("consume copy --to end --output json"));
    let others = copied.get_mut(&0).expect("partition 0").remove(0);
    assert_eq!(others["value"], "somebody else's");
    let source = records(&broker.run("consume t --to end --output json"));
    assert_eq!(same_everywhere(&copied), same_everywhere(&source));
}

#[test]
fn standard_output_has_every_record_after_a_kill_and_it_is_told_that_the_last_ones_come_again() {
    let (broker, places) = (Broker::start(SMALL), Places::new());
    history(&broker, 30_000);
    let notes = places.at("notes");
    let words =
        format!("replay run t --to-stdout --checkpoint {} --rate-limit 1500KiB/s", notes.display());
    let mut replay = broker.spawn(&words);
    let mut output = replay.stdout.take().expect("standard output");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).expect("text");
        text
    });
    wait_for("a replay that comes further", || {
        checkpoint(&notes).filter(|told| number(&told["records"]) > 0)
    });
    interrupt(&replay, Signal::KILL);
    replay.wait().expect("wait");
    // The line at which it was killed may be cut.
    let before = reader.join().expect("a reader");
    let whole = before.rfind('\n').map_or(0, |end| end + 1);

    let done = broker.command(&words).assert().success();
    let done = done.get_output();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(told.contains("written again") && told.contains(">>"), "{told}");
    let after = String::from_utf8_lossy(&done.stdout);
    let mut given = BTreeMap::new();
    for (partition, of) in records(&[&before[..whole], &after].concat()) {
        for record in of {
            let place = (partition, number(&record["offset"]));
            let same = given.insert(place, record.clone()).is_none_or(|twice| twice == record);
            assert!(same, "{record}");
        }
    }
    let consumed = records(&broker.run("consume t --to end --output json"));
    assert_eq!(given.len(), 30_000);
    assert!(given.into_values().eq(consumed.into_values().flatten()), "every record, as it is");
}

#[test]
fn partitions_are_chosen_and_read_side_by_side() {
    let broker = Broker::start(SMALL);
    history(&broker, 30_000);
    let all = records(&broker.run("consume t --to end --output json"));
    for parallel in [1, 4] {
        let words = format!("replay run t --to-stdout --partitions 0,2 --parallel {parallel}");
        let some = records(&broker.run(&words));
        assert_eq!(some.keys().collect::<Vec<_>>(), [&0, &2]);
        assert!(some.iter().all(|(number, of)| all[number] == *of), "{parallel} at a time");
    }
    let lines = broker.run("replay run t --to-stdout --output lines --from 5 --to 7");
    assert_eq!(lines.lines().count(), 6, "two of each partition: {lines}");
    assert!(lines.lines().all(|line| line.len() == 90), "values alone");
}

#[test]
fn who_replays_is_shown_with_its_group() {
    let broker = Broker::start(SMALL);
    history(&broker, 60_000);
    broker.run("consume t --group drill --to end --max 50000");
    let status = broker.json("tier status t");
    let reads = |partition: &Value| {
        let consumer = &partition["consumers"][0];
        assert_eq!(
            (&consumer["group"], &consumer["client_id"]),
            (&"drill".into(), &"icecore-cli".into())
        );
        assert_eq!(consumer["client_host"], "127.0.0.1");
        assert!(consumer["time_ms"].is_u64() && number(&consumer["bytes"]) > 0, "{consumer}");
        assert!(number(&consumer["end_offset"]) >= number(&consumer["offset"]));
    };
    status.as_array().expect("partitions").iter().for_each(reads);
    let shown = broker.run("tier status t");
    assert!(shown.contains("READER") && shown.contains("drill"), "{shown}");
    let line = "icecore_replay_behind_offsets{reader=\"drill\",topic=\"t\",partition=\"1\"}";
    wait_for("the reader's line", || broker.text("/metrics").contains(line).then_some(()));
    assert!(broker.text("/metrics").contains("icecore_replay_readers 3\n"));
}

#[test]
fn a_warm_range_is_read_without_a_request() {
    let broker = Broker::start_on("memory://", SMALL);
    history(&broker, 100_000);
    let told = broker.json("replay warm t");
    let plan = broker.json("replay plan t");
    assert_eq!(told["bytes"], plan["total"]["remote_bytes"]);
    assert_eq!((&plan["total"]["gets"], &plan["total"]["fetched_bytes"]), (&0.into(), &0.into()));
    let before = fetched(&broker);
    assert_eq!(broker.run("consume t --to end").lines().count(), 100_000);
    assert_eq!(fetched(&broker), before);
}

#[test]
fn what_cannot_be_warmed_is_said() {
    let folder = Broker::start(SMALL);
    folder.run("topic create t --partitions 1");
    let told = folder.refused("replay warm t");
    assert!(told.contains("read in place"), "{told}");
    let mut small = SMALL.to_vec();
    small.push("cache.bytes=2MiB");
    let broker = Broker::start_on("memory://", &small);
    history(&broker, 60_000);
    let told = broker.refused("replay warm t");
    assert!(told.contains("narrow the range, or give the broker a larger cache.bytes"), "{told}");
}

#[test]
fn wrong_arguments_are_refused_in_words() {
    let (broker, places) = (Broker::start(&["num.partitions=2"]), Places::new());
    broker.run("topic create t");
    broker.run("topic create one --partitions 1");
    broker.produce("t --partition 0", "a record\n");
    let taken = places.at("taken");
    std::fs::write(&taken, "mine").expect("write");
    let table = places.at("prices.toml");
    std::fs::write(&table, "get_per_1001 = 1").expect("write");
    for (words, told) in [
        ("plan none".to_owned(), "topic none does not exist"),
        ("plan t --partitions 0,7".to_owned(), "has no partition 7"),
        ("plan t --from 99".to_owned(), "offset 99 is not in t-0"),
        ("plan t --price gets=1".to_owned(), "use currency, get_per_1000"),
        (format!("plan t --price-table {}", table.display()), "is no price table"),
        ("run t --to-topic t".to_owned(), "is the topic that is replayed"),
        ("run t --to-topic none".to_owned(), "icecore topic create"),
        ("run t --to-topic one".to_owned(), "has 1 partitions, and the replay needs 2"),
        (format!("run t --to-file {}", taken.display()), "holds something already"),
        ("run t --to-stdout --partitions 5".to_owned(), "has no partition 5"),
        (format!("run t --to-stdout --checkpoint {}", taken.display()), "is no checkpoint"),
    ] {
        let refused = broker.refused(&format!("replay {words}"));
        assert!(refused.contains(told), "{words}: {refused}");
    }
    for words in [
        "run t",
        "run t --to-stdout --to-topic one",
        "run t --to-stdout --to-broker h:1",
        "run t --to-topic one --output json",
        "run t --to-stdout --rate-limit fast",
        "plan t --partitions 3-1",
        "plan t --bandwidth 0",
    ] {
        broker.command(&format!("replay {words}")).assert().code(2);
    }
    assert_eq!(std::fs::read_to_string(&taken).expect("read"), "mine");
}

#[test]
fn a_checkpoint_of_another_replay_is_refused() {
    let (broker, places) = (Broker::start(&["num.partitions=1"]), Places::new());
    broker.run("topic create t");
    broker.produce("t", "one\n");
    let (to, notes) = (places.at("f"), places.at("notes"));
    let run = |what: &str| format!("replay run {what} --checkpoint {}", notes.display());
    broker.run(&run(&format!("t --to-file {}", to.display())));
    let told = broker.refused(&run("t --to-stdout"));
    assert!(told.contains("the checkpoint is of a replay of t to the file"), "{told}");
    broker.run("topic delete t");
    broker.run("topic create t");
    let told = broker.refused(&run(&format!("t --to-file {}", to.display())));
    assert!(told.contains("made anew"), "{told}");
}

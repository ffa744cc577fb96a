//! `icecore policy`: which setting of which policy counts, what a change does to topics that are there,
//! and that a dry run tells it. `docs/POLICIES.md` is the table of it.

use std::path::Path;

use serde_json::{Value, json};

use crate::broker::{Broker, PATIENCE, wait_for};

/// Small segments, and an upkeep that comes round all the time.
const SMALL_AND_OFTEN: &[&str] = &[
    "num.partitions=1",
    "log.segment.bytes=1MiB",
    "log.retention.check.interval.ms=50",
    "remote.log.manager.task.interval.ms=50",
];

/// A folder with a configuration file.
fn configured(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("dir");
    std::fs::write(dir.path().join("icecore.toml"), text).expect("written");
    dir
}

/// Produces some segments to a topic.
fn fill(broker: &Broker, topic: &str) {
    let lines: String = (0..300_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.produce(topic, &lines);
}

/// Where the bytes of a topic's only partition lie.
fn status(broker: &Broker, topic: &str) -> Value {
    broker.json(&format!("tier status {topic}"))[0].clone()
}

/// Waits until this much of a topic is at a place; tells what was there instead.
fn comes_to(broker: &Broker, topic: &str, place: &str, expected: &Value) {
    wait_for(&format!("{expected} at {place} of {topic}"), || {
        (status(broker, topic)[place] == *expected).then_some(())
    });
}

fn uploaded(broker: &Broker, topic: &str) -> Value {
    wait_for("an upload of all that is sealed", || {
        let status = status(broker, topic);
        let done = status["pending"]["segments"] == 0 && status["remote"]["segments"] != 0;
        done.then_some(status)
    })
}

/// The value of a setting and where it comes from, as `explain` tells it.
fn explained(broker: &Broker, topic: &str, setting: &str) -> (String, String) {
    let told = broker.json(&format!("policy explain {topic}"));
    let all = told["settings"].as_array().expect("settings");
    let found = all.iter().find(|one| one["name"] == setting).expect("the setting");
    let place = match found["by"].as_str() {
        Some(by) => format!("{} {by}", found["from"].as_str().expect("a place")),
        None => found["from"].as_str().expect("a place").to_owned(),
    };
    (found["value"].as_str().expect("a value").to_owned(), place)
}

/// What is there without a part of it.
fn without(all: &Value, part: &Value) -> Value {
    let number = |value: &Value, name: &str| value[name].as_u64().expect("a number");
    let left = |name: &str| number(all, name) - number(part, name);
    json!({ "segments": left("segments"), "bytes": left("bytes") })
}

#[test]
fn a_topics_own_setting_counts_before_its_policys_and_that_before_the_brokers() {
    let file = "[settings]\n\"log.retention.ms\" = \"1h\"\n\n[[policy]]\nname = \"long\"\n\
                topics = [\"orders-*\"]\n\
                settings = { \"retention.ms\" = \"2h\", \"tiering.max.upload.lag.ms\" = \"10m\" }\n";
    let broker = Broker::start_in(configured(file), &[]);
    broker.run("topic create orders-eu");
    broker.run("topic create other");
    let of = |topic: &str| explained(&broker, topic, "retention.ms");
    let told = |value: &str, place: &str| (value.to_owned(), place.to_owned());
    assert_eq!(of("other"), told("3600000", "broker log.retention.ms"));
    assert_eq!(of("orders-eu"), told("7200000", "policy long"));
    assert_eq!(of("orders-not-there"), told("7200000", "policy long"), "what it would have");

    // What is set at runtime hides the file's, and is found by DescribeConfigs as well.
    broker.run("policy set long --topics orders-* --config retention.ms=3h");
    assert_eq!(of("orders-eu"), told("10800000", "policy long"));
    let lag = explained(&broker, "orders-eu", "tiering.max.upload.lag.ms");
    assert_eq!(lag, told("-1", "default"), "a policy is had whole");
    let described = broker.json("topic describe orders-eu --all");
    assert_eq!(described["settings"]["retention.ms"], "10800000");
    assert_eq!(broker.json("topic describe orders-eu")["settings"], json!({}), "none of its own");
    let listed = broker.json("policy list");
    assert_eq!(listed[0]["hides_file"], true);
    assert_eq!(listed[0]["used_by"], json!(["orders-eu"]));

    broker.run("topic alter orders-eu --config retention.ms=60000");
    assert_eq!(of("orders-eu"), told("60000", "topic"));
    let text = broker.run("policy explain orders-eu");
    assert!(text.contains("has policy long (set), by pattern orders-*, priority 0"), "{text}");
    let line = text.lines().find(|line| line.starts_with("retention.ms ")).expect("a line");
    let words: Vec<_> = line.split_whitespace().collect();
    let expected = "retention.ms 60000 (1m) topic 10800000 (3h) by policy long, 3600000 (1h) by \
                    broker's log.retention.ms, 604800000 (7d) by default";
    assert_eq!(words.join(" "), expected);
    assert!(text.contains("\nsegment.bytes "), "every setting, also one that nobody gave: {text}");

    broker.run("topic alter orders-eu --config retention.ms=");
    broker.run("policy delete long");
    assert_eq!(of("orders-eu"), told("7200000", "policy long"), "the file's counts again");
    let refused = broker.refused("policy delete long");
    assert!(refused.contains("stands in the configuration file"), "{refused}");
    let refused = broker.refused("policy delete nothing");
    assert!(refused.contains("there is no policy nothing"), "{refused}");
}

#[test]
fn a_policy_gives_topics_their_class_of_the_read_cache_and_takes_no_other_word_for_one() {
    let broker = Broker::start(&[]);
    broker.run("topic create t");
    let class = || explained(&broker, "t", "tiering.cache.class");
    let told = |value: &str, place: &str| (value.to_owned(), place.to_owned());
    assert_eq!(class(), told("normal", "default"));
    broker.run("policy set hot --topics t* --config tiering.cache.class=keep");
    assert_eq!(class(), told("keep", "policy hot"));
    broker.run("topic alter t --config tiering.cache.class=pass");
    assert_eq!(class(), told("pass", "topic"));
    for words in ["policy set hot --topics t*", "topic alter t"] {
        let refused = broker.refused(&format!("{words} --config tiering.cache.class=hold"));
        assert!(refused.contains("one of normal, keep, pass"), "{refused}");
    }
    broker.run("topic alter t --config tiering.cache.class=");
    assert_eq!(class(), told("keep", "policy hot"), "as it was before");
}

#[test]
fn of_several_policies_the_priority_counts_then_the_pattern_then_the_name() {
    let broker = Broker::start(&[]);
    let set = |name: &str, rest: &str| {
        broker.run(&format!("policy set {name} --config segment.ms=60000 {rest}"))
    };
    set("all", "--topics *");
    set("b-orders", "--topics orders-*");
    set("a-orders", "--topics orders-*");
    set("eu", "--topics orders-e? --topics x");
    let has = || broker.json("policy explain orders-eu")["policy"]["name"].clone();
    assert_eq!(has(), "eu");
    broker.run("policy delete eu");
    assert_eq!(has(), "a-orders");
    set("all", "--topics * --priority 1");
    let told = broker.json("policy explain orders-eu");
    assert_eq!(told["policy"]["name"], "all");
    assert_eq!(told["passed_over"][0]["name"], "a-orders");
    assert_eq!(told["passed_over"][1]["name"], "b-orders");
    set("all", "--topics * --priority -1");
    assert_eq!(has(), "a-orders");
    let internal = broker.json("policy explain __consumer_offsets");
    assert_eq!(internal["policy"], Value::Null, "what brokers keep for themselves has none");
    let table = broker.run("policy list");
    assert!(table.starts_with("POLICY") && table.lines().count() == 4, "{table}");
}

#[test]
fn a_policy_counts_for_topics_that_are_there_and_for_those_that_are_made() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create there");
    fill(&broker, "there");
    let before = uploaded(&broker, "there");
    assert_eq!(before["local_log_start_offset"], 0, "nothing leaves the disk by itself");
    broker.run("policy set lean --topics * --config local.retention.bytes=0");
    broker.run("topic create made");
    fill(&broker, "made");
    for topic in ["there", "made"] {
        wait_for("a freed disk", || {
            (status(&broker, topic)["local"]["segments"] == 1).then_some(())
        });
        assert_eq!(broker.run(&format!("consume {topic} --max 1")), "0 of these lines\n");
    }
    // And what it takes away with it.
    broker.run("policy delete lean");
    assert_eq!(explained(&broker, "there", "local.retention.bytes").1, "default");
}

#[test]
fn what_a_dry_run_tells_of_the_local_disk_is_what_then_happens() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t");
    fill(&broker, "t");
    let before = uploaded(&broker, "t");
    let words = "policy set lean --topics t --config local.retention.bytes=2MiB";
    let told = broker.json(&format!("{words} --dry-run"));
    assert_eq!(told["dry_run"], true);
    let topic = &told["topics"][0];
    assert_eq!((&topic["topic"], &topic["policy_after"]), (&json!("t"), &json!("lean")));
    assert_eq!(topic["settings"][0]["name"], "local.retention.bytes");
    let freed = &topic["outlook_after"]["freed_locally"];
    assert!(freed["segments"].as_u64() > Some(1), "{told}");
    assert_eq!(topic["outlook_before"]["freed_locally"]["segments"], 0);
    for other in ["uploaded", "deleted_remotely", "deleted_locally"] {
        assert_eq!(topic["outlook_after"][other]["segments"], 0, "{other}: {told}");
    }
    assert!(broker.json("policy list").as_array().is_some_and(Vec::is_empty), "nothing was set");
    assert_eq!(status(&broker, "t")["local"], before["local"], "and nothing happened");
    let text = broker.run(&format!("{words} --dry-run"));
    assert!(text.contains("nothing was changed") && text.contains("FREED LOCALLY"), "{text}");
    assert!(text.contains(" 2097152 (2MiB)\n"), "{text}");

    broker.run(words);
    comes_to(&broker, "t", "local", &without(&before["local"], freed));
    assert_eq!(status(&broker, "t")["remote"], before["remote"]);
}

#[test]
fn what_a_dry_run_tells_of_the_store_is_what_then_happens() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t");
    fill(&broker, "t");
    let before = uploaded(&broker, "t");
    let words = "policy set short --topics t --config retention.bytes=3MiB";
    let told = broker.json(&format!("{words} --dry-run"));
    let outlook = &told["topics"][0]["outlook_after"];
    let deleted = &outlook["deleted_remotely"];
    assert!(deleted["segments"].as_u64() > Some(1), "{told}");
    assert_eq!(&outlook["freed_locally"], deleted, "they lie on the disk as well");
    broker.run(words);
    comes_to(&broker, "t", "remote", &without(&before["remote"], deleted));
    comes_to(&broker, "t", "local", &without(&before["local"], deleted));
    assert!(status(&broker, "t")["log_start_offset"].as_i64() > Some(0));
}

#[test]
fn what_a_dry_run_tells_of_uploads_is_what_then_happens() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("policy set held --topics t --config remote.log.copy.disable=true");
    broker.run("topic create t");
    fill(&broker, "t");
    let before = status(&broker, "t");
    let told = broker.json("policy delete held --dry-run");
    let up = &told["topics"][0]["outlook_after"]["uploaded"];
    assert_eq!(up, &before["pending"], "{told}");
    assert_eq!(told["topics"][0]["outlook_before"]["uploaded"]["segments"], 0, "held back");
    assert_eq!(before["remote"]["segments"], 0);
    // With a bound on the lag, what is not sealed yet goes up as well.
    let words = "policy set held --topics t --config tiering.max.upload.lag.ms=0";
    let told = broker.json(&format!("{words} --dry-run"));
    let all = &told["topics"][0]["outlook_after"]["uploaded"];
    assert_eq!(all, &before["local"], "{told}");
    broker.run(words);
    comes_to(&broker, "t", "remote", all);
}

#[test]
fn what_a_dry_run_tells_of_a_topic_that_does_not_tier_is_what_then_happens() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t --config remote.storage.enable=false");
    fill(&broker, "t");
    let before = status(&broker, "t");
    let words = "policy set short --topics t --config retention.bytes=2MiB";
    let told = broker.json(&format!("{words} --dry-run"));
    let deleted = &told["topics"][0]["outlook_after"]["deleted_locally"];
    assert!(deleted["segments"].as_u64() > Some(1), "{told}");
    broker.run(words);
    comes_to(&broker, "t", "local", &without(&before["local"], deleted));
}

#[test]
fn what_a_dry_run_tells_of_a_topic_that_uploads_nothing_is_what_then_happens() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    let held = "policy set held --topics t --config remote.log.copy.disable=true";
    broker.run(held);
    broker.run("topic create t");
    fill(&broker, "t");
    let before = status(&broker, "t");
    let words = format!("{held} --config retention.bytes=2MiB");
    let told = broker.json(&format!("{words} --dry-run"));
    let deleted = &told["topics"][0]["outlook_after"]["deleted_locally"];
    assert!(deleted["segments"].as_u64() > Some(1), "{told}");
    broker.run(&words);
    comes_to(&broker, "t", "local", &without(&before["local"], deleted));
    assert!(status(&broker, "t")["log_start_offset"].as_i64() > Some(0));
}

#[test]
fn a_policy_that_is_set_again_says_which_settings_it_has_no_more() {
    let broker = Broker::start(&[]);
    // Also one that no topic has.
    let all = "--config retention.ms=7d --config segment.ms=1h --config tiering.cache.class=keep";
    assert!(!broker.run(&format!("policy set p --topics t {all}")).contains("no more"));
    let words = "policy set p --topics t --config segment.ms=2h";
    let told = broker.json(&format!("{words} --dry-run"));
    let dropped = json!({ "retention.ms": "604800000", "tiering.cache.class": "keep" });
    assert_eq!(told["dropped"], dropped);
    let line = "it had, and has no more, since a policy is set whole: retention.ms=604800000 (7d), \
                tiering.cache.class=keep\n";
    for words in [format!("{words} --dry-run"), words.to_owned()] {
        let text = broker.run(&words);
        assert!(text.contains(line), "{words}: {text}");
    }
    let again = broker.json(words);
    assert_eq!(again["dropped"], json!({}), "it is as it was");
}

#[test]
fn a_setting_without_a_value_is_refused_with_what_to_do() {
    let broker = Broker::start(&[]);
    broker.run("policy set p --topics t --config retention.ms=7d --config segment.ms=1h");
    let told =
        broker.refused("policy set p --topics t --config retention.ms= --config segment.ms=1h");
    let said = "setting retention.ms is given no value (--config retention.ms=): give it one, or leave it \
                out to take it out of the policy";
    assert!(told.contains(said), "{told}");
    let told = broker.refused("topic create t --config retention.ms=");
    assert!(
        told.contains("retention.ms is given no value: it takes a number of millisec"),
        "{told}"
    );
    let listed = broker.json("policy list");
    assert_eq!(listed[0]["settings"]["retention.ms"], "604800000", "nothing was changed");
}

#[test]
fn a_policy_that_is_set_names_the_topics_whose_own_settings_count_before_it() {
    let broker = Broker::start(&[]);
    broker.run("topic create own --config retention.ms=1h");
    broker.run("topic create same --config retention.ms=7200000 --config segment.ms=1m");
    broker.run("topic create plain");
    broker.run("topic create other --config retention.ms=1h");
    broker.run("policy set closer --topics other --config retention.ms=5h");
    let words = "policy set p --topics * --config retention.ms=2h --config segment.ms=30m";
    let expected = json!({ "count": 2, "first": [
        { "topic": "own", "setting": "retention.ms", "own": "3600000", "policy": "7200000" },
        { "topic": "same", "setting": "segment.ms", "own": "60000", "policy": "1800000" },
    ] });
    let told = broker.json(&format!("{words} --dry-run"));
    assert_eq!(told["overruled"], expected);
    let text = broker.run(&format!("{words} --dry-run"));
    let rows = |text: &str| -> Vec<Vec<String>> {
        let below = text.split("not in force").nth(1).expect("what is not in force");
        let rows = below.lines().skip(2).take(2);
        rows.map(|row| row.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let expected = ["own", "retention.ms", "3600000", "(1h)", "7200000", "(2h)"];
    assert_eq!(rows(&text)[0], expected, "{text}");
    let set = broker.run(words);
    assert_eq!(rows(&set), rows(&text), "the real one says the same: {set}");
    assert_eq!(broker.json("policy delete p")["overruled"]["count"], 0);
}

#[test]
fn a_policy_names_no_more_than_twenty_settings_that_count_before_it() {
    let broker = Broker::start(&[]);
    for number in 10..35 {
        broker.run(&format!("topic create t{number} --config retention.ms=1h"));
    }
    let words = "policy set p --topics t* --config retention.ms=2h --dry-run";
    let told = broker.json(words);
    assert_eq!(told["overruled"]["count"], 25);
    let first = told["overruled"]["first"].as_array().expect("an array");
    assert_eq!((first.len(), &first[19]["topic"]), (20, &json!("t29")));
    let text = broker.run(words);
    assert!(text.contains("\nand 5 more\n"), "{text}");
}

#[test]
fn a_change_that_one_topic_cannot_take_is_refused_for_all() {
    let broker = Broker::start(&[]);
    broker.run("topic create short --config retention.ms=60000");
    broker.run("topic create plain");
    for (words, said) in [
        ("set p --topics * --config local.retention.ms=1h", "short: local.retention.ms is 3600000"),
        (
            "set p --topics * --config remote.storage.enable=false",
            "remote.log.delete.on.disable=true",
        ),
        ("set p --topics * --config retention.msec=1", "did you mean retention.ms?"),
        ("set p --topics * --config segment.index.bytes=100", "is given to topics alone"),
        ("set p --topics * --config segment.bytes=1", "at least 1048576"),
        ("set p --topics a/b --config retention.ms=1d", "\"a/b\" matches no topic"),
        (
            "set p --topics * --config retention.ms=1h --config local.retention.ms=2h",
            "more than retention.ms",
        ),
    ] {
        let refused = broker.refused(&format!("policy {words}"));
        assert!(refused.contains(said), "{words}: {refused}");
    }
    assert!(broker.json("policy list").as_array().is_some_and(Vec::is_empty));
    // A topic that comes later is held to its policy in the same way.
    broker.run("policy set p --topics later* --config local.retention.ms=1h");
    let refused = broker.refused("topic create later --config retention.ms=60000");
    assert!(refused.contains("policy p gives the topic local.retention.ms=3600000"), "{refused}");
}

/// Removes all but the store.
fn wipe(data: &Path) {
    for entry in std::fs::read_dir(data).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            _ if path.ends_with("store") => {}
            true => std::fs::remove_dir_all(path).expect("a folder goes"),
            false => std::fs::remove_file(path).expect("a file goes"),
        }
    }
}

#[test]
fn policies_outlive_a_restart_and_a_lost_disk() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker
        .run("policy set long --topics orders-* --topics x --priority 3 --config retention.ms=90d");
    broker.run("topic create orders-eu");
    fill(&broker, "orders-eu");
    uploaded(&broker, "orders-eu");
    let listed = broker.json("policy list");
    let broker = Broker::start_in(broker.stop(), SMALL_AND_OFTEN);
    assert_eq!(broker.json("policy list"), listed, "after a restart");
    let dir = broker.stop();
    wipe(&dir.path().join("data"));
    let mut restore = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
    restore.args(["tier", "restore", "--data-dir", "data", "--output", "json"]);
    let done = restore.current_dir(dir.path()).timeout(PATIENCE).assert().success();
    let report: Value = serde_json::from_slice(&done.get_output().stdout).expect("json");
    assert_eq!(report["policies"], json!(["long"]));
    let broker = Broker::start_in(dir, SMALL_AND_OFTEN);
    assert_eq!(broker.json("policy list"), listed, "after a restore");
    let kept = explained(&broker, "orders-eu", "retention.ms");
    assert_eq!(kept, ("7776000000".to_owned(), "policy long".to_owned()));
}

#[test]
fn a_file_that_is_changed_counts_at_the_next_start_and_deletes_nothing_without_permission() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t");
    fill(&broker, "t");
    let before = uploaded(&broker, "t");
    let dir = broker.stop();
    let file = "[[policy]]\nname = \"local\"\ntopics = [\"t\"]\n\
                settings = { \"remote.storage.enable\" = false, \"segment.ms\" = \"5h\" }\n";
    std::fs::write(dir.path().join("icecore.toml"), file).expect("written");
    let broker = Broker::start_in(dir, SMALL_AND_OFTEN);
    assert_eq!(explained(&broker, "t", "segment.ms").0, "18000000");
    // Segments that are rolled now stay, and those that are uploaded do as well.
    fill(&broker, "t");
    assert_eq!(status(&broker, "t")["remote"], before["remote"]);
    assert_eq!(broker.run("consume t --max 1"), "0 of these lines\n");
    broker.run("topic alter t --config remote.log.delete.on.disable=true");
    comes_to(&broker, "t", "remote", &json!({ "segments": 0, "bytes": 0 }));
}

#[test]
fn a_policy_of_the_file_that_is_wrong_is_told_by_its_name_before_the_start() {
    let dir = configured(
        "[[policy]]\nname = \"p\"\ntopics = [\"*\"]\n\
         settings = { \"retention.ms\" = \"1h\", \"local.retention.ms\" = \"2h\" }\n\
         [[policy]]\nname = \"q\"\ntopics = []\nsettings = { \"retention.mss\" = 1 }\n\
         [[policy]]\nname = \"p\"\ntopics = [\"x\"]\nsettings = { \"retention.ms\" = 1 }\n",
    );
    let mut check = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
    check.args(["config", "check"]).current_dir(dir.path());
    let done = check.assert().code(1);
    let told = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    for said in [
        "policy p: local.retention.ms is 7200000, more than retention.ms 3600000",
        "policy q: unknown setting retention.mss, did you mean retention.ms?",
        "policy q: it needs 1 to 20 patterns",
        "policy p stands in the file twice",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

//! `icecore policy apply`: policies as a file has them, without taking anything away.

use serde_json::json;

use crate::broker::{Broker, wait_for};

/// What `policy apply` says of each policy, and why.
fn applied(broker: &Broker, file: &str, flags: &str) -> Vec<[String; 3]> {
    std::fs::write(broker.dir().join("policies.toml"), file).expect("write");
    let report = broker.json(&format!("policy apply policies.toml {flags}"));
    let text =
        |line: &serde_json::Value, field: &str| line[field].as_str().expect(field).to_owned();
    let line = |line| ["policy", "what", "detail"].map(|field| text(line, field));
    report.as_array().expect("array").iter().map(line).collect()
}

/// A policy in the file's form.
fn policy(name: &str, topics: &str, settings: &str) -> String {
    format!("[[policy]]\nname = \"{name}\"\ntopics = [{topics}]\nsettings = {{ {settings} }}\n")
}

#[test]
fn a_file_of_policies_is_applied_any_number_of_times_and_takes_nothing_away() {
    let broker = Broker::start(&[]);
    broker.run("topic create orders-eu");
    let long = policy("long", "\"orders-*\"", "\"retention.ms\" = \"9d\"");
    let file = [long, policy("lean", "\"logs\"", "\"segment.ms\" = 60000")].concat();
    broker.run("topic create orders-own --config retention.ms=1h");
    let made = [
        [
            "long",
            "created",
            "topics=orders-*, retention.ms=777600000 (9d), 1 topic changes, not in force beside topics' own: \
             retention.ms of orders-own",
        ],
        ["lean", "created", "topics=logs, segment.ms=60000 (1m), no topic's settings change"],
    ];
    assert_eq!(applied(&broker, &file, "--dry-run"), made);
    assert_eq!(broker.json("policy list"), json!([]), "it was a rehearsal");
    assert_eq!(applied(&broker, &file, "--wait 1m"), made);
    let same = [["long", "unchanged", ""], ["lean", "unchanged", ""]];
    assert_eq!(applied(&broker, &file, ""), same);

    let other = policy("long", "\"orders-eu\"", "\"local.retention.ms\" = \"1d\"");
    let differences = [
        [
            "long",
            "altered",
            "topics=orders-eu (was orders-*), local.retention.ms=86400000 (1d), 1 topic changes",
        ],
        ["long", "differs", "has retention.ms=777600000 (9d), which the file has not"],
        ["lean", "differs", "is not in the file"],
    ];
    assert_eq!(applied(&broker, &other, ""), differences);
    let listed = broker.json("policy list");
    let names: Vec<_> = listed.as_array().expect("array").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["lean", "long"], "nothing was taken away");
    let settings = json!({ "local.retention.ms": "86400000", "retention.ms": "777600000" });
    assert_eq!((&listed[1]["topics"], &listed[1]["settings"]), (&json!(["orders-eu"]), &settings));

    let longer = other.replace("\"1d\"", "\"2d\"");
    let told = "local.retention.ms=172800000 (2d) (was 86400000 (1d)), 1 topic changes";
    assert_eq!(applied(&broker, &longer, "--dry-run")[0], ["long", "altered", told]);
    let first = format!("{other}priority = 3\n");
    let raised = ["long", "altered", "priority=3 (was 0), no topic's settings change"];
    assert_eq!(applied(&broker, &first, "")[0], raised);
    assert_eq!(applied(&broker, "", "").len(), 2, "an empty file takes nothing away either");
}

#[test]
fn a_policy_that_hides_one_of_the_brokers_file_says_what_that_one_gave() {
    let settings = "\"retention.ms\" = \"9d\", \"segment.ms\" = \"1h\"";
    let dir = tempfile::tempdir().expect("dir");
    std::fs::write(dir.path().join("icecore.toml"), policy("long", "\"t\"", settings))
        .expect("write");
    let broker = Broker::start_in(dir, &[]);
    let told = applied(&broker, &policy("long", "\"t\"", "\"retention.ms\" = \"9d\""), "");
    let detail = "topics=t, retention.ms=777600000 (9d), no topic's settings change, hides of the broker's \
                  configuration file: segment.ms=3600000 (1h)";
    assert_eq!(told, [["long", "created", detail]]);
}

#[test]
fn a_file_of_policies_tells_what_follows_before_it_counts() {
    let broker = Broker::start(&[
        "num.partitions=1",
        "log.segment.bytes=1MiB",
        "log.retention.check.interval.ms=50",
        "remote.log.manager.task.interval.ms=50",
    ]);
    let lines: String = (0..300_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.run("topic create t");
    broker.produce("t", &lines);
    let status = || broker.json("tier status t")[0].clone();
    wait_for("an upload of all that is sealed", || {
        let status = status();
        let done = status["pending"]["segments"] == 0 && status["remote"]["segments"] != 0;
        done.then_some(())
    });
    let told = applied(&broker, &policy("short", "\"t\"", "\"retention.bytes\" = \"3MiB\""), "");
    let detail = &told[0][2];
    assert!(
        detail.starts_with("topics=t, retention.bytes=3145728 (3MiB), 1 topic changes"),
        "{detail}"
    );
    for said in ["freed locally", "deleted remotely"] {
        assert!(detail.contains(said), "{detail}");
    }
    wait_for("a log start that has moved", || {
        (status()["log_start_offset"].as_i64() > Some(0)).then_some(())
    });
}

#[test]
fn a_file_of_policies_that_cannot_be_applied_says_why_and_applies_the_others() {
    let broker = Broker::start(&[]);
    broker.run("topic create short --config retention.ms=60000");
    let path = broker.dir().join("policies.toml");
    let bad = policy("bad", "\"*\"", "\"local.retention.ms\" = \"1h\"");
    let good = policy("good", "\"other\"", "\"retention.ms\" = \"1h\"");
    std::fs::write(&path, [bad, good].concat()).expect("write");
    let done = broker.command("policy apply policies.toml").assert().code(1);
    let shown = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(shown.contains("short: local.retention.ms is 3600000"), "{shown}");
    let why = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(why.contains("1 of 2 policies could not be applied"), "{why}");
    let listed = broker.json("policy list");
    assert_eq!((&listed[0]["name"], &listed[1]), (&json!("good"), &json!(null)));

    // What is wrong by itself is told before anything is done.
    let mixed =
        [policy("a", "\"x\"", "\"retention.msec\" = 1"), policy("b", "", "\"segment.ms\" = 1")];
    for (file, said) in [
        (mixed.concat(), "policy a: unknown setting retention.msec, did you mean retention.ms?"),
        (mixed.concat(), "policy b: it needs 1 to 20 patterns"),
        ("[[policies]]\nname = \"a\"\n".to_owned(), "unknown field `policies`"),
        ("[settings]\n".to_owned(), "unknown field `settings`"),
    ] {
        std::fs::write(&path, &file).expect("write");
        let told = broker.refused("policy apply policies.toml");
        assert!(told.contains(said), "{file}: {told}");
    }
    let told = broker.refused("policy apply nothing.toml");
    assert!(told.contains("cannot read nothing.toml"), "{told}");
    assert_eq!(broker.json("policy list"), listed);
}

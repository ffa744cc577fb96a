//! What the log of a broker says of what people ask it for over the HTTP port: which, and what came of it.

use crate::broker::{Broker, files, wait_for};

#[test]
fn a_change_of_a_policy_is_told_with_its_name_its_settings_and_the_topics_that_have_others_by_it() {
    let broker = Broker::start(&["num.partitions=1"]);
    for topic in ["a", "b", "c", "d", "e", "f", "other"] {
        broker.run(&format!("topic create {topic}"));
    }
    let set = "policy set lean --topics ? --config retention.ms=9d";
    broker.run(&format!("{set} --dry-run"));
    broker.run(set);
    let line = broker.line_with(&["policy set", "policy=\"lean\""]);
    for said in ["\"retention.ms\": \"777600000\"", "topics=6", "named=\"a b c d e\""] {
        assert!(line.contains(said), "{said}: {line}");
    }
    broker.run("policy delete lean");
    broker.line_with(&["policy deleted", "policy=\"lean\"", "topics=6", "named=\"a b c d e\""]);
    let told = broker.lines().iter().filter(|line| line.contains("policy set")).count();
    assert_eq!(told, 1, "a rehearsal is no change");
}

#[test]
fn work_on_the_store_is_told_with_what_came_of_it() {
    let broker = Broker::start(&[
        "num.partitions=1",
        "log.segment.bytes=1MiB",
        "log.retention.check.interval.ms=50",
        "remote.log.manager.task.interval.ms=50",
    ]);
    broker.run("topic create t");
    let lines: String = (0..300_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.produce("t", &lines);
    wait_for("an upload of all that is sealed", || {
        let status = &broker.json("tier status t")[0];
        let done = status["pending"]["segments"] == 0 && status["remote"]["segments"] != 0;
        done.then_some(())
    });
    let http = broker.http_address();
    broker.run(&format!("tier fsck --http {http}"));
    broker.line_with(&["INFO", "a job on the object store begins", "job=\"fsck\""]);
    broker.line_with(&["INFO", "is done", "job=\"fsck\"", "nothing is wrong, "]);
    broker.run(&format!("tier verify t --http {http}"));
    broker.line_with(&["is done", "job=\"verify\"", "topic t: nothing is wrong, "]);

    let logs = files(&broker.store(), ".log");
    std::fs::remove_file(&logs[0]).expect("an object");
    broker.command(&format!("tier fsck --anew --http {http}")).assert().code(1);
    broker.line_with(&["WARN", "is done", "job=\"fsck\"", "1 finding: missing-log at "]);
    broker.run(&format!("tier gc --dry-run --http {http}"));
    broker.line_with(&["is done", "job=\"gc\"", "dry_run: true", "result="]);
}

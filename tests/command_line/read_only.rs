//! `icecore serve --read-only`, as people run it beside a broker.

use crate::broker::{Broker, wait_for};

/// Settings of a broker that others read beside.
pub(crate) const SMALL_AND_OFTEN: &[&str] = &[
    "num.partitions=1",
    "log.segment.bytes=1MiB",
    "log.retention.check.interval.ms=50",
    "remote.log.manager.task.interval.ms=50",
    "tiering.meta.upload.interval.ms=100",
];
const FOLLOWING: &[&str] = &["tiering.follow.interval.ms=100", "offsets.topic.num.partitions=3"];

/// What a command says on standard error.
fn says(server: &Broker, words: &str) -> String {
    let done = server.command(words).assert().success();
    String::from_utf8_lossy(&done.get_output().stderr).into_owned()
}

#[test]
fn a_read_only_server_that_is_killed_goes_on_where_its_groups_were() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t");
    let lines: Vec<_> = (0..400_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.produce("t", &lines.concat());
    let store = format!("file://{}", broker.store().display());
    let folder = tempfile::tempdir().expect("dir");
    let server = Broker::read_in(folder, &store, FOLLOWING);
    let end = wait_for("some history", || {
        let status = server.json("tier status");
        status[0]["log_end_offset"].as_u64().filter(|end| *end > 200_000)
    });
    let told = says(&server, "tier status");
    assert!(told.contains("a read-only server of cluster"), "{told}");
    assert_eq!(says(&broker, "tier status"), "", "its broker is none");

    let first = server.run("consume t --group g --max 1000");
    let server = Broker::read_in(server.kill(), &store, FOLLOWING);
    let second = server.run("consume t --group g --max 1000");
    assert_eq!([first, second].concat(), lines[..2000].concat());

    let to = tempfile::tempdir().expect("dir");
    let (file, notes) = (to.path().join("history"), to.path().join("notes"));
    let plan = server.json("replay plan t");
    assert!(plan["total"]["bytes"] == plan["total"]["remote_bytes"], "{plan}");
    assert!(plan["total"]["bytes"].as_u64() > Some(4 << 20), "{plan}");
    let (to_file, checkpoint) = (file.display(), notes.display());
    let words =
        format!("replay run t --output lines --to-file {to_file} --checkpoint {checkpoint}");
    server.run(&words);
    let replayed = std::fs::read_to_string(&file).expect("a file");
    let count = replayed.lines().count();
    assert!(count as u64 >= end && replayed == lines[..count].concat(), "{count} of {end}");
    let why = server.refused("replay warm t");
    assert!(why.contains("is read in place"), "{why}");

    let why = server.refused("produce t");
    assert!(why.contains("it is read-only"), "{why}");
    for words in ["topic create more", "topic delete t"] {
        let why = server.refused(words);
        assert!(why.contains("this is a read-only server"), "{words}: {why}");
    }
}

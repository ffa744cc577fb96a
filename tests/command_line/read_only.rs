//! `icecore serve --read-only`, as people run it beside a broker.

use crate::broker::{Broker, files, wait_for};

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

/// Waits until the broker has told the store of a topic.
fn is_told(broker: &Broker, topic: &str) {
    let name = format!("\"name\":\"{topic}\"");
    let tells = |bytes: &[u8]| bytes.windows(name.len()).any(|part| part == name.as_bytes());
    wait_for("a word of the broker", || {
        let words = files(&broker.store(), ".meta").into_iter();
        words.filter_map(|path| std::fs::read(path).ok()).any(|word| tells(&word)).then_some(())
    });
}

#[test]
fn a_replay_that_a_read_only_server_has_nothing_for_says_how_old_its_view_is() {
    let rarely = ["tiering.meta.upload.interval.ms=3600000"];
    let broker = Broker::start(&[&SMALL_AND_OFTEN[..4], &rarely].concat());
    broker.run("topic create t");
    is_told(&broker, "t");
    let store = format!("file://{}", broker.store().display());
    let folder = tempfile::tempdir().expect("dir");
    let server = Broker::read_in(folder, &store, &["tiering.follow.interval.ms=3600000"]);
    let lines: String = (0..200_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.produce("t", &lines);
    wait_for("an upload", || {
        (broker.json("tier status t")[0]["remote"]["segments"] != 0).then_some(())
    });

    let told = "a read-only server of cluster";
    let view = ["it looks again every 1h", "broker told of something new last at 20"];
    for words in ["replay plan t", "replay run t --to-stdout", "tier status"] {
        let said = says(&server, words);
        assert!(said.contains(told) && view.iter().all(|part| said.contains(part)), "{said}");
        assert!(words == "tier status" || said.contains("nothing to read"), "{words}: {said}");
        assert!(!says(&broker, words).contains(told), "{words}: its broker has something");
    }
    // Its environment has where it listens, which a command there finds as well.
    let port = server.http_address().replace("127.0.0.1:", "");
    let mut plan = server.command("replay plan t");
    let done = plan.env("ICECORE_HTTP", format!("0.0.0.0:{port}")).assert().success();
    let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(said.contains(&format!("; at 127.0.0.1:{port} is {told}")), "{said}");

    broker.run("topic create empty");
    for words in ["replay plan empty", "replay run empty --to-stdout"] {
        let said = says(&broker, words);
        assert!(said.contains("nothing to read: topic empty has no records yet\n"), "{said}");
        assert!(!said.contains(told), "its broker is no such server");
    }
    let page = server.page("/v1/server");
    assert_eq!(page["view_every_ms"], 3_600_000);
    assert!(page["view_told_ms"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000), "{page}");
    let ready = server.text("/readyz");
    assert!(ready.contains("it looks every 1h, the broker told of something new last"), "{ready}");
}

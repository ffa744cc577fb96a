//! `icecore config check`, and what `icecore serve` makes of wrong settings.

use std::fs;

use serde_json::Value;

fn icecore(words: &str) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.args(words.split_whitespace());
    command
}

fn told(done: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&done.get_output().stderr).into_owned()
}

#[test]
fn everything_that_is_wrong_with_a_file_is_told_at_once() {
    let dir = tempfile::tempdir().expect("dir");
    let file =
        "listen = \"nowhere\"\n[settings]\n\"num.partition\" = 4\n\"log.segment.bytes\" = 5\n";
    fs::write(dir.path().join("bad.toml"), file).expect("write");
    let mut check = icecore("config check bad.toml");
    let done = check.current_dir(dir.path()).assert().code(1);
    for expected in [
        "unknown setting num.partition, did you mean num.partitions?",
        "invalid value 5 for log.segment.bytes: at least 1048576",
        "give HOST:PORT",
        "3 things are wrong with the configuration of bad.toml",
    ] {
        assert!(told(&done).contains(expected), "{}", told(&done));
    }
    let done = icecore("config check nowhere.toml").current_dir(dir.path()).assert().code(1);
    assert!(told(&done).contains("cannot read nowhere.toml"), "{}", told(&done));
}

#[test]
fn effective_settings_are_shown_with_where_they_come_from() {
    let dir = tempfile::tempdir().expect("dir");
    let file = "data-dir = \"here\"\n[settings]\n\"num.partitions\" = 4\n\"log.segment.bytes\" = \"2MiB\"\n";
    fs::write(dir.path().join("icecore.toml"), file).expect("write");
    let mut check = icecore("config check --set num.partitions=5 --output json");
    let done = check.current_dir(dir.path()).env("ICECORE_HTTP", "127.0.0.1:1").assert().success();
    let shown: Value = serde_json::from_slice(&done.get_output().stdout).expect("json");
    let of = |name: &str| {
        let all = shown["settings"].as_array().expect("array");
        let found = all.iter().find(|setting| setting["name"] == name).expect("a setting");
        (found["value"].as_str().unwrap_or_default(), found["source"].as_str().expect("a source"))
    };
    assert_eq!(of("num.partitions"), ("5", "flag"));
    assert_eq!(of("log.segment.bytes"), ("2097152", "file"));
    assert_eq!(of("data-dir"), ("here", "file"));
    assert_eq!(of("http"), ("127.0.0.1:1", "flag or environment"));
    assert_eq!(of("listen"), ("127.0.0.1:9092", "default"));
    assert_eq!(of("message.max.bytes").1, "default");
}

#[test]
fn a_value_that_stands_for_something_is_shown_with_what_that_is() {
    let dir = tempfile::tempdir().expect("dir");
    let done = icecore("config check --set log.retention.ms=9d").current_dir(dir.path()).assert();
    let shown = String::from_utf8_lossy(&done.success().get_output().stdout).into_owned();
    let row = |name: &str| {
        let row = shown.lines().find(|line| line.starts_with(&format!("{name} ")));
        let row = row.unwrap_or_else(|| panic!("{name}: {shown}"));
        row.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    for (name, told) in [
        ("log.local.retention.bytes", "-2 (as log.retention.bytes) default"),
        ("log.flush.interval.ms", "9223372036854775807 (never) default"),
        ("remote.log.manager.copy.max.bytes.per.second", "9223372036854775807 (no limit) default"),
        ("log.retention.ms", "777600000 (9d) flag"),
        ("num.partitions", "1 default"),
        ("listen", "127.0.0.1:9092 default"),
    ] {
        assert_eq!(row(name), told);
    }
}

#[test]
fn a_quiet_check_shows_what_is_wrong_and_nothing_else() {
    let dir = tempfile::tempdir().expect("dir");
    let check = |words: &str| icecore(words).current_dir(dir.path()).assert();
    let right = check("config check --quiet").success();
    assert_eq!((right.get_output().stdout.len(), right.get_output().stderr.len()), (0, 0));
    let wrong = check("config check --quiet --set log.segment.bytes=5").code(1);
    assert!(wrong.get_output().stdout.is_empty());
    let lines: Vec<_> = told(&wrong).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "invalid value 5 for log.segment.bytes: at least 1048576");
    assert_eq!(lines.len(), 2, "the reason, and that it is the only one: {lines:?}");
}

#[test]
fn secrets_of_a_store_come_from_the_environment_and_one_that_is_missing_is_named() {
    let dir = tempfile::tempdir().expect("dir");
    let file = "store = \"main\"\n[settings]\n\"broker.rack\" = \"${env:TEST_ZONE}\"\n\
                [stores.main]\nurl = \"az://c\"\naccess_key = \"${env:TEST_KEY}\"\n";
    fs::write(dir.path().join("icecore.toml"), file).expect("write");
    let check = || {
        let mut check = icecore("config check --output json");
        check.current_dir(dir.path()).env("TEST_ZONE", "zone-1").env_remove("TEST_KEY");
        check
    };
    let done = check().assert().code(1);
    let shown = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    let said = "stores.main.access_key: the environment variable TEST_KEY is not set";
    assert!(shown.contains(said), "{shown}");
    let done = check().env("TEST_KEY", "secret").assert().success();
    let shown = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(shown.contains("zone-1") && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_broker_does_not_start_with_a_setting_that_it_does_not_know() {
    let dir = tempfile::tempdir().expect("dir");
    let mut serve =
        icecore("serve --listen 127.0.0.1:0 --http 127.0.0.1:0 --set log.segment.byte=1");
    let done = serve.current_dir(dir.path()).assert().code(1);
    let expected = "unknown setting log.segment.byte, did you mean log.segment.bytes?";
    assert!(told(&done).contains(expected), "{}", told(&done));
    assert!(!dir.path().join("icecore-data").exists(), "nothing is made before");
}

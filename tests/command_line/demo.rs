//! `icecore demo`.

use std::fs;

use crate::broker::PATIENCE;

fn demo() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.args(["demo", "--bytes", "12000000"]).timeout(PATIENCE);
    command
}

#[test]
fn a_small_demo_holds_and_cleans_up() {
    let temporary = tempfile::tempdir().expect("dir");
    let done = demo().env("TMPDIR", temporary.path()).assert().success();
    let shown = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    for expected in ["produced, each acknowledged", "replayed from there", "It held: all "] {
        assert!(shown.contains(expected), "{shown}");
    }
    assert_eq!(fs::read_dir(temporary.path()).expect("folder").count(), 0, "nothing is left");
}

#[test]
fn a_given_folder_stays_and_must_be_empty() {
    let dir = tempfile::tempdir().expect("dir");
    // A file of the user's is not taken for the demo's.
    fs::write(dir.path().join("icecore.toml"), "this is = no configuration").expect("write");
    let kept = dir.path().join("kept");
    let mut first = demo();
    let done = first.arg("--dir").arg(&kept).current_dir(dir.path()).assert().success();
    let shown = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(shown.contains("icecore serve --data-dir"), "{shown}");
    assert!(kept.join("data/store").is_dir());

    let again = demo().arg("--dir").arg(&kept).assert().code(1);
    let told = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
    assert!(told.contains("holds something already"), "{told}");
}

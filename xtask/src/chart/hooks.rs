//! What hooks run. The pods of `helm test`: commands that leave nothing behind at the broker, since helm runs
//! no further test once one has failed, so that none can take away what another one made. The check before an
//! install: commands that say nothing when nothing is wrong, since helm shows the logs of all containers, one
//! after the other.

use anyhow::{Result, ensure};

/// Commands that only look, or take away what they make, also when they fail.
const HARMLESS: [&str; 2] = ["check,", "topic, list,"];

/// What the check runs.
const CHECK: &str = "args: [config, check";

/// Holds the hooks among these resources to that.
pub(super) fn judge(resources: &str) -> Result<()> {
    for command in resources.lines().map(str::trim).filter(|line| line.starts_with(CHECK)) {
        ensure!(command.ends_with(", --quiet]"), "`{command}` buries what another container says");
    }
    let tests = resources.split("\n---\n").filter(|one| one.contains("helm.sh/hook: test"));
    let commands = tests.flat_map(str::lines).map(str::trim_start);
    let commands: Vec<_> = commands.filter_map(|line| line.strip_prefix("args: [")).collect();
    ensure!(
        commands.iter().any(|command| command.starts_with("check,")),
        "helm test checks nothing"
    );
    for command in commands {
        let harmless = HARMLESS.iter().any(|known| command.starts_with(known));
        ensure!(harmless, "helm test runs `{command}`, which may leave something behind");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn a_check_that_shows_what_is_right_is_refused() {
        let checks =
            "kind: Pod\n    helm.sh/hook: test\n      args: [check, --wait, 1m]\n---\nkind: Job\n";
        judge(&format!("{checks}      args: [config, check, --quiet]\n")).expect("quiet");
        let told = judge(&format!("{checks}      args: [config, check, /etc/replay.toml]\n"));
        assert!(told.expect_err("refused").to_string().contains("buries"));
    }

    #[test]
    fn a_test_that_would_leave_a_topic_behind_is_refused() {
        let pod = |command: &str| {
            format!("kind: Pod\n  annotations:\n    helm.sh/hook: test\n      args: [{command}]\n")
        };
        let (checks, lists) = (pod("check, --wait, 1m"), pod("topic, list, --broker, b"));
        judge(&format!("kind: Service\n---\n{lists}\n---\n{checks}")).expect("harmless");
        for wrong in
            ["topic, apply, /test/topics.toml", "produce, icecore-helm-test, /test/records"]
        {
            let told = judge(&format!("{checks}\n---\n{}", pod(wrong))).expect_err("refused");
            assert!(told.to_string().contains("may leave something behind"), "{told}");
        }
        judge(&lists).expect_err("nothing is checked");
        // What others run is not the tests' business.
        judge(&format!("kind: Job\n      args: [topic, apply, f]\n---\n{checks}"))
            .expect("harmless");
    }
}

//! `icecore policy apply`: policies as a file has them.
//!
//! Invariant: nothing is taken away. A policy that was set and is not in the file, and a setting that such
//! a policy has and the file has not, is told as a difference and left as it is. Which topics a policy is
//! for, and its priority, are as the file has them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::{DryRun, Reach, outcome};
use crate::cli::applied::{What, patiently};
use crate::cli::output::{self, OutputArgs};
use crate::cli::status::HttpArgs;
use crate::cli::table::{Align, Table};
use crate::config::{PolicyText, read_policies};
use crate::http::{PolicyBody, PolicyFrom, PolicyOutcome};

/// `icecore policy apply ...`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The file, in TOML, written as in the broker's configuration file:

  [[policy]]
  name     = \"audit\"
  topics   = [\"audit-*\", \"payments\"]
  priority = 10
  settings = { \"retention.ms\" = \"365d\", \"local.retention.ms\" = \"1d\" }

Nothing is taken away: a policy that was set and is not in the file, or a setting of one, is shown as a \
difference and left as it is. To apply a file again changes nothing.")]
pub(super) struct Args {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    dry_run: DryRun,
    /// Try for so long to reach a broker that does not answer yet, such as 5m.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    wait: Duration,
    #[command(flatten)]
    reach: Reach,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Told {
    policy: String,
    what: What,
    detail: String,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let Args { file, dry_run: DryRun { dry_run }, wait, reach: Reach { http, output } } = args;
    let file = read_policies(file)?;
    let mut found = patiently(*wait, || http.policies()).await?;
    // Those of the broker's own file are declared there, and no business of this one.
    found.retain(|status| status.from == PolicyFrom::Runtime);
    let mut report = Vec::new();
    for wanted in file.iter() {
        let mut found = found.iter().map(|status| &status.policy);
        let had = found.find(|policy| policy.name == wanted.name());
        let applied = apply(http, wanted.text(), had, *dry_run, &mut report).await;
        if let Err(error) = applied {
            report.push(told(wanted.name(), What::Failed, format!("{error:#}")));
        }
    }
    let is_elsewhere = |name: &str| file.iter().all(|wanted| wanted.name() != name);
    for status in found.iter().filter(|status| is_elsewhere(&status.policy.name)) {
        let detail = "is not in the file".to_owned();
        report.push(told(&status.policy.name, What::Differs, detail));
    }
    show(&report, *output)?;
    match report.iter().filter(|line| line.what == What::Failed).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} policies could not be applied", file.len()),
    }
}

async fn apply(
    http: &HttpArgs,
    wanted: &PolicyText,
    had: Option<&PolicyText>,
    dry_run: bool,
    report: &mut Vec<Told>,
) -> anyhow::Result<()> {
    let kept = had.map_or_else(BTreeMap::new, |had| had.settings.clone());
    let extra = kept.iter().filter(|(name, _)| !wanted.settings.contains_key(*name));
    let extra: Vec<_> = extra.map(|(name, value)| output::assignment(name, value)).collect();
    let settings = kept.into_iter().chain(wanted.settings.clone()).collect();
    let (topics, priority) = (wanted.topics.clone(), wanted.priority);
    let body = PolicyBody { topics, priority, settings };
    let mut detail = changes(&body, had);
    let what = match had {
        None => What::Created,
        Some(_) if detail.is_empty() => What::Unchanged,
        Some(_) => What::Altered,
    };
    if what != What::Unchanged {
        // Told before it is done. With very many topics there may be no answer in time: that is no reason
        // not to do it.
        let rehearsed = http.set_policy(&wanted.name, &body, true).await;
        if !dry_run {
            http.set_policy(&wanted.name, &body, false).await?;
        }
        detail.extend(match rehearsed {
            Ok(outcome) => follows(&outcome),
            Err(error) if dry_run => return Err(error),
            Err(error) => vec![format!("what follows could not be told: {error:#}")],
        });
    }
    report.push(told(&wanted.name, what, detail.join(", ")));
    for setting in extra {
        let detail = format!("has {setting}, which the file has not");
        report.push(told(&wanted.name, What::Differs, detail));
    }
    Ok(())
}

/// What is another way than the policy has it by now.
fn changes(body: &PolicyBody, had: Option<&PolicyText>) -> Vec<String> {
    let was = |old: Option<String>| old.map_or_else(String::new, |old| format!(" (was {old})"));
    let (topics, priority) = (body.topics.join(" "), body.priority);
    let mut changes = Vec::new();
    if had.is_none_or(|had| had.topics != body.topics) {
        changes.push(format!("topics={topics}{}", was(had.map(|had| had.topics.join(" ")))));
    }
    if had.map_or(0, |had| had.priority) != priority {
        let old = had.map(|had| had.priority.to_string());
        changes.push(format!("priority={priority}{}", was(old)));
    }
    for (name, value) in &body.settings {
        let old = had.and_then(|had| had.settings.get(name));
        if old != Some(value) {
            let old = old.map(|old| output::setting(name, old));
            changes.push(format!("{}{}", output::assignment(name, value), was(old)));
        }
    }
    changes
}

/// What a change does to topics, and what the broker then does with their bytes.
fn follows(outcome: &PolicyOutcome) -> Vec<String> {
    let topics = match outcome.topics.len() {
        0 => "no topic's settings change".to_owned(),
        1 => "1 topic changes".to_owned(),
        count => format!("{count} topics change"),
    };
    let (bytes, kept) = (outcome::sum(&outcome.topics), outcome::kept_in_short(&outcome.overruled));
    // Nothing of a policy that was set goes; but one of the broker's file is hidden, whole.
    let dropped = outcome.dropped.iter().map(|(name, value)| output::assignment(name, value));
    let dropped = dropped.collect::<Vec<_>>().join(" ");
    let hidden = (!dropped.is_empty())
        .then(|| format!("hides of the broker's configuration file: {dropped}"));
    let all = [Some(topics), Some(bytes), kept, hidden].into_iter().flatten();
    all.filter(|text| !text.is_empty()).collect()
}

fn told(policy: &str, what: What, detail: String) -> Told {
    Told { policy: policy.to_owned(), what, detail }
}

fn show(report: &[Told], output: OutputArgs) -> anyhow::Result<()> {
    let mut table =
        Table::new(&[("POLICY", Align::Left), ("WHAT", Align::Left), ("DETAIL", Align::Left)]);
    for Told { policy, what, detail } in report {
        table.row([policy.clone(), what.word().to_owned(), detail.clone()]);
    }
    output.show_table(&report, &table)
}

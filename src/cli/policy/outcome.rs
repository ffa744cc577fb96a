//! What a change of policies did, or would do, in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cli::output;
use crate::cli::table::{Align, Table};
use crate::http::{ChangedTopic, OverruledStatus, PolicyOutcome};
use crate::replica::{Amount, Outlook};

/// Settings that are named on one line.
const NAMED_MAX: usize = 3;

/// `done` says what was done.
pub(super) fn text(outcome: &PolicyOutcome, done: &str) -> String {
    let mut text = match outcome.dry_run {
        true => "nothing was changed; this would be:\n".to_owned(),
        false => format!("{done}\n"),
    };
    if !outcome.dropped.is_empty() {
        text.push_str(&dropped(&outcome.dropped));
    }
    if outcome.topics.is_empty() {
        text.push_str("no topic's settings change\n");
    } else {
        let _ = write!(text, "\n{}", settings(&outcome.topics).text());
    }
    if outcome.overruled.count > 0 {
        text.push_str(&kept(&outcome.overruled));
    }
    if outcome.dry_run && !outcome.topics.is_empty() {
        let _ = write!(text, "\n{}", outlook(&outcome.topics).text());
        text.push_str(
            "\nThis is what the broker will do by these settings, with what is due already by those of \
             now. Records that come meanwhile, and time, may add to it.\n",
        );
    }
    text
}

/// What the policy had before: one that is set again is had whole.
fn dropped(settings: &BTreeMap<String, String>) -> String {
    let settings = settings.iter().map(|(name, value)| output::assignment(name, value));
    let settings = settings.collect::<Vec<_>>().join(", ");
    format!("it had, and has no more, since a policy is set whole: {settings}\n")
}

/// Where the policy is set, and its value does not count.
fn kept(overruled: &OverruledStatus) -> String {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("SETTING", Align::Left),
        ("OWN", Align::Left),
        ("POLICY", Align::Left),
    ]);
    for one in &overruled.first {
        let value = |value: &str| output::setting(&one.setting, value);
        table.row([one.topic.clone(), one.setting.clone(), value(&one.own), value(&one.policy)]);
    }
    let mut text = format!(
        "\nnot in force where a topic has its own setting, which counts first \
         (`icecore topic alter TOPIC --config SETTING=` takes it away):\n{}",
        table.text()
    );
    let more = overruled.count.saturating_sub(overruled.first.len());
    if more > 0 {
        let _ = writeln!(text, "and {more} more");
    }
    text
}

/// The same on one line, with no more than the first few.
pub(super) fn kept_in_short(overruled: &OverruledStatus) -> Option<String> {
    let named = overruled.first.iter().take(NAMED_MAX);
    let named: Vec<_> = named.map(|one| format!("{} of {}", one.setting, one.topic)).collect();
    let more = match overruled.count.saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = named.join(", ");
    (!named.is_empty()).then(|| format!("not in force beside topics' own: {named}{more}"))
}

fn settings(topics: &[ChangedTopic]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("POLICY", Align::Left),
        ("SETTING", Align::Left),
        ("BEFORE", Align::Left),
        ("AFTER", Align::Left),
    ]);
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for topic in topics {
        let (before, after) = (or_none(&topic.policy_before), or_none(&topic.policy_after));
        let policy = if before == after { after } else { format!("{before} -> {after}") };
        for setting in &topic.settings {
            let value = |value: &Option<String>| {
                value.as_ref().map(|value| output::setting(&setting.name, value))
            };
            table.row([
                topic.topic.clone(),
                policy.clone(),
                setting.name.clone(),
                or_none(&value(&setting.before)),
                or_none(&value(&setting.after)),
            ]);
        }
    }
    table
}

fn outlook(topics: &[ChangedTopic]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("UPLOADED", Align::Right),
        ("FREED LOCALLY", Align::Right),
        ("DELETED REMOTELY", Align::Right),
        ("DELETED LOCALLY", Align::Right),
    ]);
    let mut sum = Outlook::default();
    for topic in topics {
        let outlook = topic.outlook_after.unwrap_or_default();
        sum = sum.plus(outlook);
        table.row(row(topic.topic.clone(), outlook));
    }
    if topics.len() > 1 {
        table.row(row("all".to_owned(), sum));
    }
    table
}

/// What a dry run told of all topics together, on one line; nothing where nothing follows.
pub(super) fn sum(topics: &[ChangedTopic]) -> String {
    let outlooks = topics.iter().map(|topic| topic.outlook_after.unwrap_or_default());
    let all = outlooks.fold(Outlook::default(), Outlook::plus);
    let Outlook { uploaded, freed_locally, deleted_remotely, deleted_locally } = all;
    let told = [
        ("uploaded", uploaded),
        ("freed locally", freed_locally),
        ("deleted remotely", deleted_remotely),
        ("deleted locally", deleted_locally),
    ];
    let told = told.into_iter().filter(|(_, amount)| amount.segments > 0);
    let told = told.map(|(what, Amount { segments, bytes })| {
        let many = if segments == 1 { "segment" } else { "segments" };
        format!("{} in {segments} {many} {what}", output::bytes(bytes))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn row(name: String, outlook: Outlook) -> [String; 5] {
    let Outlook { uploaded, freed_locally, deleted_remotely, deleted_locally } = outlook;
    let cell = |amount: Amount| match amount.segments {
        0 => "-".to_owned(),
        segments => format!("{} in {segments}", output::bytes(amount.bytes)),
    };
    [name, cell(uploaded), cell(freed_locally), cell(deleted_remotely), cell(deleted_locally)]
}

//! `icecore policy explain`.

use std::fmt::Write as _;

use super::list::from;
use crate::cli::output;
use crate::cli::table::{Align, Table};
use crate::http::{Explained, PolicyMatch, SettingFrom, ValueFrom};

/// What is told to people.
pub(super) fn text(explained: &Explained) -> String {
    let mut text = format!("topic {}", explained.topic);
    if !explained.exists {
        text.push_str(", which is not there: this is what it would have");
    }
    text.push('\n');
    let _ = match &explained.policy {
        Some(policy) => writeln!(text, "has policy {}", matched(policy)),
        None => writeln!(text, "has no policy"),
    };
    for policy in &explained.passed_over {
        let _ = writeln!(text, "matched as well, and passed over: {}", matched(policy));
    }
    let mut table = Table::new(&[
        ("SETTING", Align::Left),
        ("VALUE", Align::Left),
        ("FROM", Align::Left),
        ("INSTEAD OF", Align::Left),
    ]);
    for setting in &explained.settings {
        let shown = |value: &ValueFrom| match &value.value {
            Some(value) => output::setting(&setting.name, value),
            None => "-".to_owned(),
        };
        let instead = setting.instead_of.iter();
        let instead = instead.map(|value| format!("{} by {}", shown(value), place(value)));
        table.row([
            setting.name.clone(),
            shown(&setting.value),
            place(&setting.value),
            instead.collect::<Vec<_>>().join(", "),
        ]);
    }
    let _ = write!(text, "\n{}", table.text());
    text
}

fn matched(policy: &PolicyMatch) -> String {
    let PolicyMatch { name, priority, pattern, .. } = policy;
    format!("{name} ({}), by pattern {pattern}, priority {priority}", from(policy.from))
}

fn place(value: &ValueFrom) -> String {
    let by = value.by.as_deref().unwrap_or_default();
    match value.from {
        SettingFrom::Topic => "topic".to_owned(),
        SettingFrom::Policy => format!("policy {by}"),
        SettingFrom::Broker => format!("broker's {by}"),
        SettingFrom::Default => "default".to_owned(),
    }
}

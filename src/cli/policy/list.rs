//! `icecore policy list`.

use crate::cli::output;
use crate::cli::table::{Align, Table};
use crate::http::{PolicyFrom, PolicyStatus};

/// Where a policy came from, in words.
pub(super) fn from(from: PolicyFrom) -> &'static str {
    match from {
        PolicyFrom::File => "file",
        PolicyFrom::Runtime => "set",
    }
}

/// The policies, a row each.
pub(super) fn table(policies: &[PolicyStatus]) -> Table {
    let mut table = Table::new(&[
        ("POLICY", Align::Left),
        ("FROM", Align::Left),
        ("PRIORITY", Align::Right),
        ("PATTERNS", Align::Left),
        ("TOPICS", Align::Right),
        ("SETTINGS", Align::Left),
    ]);
    for status in policies {
        let policy = &status.policy;
        let settings = policy.settings.iter();
        let settings = settings.map(|(name, value)| output::assignment(name, value));
        let hides = if status.hides_file { ", hides the file's" } else { "" };
        table.row([
            policy.name.clone(),
            format!("{}{hides}", from(status.from)),
            policy.priority.to_string(),
            policy.topics.join(" "),
            status.used_by.len().to_string(),
            settings.collect::<Vec<_>>().join(" "),
        ]);
    }
    table
}

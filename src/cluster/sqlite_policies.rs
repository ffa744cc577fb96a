//! Policies in `metadata.db`.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use crate::config::PolicyText;

/// Every policy, by name.
pub(super) fn load(tx: &Transaction<'_>) -> rusqlite::Result<Vec<PolicyText>> {
    let mut policies = BTreeMap::new();
    let mut rows = tx.prepare("SELECT name, priority FROM policies")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (name, priority): (String, i32) = (row.get(0)?, row.get(1)?);
        let policy = PolicyText { name: name.clone(), priority, ..PolicyText::default() };
        policies.insert(name, policy);
    }
    let mut rows =
        tx.prepare("SELECT policy, pattern FROM policy_topics ORDER BY policy, place")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(policy) = policies.get_mut(&row.get::<_, String>(0)?) {
            policy.topics.push(row.get(1)?);
        }
    }
    let mut rows = tx.prepare("SELECT policy, name, value FROM policy_settings")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(policy) = policies.get_mut(&row.get::<_, String>(0)?) {
            policy.settings.insert(row.get(1)?, row.get(2)?);
        }
    }
    Ok(policies.into_values().collect())
}

/// Puts a policy in the place of the one of its name.
pub(super) fn set(tx: &Transaction<'_>, policy: &PolicyText) -> rusqlite::Result<()> {
    delete(tx, &policy.name)?;
    let (name, priority) = (&policy.name, policy.priority);
    tx.execute("INSERT INTO policies (name, priority) VALUES (?1, ?2)", params![name, priority])?;
    let topic = "INSERT INTO policy_topics (policy, place, pattern) VALUES (?1, ?2, ?3)";
    for (place, pattern) in (0_i64..).zip(&policy.topics) {
        tx.execute(topic, params![name, place, pattern])?;
    }
    let setting = "INSERT INTO policy_settings (policy, name, value) VALUES (?1, ?2, ?3)";
    for (setting_name, value) in &policy.settings {
        tx.execute(setting, params![name, setting_name, value])?;
    }
    Ok(())
}

/// Removes a policy with all that it has; nothing when there is none of that name.
pub(super) fn delete(tx: &Transaction<'_>, name: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM policies WHERE name = ?1", [name]).map(drop)
}

//! Changes to a topic's settings (KIP-339), as functions from what was given to what is given.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{ConfigError, Problem};
use super::setting::Kind;
use super::topic::find;

/// The longest value.
const VALUE_LEN_MAX: usize = 32_767;

/// What to do with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Give it a value.
    Set(String),
    /// Take the value away; the default counts again.
    Delete,
    /// Add to a list.
    Append(String),
    /// Take out of a list.
    Subtract(String),
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterError {
    /// The request makes no sense (`INVALID_REQUEST`).
    #[error("{0}")]
    Request(String),
    /// A setting or its value is wrong (`INVALID_CONFIG`).
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Applies operations to a topic's overrides. `current` tells the value in force, which lists are
/// added to and taken from.
///
/// # Errors
/// When a setting is named twice, a list operation is used on what is no list, or a value is too
/// long. Whether values fit is judged later, with all of them.
pub fn alter(
    overrides: &BTreeMap<String, String>,
    operations: &[(String, Operation)],
    current: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, AlterError> {
    let mut seen = BTreeSet::new();
    let mut altered = overrides.clone();
    for (name, operation) in operations {
        if !seen.insert(name) {
            return Err(AlterError::Request(format!("setting {name} is named twice")));
        }
        let now = || overrides.get(name).cloned().or_else(|| current(name)).unwrap_or_default();
        let value = match operation {
            Operation::Delete => {
                altered.remove(name);
                continue;
            }
            Operation::Set(value) => value.clone(),
            Operation::Append(more) => edit_list(name, &now(), more, true)?,
            Operation::Subtract(less) => edit_list(name, &now(), less, false)?,
        };
        if value.len() > VALUE_LEN_MAX {
            let expected = format!("at most {VALUE_LEN_MAX} characters");
            let value = format!("of {} characters", value.len());
            return Err(
                ConfigError::from(Problem::Value { name: name.clone(), value, expected }).into()
            );
        }
        altered.insert(name.clone(), value);
    }
    Ok(altered)
}

fn edit_list(name: &str, now: &str, words: &str, add: bool) -> Result<String, AlterError> {
    if find(name).is_some_and(|setting| setting.kind != Kind::List) {
        let text = format!("{name} is no list: it can be set, not appended to or subtracted from");
        return Err(ConfigError::from(Problem::Conflict(text)).into());
    }
    let split = |text: &str| -> Vec<String> {
        text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    let (mut list, words) = (split(now), split(words));
    list.retain(|word| add || !words.contains(word));
    if add {
        list.extend(words.into_iter().filter(|word| !now.split(',').any(|old| old.trim() == word)));
    }
    Ok(list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn altered(operations: &[(&str, Operation)]) -> Result<BTreeMap<String, String>, AlterError> {
        let overrides = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        let operations: Vec<_> =
            operations.iter().map(|(name, op)| ((*name).to_owned(), op.clone())).collect();
        alter(&overrides, &operations, |name| (name == "cleanup.policy").then(|| "delete".into()))
    }

    #[test]
    fn settings_are_set_deleted_and_lists_grow_and_shrink() {
        let set = altered(&[("segment.ms", Operation::Set("9".into()))]).expect("set");
        assert_eq!((set["segment.ms"].as_str(), set["retention.ms"].as_str()), ("9", "5"));
        assert!(altered(&[("retention.ms", Operation::Delete)]).expect("delete").is_empty());
        let grown = altered(&[("cleanup.policy", Operation::Append("compact,delete".into()))]);
        assert_eq!(grown.expect("append")["cleanup.policy"], "delete,compact");
        let shrunk = altered(&[("cleanup.policy", Operation::Subtract("delete".into()))]);
        assert_eq!(shrunk.expect("subtract")["cleanup.policy"], "");
    }

    #[test]
    fn requests_that_make_no_sense_are_told_apart_from_wrong_values() {
        let twice = [("a", Operation::Delete), ("a", Operation::Delete)];
        assert!(matches!(altered(&twice), Err(AlterError::Request(_))));
        let no_list = [("retention.ms", Operation::Append("1".into()))];
        assert!(matches!(altered(&no_list), Err(AlterError::Config(_))));
        let long = [("segment.ms", Operation::Set("1".repeat(40_000)))];
        assert!(matches!(altered(&long), Err(AlterError::Config(_))));
    }
}

//! The chart's values and what they do, from the comments in `values.yaml`.
//!
//! The comment right above a key is about that key. A key with comments below it is a heading; otherwise
//! its value is told whole.

use anyhow::{Result, bail, ensure};

/// One value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// Its keys with dots between them.
    pub(super) path: String,
    /// As it is written, on one line.
    pub(super) default: String,
    /// What it does.
    pub(super) comment: String,
}

/// A key with what stands below it.
#[derive(Debug)]
struct Key {
    name: String,
    indent: usize,
    inline: String,
    comment: Vec<String>,
    below: Vec<String>,
}

/// All values of a file, in its order.
///
/// # Errors
/// When one has no comment.
pub(super) fn read(text: &str) -> Result<Vec<Value>> {
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let mut values = Vec::new();
    read_below("", &lines, &mut values)?;
    ensure!(!values.is_empty(), "there are values");
    Ok(values)
}

fn read_below(prefix: &str, lines: &[String], values: &mut Vec<Value>) -> Result<()> {
    for key in keys(lines)? {
        let path =
            if prefix.is_empty() { key.name.clone() } else { format!("{prefix}.{}", key.name) };
        let told_below = key.below.iter().any(|line| line.trim_start().starts_with('#'));
        if told_below {
            read_below(&path, &key.below, values)?;
            continue;
        }
        if key.comment.is_empty() {
            bail!("{path} has no comment right above it");
        }
        let default = flow(&key);
        values.push(Value { path, default, comment: key.comment.join(" ") });
    }
    Ok(())
}

/// The keys of one level, each with its comment and the lines below it.
fn keys(lines: &[String]) -> Result<Vec<Key>> {
    let (mut keys, mut comment): (Vec<Key>, Vec<String>) = (Vec::new(), Vec::new());
    for line in lines {
        let (indent, text) = (line.len() - line.trim_start().len(), line.trim());
        let level = keys.first().map_or(indent, |key: &Key| key.indent);
        if let Some(key) = keys.last_mut().filter(|_| !text.is_empty() && indent > level) {
            key.below.push(line.clone());
        } else if let Some(words) = text.strip_prefix('#') {
            comment.push(words.trim().to_owned());
        } else if text.is_empty() {
            comment.clear();
        } else if let Some((name, inline)) = text.split_once(':') {
            let (name, inline) = (name.to_owned(), inline.trim().to_owned());
            let comment = std::mem::take(&mut comment);
            keys.push(Key { name, indent, inline, comment, below: Vec::new() });
        } else {
            bail!("{text:?} is no key");
        }
    }
    Ok(keys)
}

/// A key's value on one line.
fn flow(key: &Key) -> String {
    if key.below.is_empty() {
        return key.inline.clone();
    }
    flow_of(&key.below)
}

/// What is below a key, on one line: a map, or a list of maps.
fn flow_of(lines: &[String]) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let level = lines.first().map_or(0, |line| indent(line));
    let list = lines.first().is_some_and(|line| line.trim_start().starts_with("- "));
    let mut entries: Vec<Vec<String>> = Vec::new();
    for line in lines {
        match entries.last_mut() {
            Some(entry) if indent(line) > level => entry.push(line.clone()),
            _ => entries.push(vec![line.clone()]),
        }
    }
    let written = |entry: &Vec<String>| {
        if list {
            let mut below = entry.clone();
            below[0] = below[0].replacen("- ", "  ", 1);
            return flow_of(&below);
        }
        let (head, below) =
            entry.split_first().map_or(("", &[][..]), |(head, below)| (head.trim(), below));
        if below.is_empty() { head.to_owned() } else { format!("{head} {}", flow_of(below)) }
    };
    let entries = entries.iter().map(written).collect::<Vec<_>>().join(", ");
    if list { format!("[{entries}]") } else { format!("{{{entries}}}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_told_with_its_path_default_and_comment() {
        let text = "# About the file.\n\n# What a does.\na: \"\"\n\nb:\n  # What c\n  # does.\n  c: 1\n  # What d does.\n  d:\n    e: f\n    g:\n      h: i\n# What j does.\nj:\n  - k: 1\n    l: {}\n  - m: 2\n";
        let value = |path: &str, default: &str, comment: &str| Value {
            path: path.to_owned(),
            default: default.to_owned(),
            comment: comment.to_owned(),
        };
        let expected = [
            value("a", "\"\"", "What a does."),
            value("b.c", "1", "What c does."),
            value("b.d", "{e: f, g: {h: i}}", "What d does."),
            value("j", "[{k: 1, l: {}}, {m: 2}]", "What j does."),
        ];
        assert_eq!(read(text).expect("values"), expected);
    }

    #[test]
    fn a_value_without_a_comment_is_refused() {
        for text in ["a: 1\n", "# Of a.\na: 1\nb: 2\n", "a:\n  # Of b.\n  b: 1\n  c: 2\n"] {
            let error = read(text).expect_err("refused").to_string();
            assert!(error.contains("has no comment"), "{text}: {error}");
        }
    }
}

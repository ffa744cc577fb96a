//! `docs/REFUSALS.md` and the tests of this folder name each other, line by line.

use std::collections::BTreeSet;
use std::path::Path;

/// The names in the table's last column.
fn named_in_the_table() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/REFUSALS.md");
    let text = std::fs::read_to_string(path).expect("docs/REFUSALS.md");
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let rows = rows.filter(|line| !line.contains("---") && !line.contains("| Test |"));
    rows.map(|row| {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        let name = last.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
        name.unwrap_or_else(|| panic!("a row ends with its test in backquotes: {row}")).to_owned()
    })
    .collect()
}

/// The tests in this folder, but for this file's own.
fn tests_of_this_folder() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("tests/refusals") {
        let path = entry.expect("an entry").path();
        if path.ends_with("table.rs") || path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(path).expect("text");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !line.starts_with("#[test]") && !line.starts_with("#[tokio::test") {
                continue;
            }
            let declared = lines.next().unwrap_or_default();
            let name = declared.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
            names.insert(name.expect("a test has a name").to_owned());
        }
    }
    names
}

#[test]
fn each_line_of_the_table_has_its_test_and_each_test_its_line() {
    let (table, tests) = (named_in_the_table(), tests_of_this_folder());
    let untested: Vec<_> = table.difference(&tests).collect();
    assert!(untested.is_empty(), "in docs/REFUSALS.md, but no test: {untested:?}");
    let untold: Vec<_> = tests.difference(&table).collect();
    assert!(untold.is_empty(), "tests that docs/REFUSALS.md does not name: {untold:?}");
}

//! Holds the floors and the house rules by reading the source: a module imports only from floors
//! below, neighbours never import each other, and files stay rooms that one can look around in.
//! Each rule fails with the lines that break it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A file larger than this wants to become two.
const CODE_LINES_MAX: usize = 500;
/// rustfmt breaks code, and leaves comments as they are.
const COMMENT_MAX: usize = 120;
/// Written by the generator, one file for each API.
const GENERATED: &str = "src/wire/messages";
/// The test crate that names the words it forbids.
const THIS_FILE: &str = "tests/floors.rs";

/// A source file, with its path from the root of the project.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines that are compiled into the product, numbered from 1, without comments: what
    /// follows a `mod tests {` is left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        numbered
            .take_while(|(_, line)| !line.starts_with("mod tests"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The module at the root of the crate that the file belongs to.
    fn module(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        Some(below.split('/').next().unwrap_or(below).trim_end_matches(".rs"))
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("_test.rs") || self.path.contains("/tests/")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below the folders, in the order of their names.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let path = path.strip_prefix(root()).expect("below the root");
                found.push(Source { path: path.display().to_string(), text });
            }
        }
    }
    assert!(found.len() > 3, "the sources are found");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The floor of each module, as the groups of `pub mod` lines in `src/lib.rs` tell it, and its
/// place in the list.
fn floors() -> HashMap<String, (usize, usize)> {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let (mut floors, mut floor) = (HashMap::new(), 0);
    for line in lib.lines() {
        match line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            Some(name) => drop(floors.insert(name.to_owned(), (floor, floors.len()))),
            None => floor += 1,
        }
    }
    floors
}

/// The modules named by `crate::NAME` and `crate::{A, B::C}` in one statement.
fn imported(statement: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in statement.match_indices("crate::") {
        let whole =
            !statement[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        if !whole {
            continue;
        }
        let rest = &statement[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(top_names(list)),
            None => names.extend(first_name(rest)),
        }
    }
    names
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The names at depth one of a list whose opening brace is gone.
fn top_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut item) = (Vec::new(), 1, String::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.extend(first_name(std::mem::take(&mut item).trim())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && c != ',' && c != '}' {
            item.push(c);
        }
    }
    names.extend(first_name(item.trim()));
    names
}

/// The code of a file cut at `;`, each statement with the line on which it begins.
fn statements(source: &Source) -> Vec<(usize, String)> {
    let (mut statements, mut begun) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in source.code() {
        let (_, text) = begun.get_or_insert_with(|| (number, String::new()));
        text.push_str(line);
        text.push(' ');
        if line.trim_end().ends_with([';', '{', '}']) && !line.contains("crate::{")
            || line.trim_end().ends_with(';')
        {
            statements.extend(begun.take());
        }
    }
    statements.extend(begun);
    statements
}

fn hold(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn a_module_imports_only_from_floors_below() {
    let floors = floors();
    let top = floors.values().map(|(floor, _)| *floor).max().expect("floors");
    let mut broken = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        let Some(here) = source.module().filter(|module| !["lib", "main"].contains(module)) else {
            continue;
        };
        let &(floor, place) = floors.get(here).unwrap_or_else(|| panic!("{here} is not listed"));
        for (line, statement) in statements(source) {
            for name in imported(&statement).iter().filter(|name| *name != here) {
                // What is not a module is a re-export of the crate's root; there are none.
                let Some(&(below, before)) = floors.get(name) else {
                    broken.push(format!("{}:{line}: crate::{name} is no module", source.path));
                    continue;
                };
                // At the top the order of the list counts: the command line runs the app.
                let on_top = floor == top && below == top && before < place;
                if below >= floor && !on_top {
                    broken.push(format!("{}:{line}: {here} imports {name}", source.path));
                }
            }
        }
    }
    hold("a module imports only from the floors that src/lib.rs lists above it", &broken);
}

#[test]
fn the_tiering_crate_knows_nothing_of_the_broker() {
    let mut broken = Vec::new();
    for source in sources(&["tiering/src", "tiering/tests"]) {
        for (line, code) in source.code() {
            if code.contains("icecore::") || code.contains("kafka") {
                broken.push(format!("{}:{line}: {}", source.path, code.trim()));
            }
        }
    }
    let manifest = std::fs::read_to_string(root().join("tiering/Cargo.toml")).expect("manifest");
    let depends = manifest.lines().any(|line| line.starts_with("icecore") && line.contains('='));
    assert!(!depends, "tiering/Cargo.toml depends on icecore");
    hold("tiering uses nothing of icecore and does not speak of its protocol", &broken);
}

#[test]
fn only_the_edges_know_what_is_theirs() {
    // What is absent, as docs/ARCHITECTURE.md promises it: the words, and who may use them.
    let rules: [(&str, &[&str]); 9] = [
        ("object_store::", &["tiering/src/"]),
        ("aws_sdk_s3::", &["tiering/src/store/"]),
        ("rusqlite::", &["tiering/src/", "src/cluster/", "src/cli/"]),
        ("axum::", &["src/http/"]),
        ("prometheus_client::", &["src/metrics/"]),
        ("opentelemetry", &["src/telemetry/"]),
        ("tracing_subscriber::", &["src/telemetry/"]),
        ("clap::", &["src/cli/", "src/main.rs"]),
        ("crate::wire::messages", &["src/wire/", "src/broker/", "src/coordinator/", "src/cli/"]),
    ];
    let mut broken = Vec::new();
    for source in sources(&["src", "tiering/src"]).iter().filter(|source| !source.is_test()) {
        for (line, code) in source.code() {
            for (word, homes) in rules {
                if code.contains(word) && !homes.iter().any(|home| source.path.starts_with(home)) {
                    broken.push(format!("{}:{line}: {}", source.path, code.trim()));
                }
            }
        }
    }
    hold("each of these words has its home", &broken);
}

#[test]
fn every_file_says_first_what_it_is() {
    let all = sources(&["src", "tiering/src", "tiering/tests", "tests", "xtask/src", "benches"]);
    let broken: Vec<_> = all
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .filter(|source| !source.text.starts_with("// @generated"))
        .map(|source| format!("{}:1: {}", source.path, source.text.lines().next().unwrap_or("")))
        .collect();
    hold("a file begins with //!", &broken);
}

#[test]
fn no_file_outgrows_its_room() {
    let broken: Vec<_> = sources(&["src", "tiering/src"])
        .iter()
        .filter(|source| !source.path.starts_with(GENERATED))
        .map(|source| (source, source.code().count()))
        .filter(|(_, lines)| *lines > CODE_LINES_MAX)
        .map(|(source, lines)| format!("{}: {lines} lines of code", source.path))
        .collect();
    hold(&format!("a file has at most {CODE_LINES_MAX} lines of code"), &broken);
}

#[test]
fn a_line_of_a_comment_keeps_to_its_width() {
    let all = sources(&["src", "tiering/src", "tiering/tests", "tests", "xtask/src", "benches"]);
    let mut broken = Vec::new();
    for source in all.iter().filter(|source| !source.path.starts_with(GENERATED)) {
        for (at, line) in source.text.lines().enumerate() {
            // A row of a table cannot be broken.
            let row = ["//! |", "/// |"].iter().any(|row| line.trim_start().starts_with(row));
            if line.trim_start().starts_with("//") && !row && line.chars().count() > COMMENT_MAX {
                broken.push(format!("{}:{}: {}", source.path, at + 1, line.trim()));
            }
        }
    }
    hold(&format!("a line of a comment has at most {COMMENT_MAX} characters"), &broken);
}

#[test]
fn nothing_is_left_for_later() {
    let mut broken = Vec::new();
    let all = sources(&["src", "tiering/src", "tiering/tests", "tests", "xtask/src"]);
    for source in all.iter().filter(|source| source.path != THIS_FILE) {
        for (at, line) in source.text.lines().enumerate() {
            let words = ["todo!(", "unimplemented!(", "#[ignore", "TODO", "FIXME", "XXX"];
            if words.iter().any(|word| line.contains(word)) {
                broken.push(format!("{}:{}: {}", source.path, at + 1, line.trim()));
            }
        }
    }
    hold("no stub and no test that is skipped", &broken);
}

#[test]
fn no_module_is_named_after_nothing() {
    let names = ["util", "utils", "helper", "helpers", "common", "manager", "misc"];
    let broken: Vec<_> = sources(&["src", "tiering/src", "xtask/src"])
        .iter()
        .filter(|source| {
            source.path.split('/').any(|part| names.contains(&part.trim_end_matches(".rs")))
        })
        .map(|source| source.path.clone())
        .collect();
    hold("a module is named after what it holds", &broken);
}

#[test]
fn each_line_of_the_table_of_policies_has_its_test() {
    let table = std::fs::read_to_string(root().join("docs/POLICIES.md")).expect("a document");
    let declared: HashSet<String> = sources(&["src", "tests", "tiering/src"])
        .iter()
        .flat_map(|source| source.text.lines())
        .filter_map(|line| line.trim_start().split("fn ").nth(1)?.split('(').next())
        .map(str::to_owned)
        .collect();
    let rows = table.lines().filter(|line| line.starts_with('|') && !line.contains("---"));
    let rows = rows.filter(|line| !line.ends_with("| Test |"));
    let broken: Vec<_> = rows
        .filter(|row| {
            let test = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
            let test = test.trim().strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            test.is_none_or(|test| !declared.contains(test))
        })
        .map(str::to_owned)
        .collect();
    hold("a row of docs/POLICIES.md ends with a test that there is", &broken);
}

#[test]
fn imports_are_read_as_they_are_written() {
    assert_eq!(imported("use crate::log::{Sealed, FileKind};"), ["log"]);
    assert_eq!(imported("use crate::{log::{A, B}, wire, replica::C};"), ["log", "wire", "replica"]);
    assert_eq!(imported("let x = crate::wire::ErrorCode::None;"), ["wire"]);
    assert!(imported("use othercrate::log;").is_empty());
}

//! `docs/CONFIGURATION.md` holds a table of every setting; this writes it and holds it up to date.

use std::fmt::Write as _;
use std::path::Path;

use super::meaning::meaning;
use super::own_settings::BROKER_SETTINGS;
use super::setting::{Bounds, Kind, Setting};
use super::topic_settings::TOPIC_SETTINGS;

/// Everything behind this line of the document is written here.
const MARK: &str = "<!-- written by ICECORE_WRITE_DOCS=1 cargo test --lib config::table_test -->\n";

fn bounds(setting: &Setting) -> String {
    match (setting.bounds, setting.kind) {
        (Bounds::AtLeast(least), _) => format!("at least {least}"),
        (Bounds::OffOrAtLeast(least), _) => format!("at least {least}, or -1"),
        (Bounds::Between(least, most), _) => format!("{least} to {most}"),
        (Bounds::OneOf(words), _) => words.join(", "),
        (Bounds::Fraction, _) => "0 to 1".into(),
        (Bounds::Any, Kind::Boolean) => "true, false".into(),
        (Bounds::Any, Kind::Text) => "text".into(),
        (Bounds::Any, Kind::List) => "list".into(),
        (Bounds::Any, Kind::Int | Kind::Long | Kind::Double) => "number".into(),
    }
}

fn default(setting: &Setting) -> String {
    match setting.default {
        "" => "not set".into(),
        "9223372036854775807" => meaning(setting.name, setting.default).unwrap_or_default(),
        default => format!("`{default}`"),
    }
}

fn table(settings: &[Setting]) -> String {
    let mut text = "| Setting | Default | Values | What it does |\n|---|---|---|---|\n".to_owned();
    for setting in settings {
        let (default, bounds) = (default(setting), bounds(setting));
        let broker = setting.synonym.map(|name| format!(" Default from the broker's `{name}`."));
        let broker = broker.unwrap_or_default();
        let runtime = if setting.changes_at_runtime { " Changes at runtime." } else { "" };
        let policy = if setting.in_policies { " A policy may give it." } else { "" };
        writeln!(
            text,
            "| `{}` | {default} | {bounds} | {}{broker}{runtime}{policy} |",
            setting.name, setting.doc
        )
        .expect("text takes text");
    }
    text
}

#[test]
fn the_table_of_settings_in_the_documents_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIGURATION.md");
    let text = std::fs::read_to_string(&path).expect("docs/CONFIGURATION.md");
    let (before, _) = text.split_once(MARK).expect("the document has the mark");
    let expected = format!(
        "{before}{MARK}\n## Broker settings\n\n{}\n## Topic settings\n\n{}",
        table(BROKER_SETTINGS),
        table(TOPIC_SETTINGS)
    );
    if std::env::var_os("ICECORE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("written");
    }
    assert!(
        text == expected || std::env::var_os("ICECORE_WRITE_DOCS").is_some(),
        "docs/CONFIGURATION.md is out of date: run the command that stands in it"
    );
}

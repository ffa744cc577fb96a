//! Text of `api.rs` (the keys and their versions) and `mod.rs` (the list of files).

use std::fmt::Write as _;

use super::emit::{head, version_words};
use super::output::Output;
use super::plan::{FilePlan, MessagePlan};
use super::schema::{Kind, Versions};

/// Requests in order of their keys.
fn requests(files: &[FilePlan]) -> impl Iterator<Item = &MessagePlan> {
    files.iter().map(|file| &file.messages[0]).filter(|message| message.kind == Kind::Request)
}

fn name(request: &MessagePlan) -> &str {
    request.name.trim_end_matches("Request")
}

/// Without the last version where Kafka still may change it.
fn stable(request: &MessagePlan) -> Versions {
    let Versions { low, high } = request.versions;
    Versions { low, high: high - i16::from(request.last_unstable) }
}

/// The `ApiKey` enum with its constant facts.
pub(super) fn api_file(files: &[FilePlan]) -> Output {
    let mut variants = String::new();
    let mut all = String::new();
    let mut by_key = String::new();
    let mut facts = String::new();
    for request in requests(files) {
        let (name, key) = (name(request), request.api_key.unwrap_or_default());
        let Versions { low, high } = stable(request);
        let _ = writeln!(
            variants,
            "/// {}.\n{name} = {key},",
            capital(&version_words(stable(request)))
        );
        let _ = writeln!(all, "Self::{name},");
        let _ = writeln!(by_key, "{key} => Self::{name},");
        let first = request.first_flexible;
        let _ = writeln!(
            facts,
            "Self::{name} => Facts {{ name: \"{name}\", min: {low}, max: {high}, \
             first_flexible: {first:?} }},"
        );
    }
    let count = requests(files).count();
    let text = format!(
        "{}use crate::wire::api_facts::Facts;\n\n\
         /// An API that brokers serve to clients. Its versions are the stable ones.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\n\
         #[repr(i16)]\npub enum ApiKey {{\n{variants}}}\n\n\
         impl ApiKey {{\n/// Every API, by ascending key.\n\
         pub const ALL: [Self; {count}] = [\n{all}];\n\n\
         /// The API of a key on the wire, if brokers serve it.\n\
         #[must_use]\npub const fn from_i16(key: i16) -> Option<Self> {{\nSome(match key {{\n\
         {by_key}_ => return None,\n}})\n}}\n\n\
         pub(in crate::wire) const fn facts(self) -> Facts {{\nmatch self {{\n{facts}}}\n}}\n}}\n",
        head("The keys of the APIs that clients call.")
    );
    Output { path: "src/wire/messages/api.rs".to_owned(), text }
}

fn capital(words: &str) -> String {
    words.replacen('v', "V", 1)
}

/// The list of generated modules.
pub(super) fn mod_file(files: &[FilePlan]) -> Output {
    let mut modules: Vec<&str> = files.iter().map(|file| file.module.as_str()).collect();
    modules.push("api");
    modules.sort_unstable();
    let mut text = head("Kafka's messages: one file per API with its request and its response.");
    for module in modules {
        let _ = writeln!(text, "pub mod {module};");
    }
    Output { path: "src/wire/messages/mod.rs".to_owned(), text }
}

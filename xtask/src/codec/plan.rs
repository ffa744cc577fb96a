//! Settles everything that the text of a file depends on: struct names, lifetimes, in which
//! versions a field is there or may be null, and its default.
//!
//! Versions are settled relative to the struct that holds a field: a field that is there in every
//! version in which its struct can occur carries no condition.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::schema::{Definition, Field, Kind, Versions};
use super::types::Type;

/// When, of all versions in which its struct occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Never,
    From(i16),
    Until(i16),
    Between(i16, i16),
}

impl When {
    fn new(versions: Versions, context: Versions) -> Self {
        let within = versions.intersect(context);
        match (within.low <= context.low, within.high >= context.high) {
            _ if within.is_empty() => Self::Never,
            (true, true) => Self::Always,
            (false, true) => Self::From(within.low),
            (true, false) => Self::Until(within.high),
            (false, false) => Self::Between(within.low, within.high),
        }
    }
}

/// A field's value where nobody set one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Default {
    /// Zero, false, empty, or the struct's own default.
    Plain,
    Null,
    True,
    Integer(i64),
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldPlan {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) present: When,
    pub(super) nullable: When,
    pub(super) tag: Option<u32>,
    pub(super) ignorable: bool,
    pub(super) default: Default,
    /// A string that keeps its two-byte length in flexible versions.
    pub(super) short_string: bool,
    /// For the table of the tests.
    pub(super) versions: (i16, i16),
    pub(super) nullable_versions: (i16, i16),
}

impl FieldPlan {
    /// Whether the Rust type is an `Option`; records have a null of their own.
    pub(super) fn is_option(&self) -> bool {
        self.nullable != When::Never && self.kind != Type::Records
    }

    /// Whether two fields read and write alike; the versions that the tests know may differ.
    fn is_like(&self, other: &Self) -> bool {
        let bare =
            |field: &Self| Self { versions: (0, 0), nullable_versions: (0, 0), ..field.clone() };
        bare(self) == bare(other)
    }
}

/// One struct, top-level or nested.
#[derive(Clone, Debug)]
pub(super) struct StructPlan {
    pub(super) name: String,
    pub(super) fields: Vec<FieldPlan>,
    pub(super) min_bytes: usize,
    pub(super) borrows: bool,
    /// Whether any version of its message has tagged fields.
    pub(super) flexible: bool,
    /// Whether records are what a client sends: borrowed, never external.
    pub(super) in_request: bool,
}

/// One message of a file.
#[derive(Clone, Debug)]
pub(super) struct MessagePlan {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) api_key: Option<i16>,
    pub(super) versions: Versions,
    pub(super) first_flexible: Option<i16>,
    pub(super) last_unstable: bool,
    /// The message's own structs by name in this file, its root first.
    pub(super) structs: Vec<StructPlan>,
}

impl MessagePlan {
    pub(super) fn structure(&self, name: &str) -> &StructPlan {
        self.structs
            .iter()
            .find(|structure| structure.name == name)
            .unwrap_or_else(|| panic!("{} has no struct {name}", self.name))
    }
}

/// One file of the output.
#[derive(Debug)]
pub(super) struct FilePlan {
    pub(super) module: String,
    pub(super) messages: Vec<MessagePlan>,
}

impl FilePlan {
    pub(super) fn new(module: &str, definitions: &[&Definition]) -> Result<Self> {
        let mut messages = definitions
            .iter()
            .map(|definition| plan_message(definition).with_context(|| definition.name.clone()))
            .collect::<Result<Vec<_>>>()?;
        let ambiguous = ambiguous_names(&messages);
        for message in &mut messages {
            rename(message, &ambiguous);
        }
        Ok(Self { module: module.to_owned(), messages })
    }
}

fn plan_message(definition: &Definition) -> Result<MessagePlan> {
    let versions = Versions::parse(&definition.valid_versions)?;
    let flexible = Versions::parse(&definition.flexible_versions)?.intersect(versions);
    let mut raw = RawStructs { found: Vec::new(), in_request: definition.kind == Kind::Request };
    raw.add(&definition.name, &definition.fields, versions)?;
    for common in &definition.common_structs {
        let context = Versions::parse(&common.versions)?.intersect(versions);
        raw.add(&common.name, &common.fields, context)?;
    }
    let first_flexible = (!flexible.is_empty()).then_some(flexible.low);
    let mut message = MessagePlan {
        name: definition.name.clone(),
        kind: definition.kind,
        api_key: definition.api_key,
        versions,
        first_flexible,
        last_unstable: definition.latest_version_unstable,
        structs: Vec::new(),
    };
    message.structs = raw.settle(&message)?;
    Ok(message)
}

/// Structs as they are found on the way down through a definition.
struct RawStructs {
    found: Vec<(String, Vec<FieldPlan>, Versions)>,
    in_request: bool,
}

impl RawStructs {
    fn add(&mut self, name: &str, fields: &[Field], context: Versions) -> Result<()> {
        ensure!(self.get(name).is_none(), "struct {name} is defined twice");
        let slot = self.found.len();
        self.found.push((name.to_owned(), Vec::new(), context));
        for field in fields {
            let plan = plan_field(field, context).with_context(|| field.name.clone())?;
            if let Some(nested) = plan.kind.structure().filter(|_| !field.fields.is_empty()) {
                let inner = field_versions(field)?.intersect(context);
                self.add(nested, &field.fields, inner)?;
            }
            if plan.present != When::Never {
                self.found[slot].1.push(plan);
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&(String, Vec<FieldPlan>, Versions)> {
        self.found.iter().find(|(found, ..)| found == name)
    }

    /// Leaves out structs that no valid version reaches.
    fn settle(&self, message: &MessagePlan) -> Result<Vec<StructPlan>> {
        let mut settled = Vec::new();
        for (name, fields, context) in self.found.iter().filter(|(.., context)| !context.is_empty())
        {
            let sizes = (context.low..=context.high)
                .map(|version| self.min_bytes(fields, message, version))
                .collect::<Result<Vec<_>>>()?;
            let min_bytes = sizes.into_iter().min().unwrap_or(0);
            ensure!(min_bytes > 0 || *name == message.name, "{name} can take no bytes at all");
            settled.push(StructPlan {
                name: name.clone(),
                fields: fields.clone(),
                min_bytes: min_bytes.max(1),
                borrows: self.borrows(fields),
                flexible: message.first_flexible.is_some(),
                in_request: self.in_request,
            });
        }
        Ok(settled)
    }

    fn fields(&self, name: &str) -> Result<&[FieldPlan]> {
        let (_, fields, _) = self.get(name).with_context(|| format!("no struct {name}"))?;
        Ok(fields)
    }

    fn borrows(&self, fields: &[FieldPlan]) -> bool {
        fields.iter().any(|field| {
            let nested = field.kind.structure().and_then(|name| self.get(name));
            field.kind.borrows() || nested.is_some_and(|(_, inner, _)| self.borrows(inner))
        })
    }

    fn min_bytes(&self, fields: &[FieldPlan], message: &MessagePlan, at: i16) -> Result<usize> {
        let flexible = message.first_flexible.is_some_and(|first| at >= first);
        let mut sum = usize::from(flexible);
        let there = |field: &&FieldPlan| {
            field.tag.is_none() && field.versions.0 <= at && at <= field.versions.1
        };
        for field in fields.iter().filter(there) {
            sum += match &field.kind {
                Type::Struct(_) if field.is_option() => 1,
                Type::Struct(name) => self.min_bytes(self.fields(name)?, message, at)?,
                plain => plain.min_bytes(flexible),
            };
        }
        Ok(sum)
    }
}

/// Some tagged fields name their versions only once.
fn field_versions(field: &Field) -> Result<Versions> {
    Versions::parse(field.versions.as_ref().unwrap_or(&field.tagged_versions))
}

fn plan_field(field: &Field, context: Versions) -> Result<FieldPlan> {
    let versions = field_versions(field)?.intersect(context);
    let nullable = Versions::parse(&field.nullable_versions)?.intersect(versions);
    let tagged = Versions::parse(&field.tagged_versions)?.intersect(context);
    ensure!(tagged.is_empty() || tagged == versions, "tagged in some of its versions only");
    ensure!(tagged.is_empty() || field.tag.is_some(), "tagged without a tag");
    let kind = Type::parse(&field.type_name, &field.name)?;
    let pair = |range: Versions| if range.is_empty() { (0, -1) } else { (range.low, range.high) };
    let default = match default_of(field.default.as_ref(), &kind)? {
        Default::Null if nullable.is_empty() => Default::Plain,
        other => other,
    };
    Ok(FieldPlan {
        name: field.name.clone(),
        default,
        present: When::new(versions, context),
        nullable: When::new(nullable, versions),
        tag: field.tag.filter(|_| !tagged.is_empty()),
        ignorable: field.ignorable,
        short_string: field.flexible_versions.as_deref() == Some("none"),
        versions: pair(versions),
        nullable_versions: pair(nullable),
        kind,
    })
}

fn default_of(value: Option<&Value>, kind: &Type) -> Result<Default> {
    let text = match value {
        None => return Ok(if *kind == Type::Records { Default::Null } else { Default::Plain }),
        Some(Value::Null) => return Ok(Default::Null),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    Ok(match (kind, text.as_str()) {
        (Type::Integer(_), text) => match integer(text)? {
            0 => Default::Plain,
            number => Default::Integer(number),
        },
        (_, "null") => Default::Null,
        (Type::Bool, "true") => Default::True,
        (Type::Bool, "false") | (Type::Text, "") => Default::Plain,
        _ => bail!("a default that the generator does not know: {text:?}"),
    })
}

fn integer(text: &str) -> Result<i64> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.with_context(|| format!("not an integer: {text:?}"))
}

/// Struct names that mean different things in the messages of one file. A struct that holds an
/// ambiguous one is ambiguous too.
fn ambiguous_names(messages: &[MessagePlan]) -> BTreeSet<String> {
    let mut by_name: BTreeMap<&str, Vec<&StructPlan>> = BTreeMap::new();
    for structure in messages.iter().flat_map(|message| &message.structs) {
        by_name.entry(&structure.name).or_default().push(structure);
    }
    by_name.retain(|_, same| same.len() > 1);
    let mut ambiguous = BTreeSet::new();
    loop {
        let before = ambiguous.len();
        for (name, same) in &by_name {
            let differs = same.iter().any(|other| !alike(other, same[0]));
            if differs || holds_any(same[0], &ambiguous) {
                ambiguous.insert((*name).to_owned());
            }
        }
        if ambiguous.len() == before {
            return ambiguous;
        }
    }
}

fn alike(one: &StructPlan, other: &StructPlan) -> bool {
    one.fields.len() == other.fields.len()
        && one.flexible == other.flexible
        && one.fields.iter().zip(&other.fields).all(|(one, other)| one.is_like(other))
}

fn holds_any(structure: &StructPlan, names: &BTreeSet<String>) -> bool {
    structure.fields.iter().filter_map(|field| field.kind.structure()).any(|n| names.contains(n))
}

fn rename(message: &mut MessagePlan, ambiguous: &BTreeSet<String>) {
    let prefix = message.name.clone();
    let rename = |name: &str| {
        if ambiguous.contains(name) { format!("{prefix}{name}") } else { name.to_owned() }
    };
    for structure in &mut message.structs {
        structure.name = rename(&structure.name);
        for field in &mut structure.fields {
            field.kind = field.kind.renamed(rename);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, kind: &str, inner: &str) -> Definition {
        let text = format!(
            r#"{{ "name": "{name}", "type": "{kind}", "apiKey": 7,
                "validVersions": "1-4", "flexibleVersions": "3+", "fields": [
                {{ "name": "Topics", "type": "[]Topic", "versions": "2+", "fields": [
                {{ "name": "Parts", "type": "[]Part", "versions": "2+", "fields": [
                {{ "name": "Index", "type": "{inner}", "versions": "2+" }} ] }} ] }} ] }}"#
        );
        Definition::parse(&text).unwrap()
    }

    fn struct_names(request: &str, response: &str) -> Vec<String> {
        let request = definition("XRequest", "request", request);
        let response = definition("XResponse", "response", response);
        let plan = FilePlan::new("x", &[&request, &response]).unwrap();
        let structs = plan.messages.into_iter().flat_map(|message| message.structs);
        structs.map(|structure| structure.name).collect()
    }

    #[test]
    fn structs_that_two_messages_define_alike_are_one() {
        let names = struct_names("int32", "int32");
        assert_eq!(names, ["XRequest", "Topic", "Part", "XResponse", "Topic", "Part"]);
    }

    #[test]
    fn structs_that_differ_are_named_after_their_messages_and_so_are_their_holders() {
        let names = struct_names("int32", "int64");
        assert_eq!(names[..3], ["XRequest", "XRequestTopic", "XRequestPart"]);
        assert_eq!(names[3..], ["XResponse", "XResponseTopic", "XResponsePart"]);
    }

    #[test]
    fn versions_are_conditions_only_where_the_holder_can_lack_the_field() {
        let definition = definition("XRequest", "request", "int32");
        let plan = FilePlan::new("x", &[&definition]).unwrap();
        let [root, topic, _] = plan.messages[0].structs.as_slice() else { panic!("three structs") };
        assert_eq!(root.fields[0].present, When::From(2));
        assert_eq!(topic.fields[0].present, When::Always);
    }

    #[test]
    fn the_fewest_bytes_are_those_of_the_smallest_version() {
        let definition = definition("XRequest", "request", "int32");
        let plan = FilePlan::new("x", &[&definition]).unwrap();
        let sizes: Vec<_> = plan.messages[0].structs.iter().map(|one| one.min_bytes).collect();
        assert_eq!(sizes, [1, 2, 4], "nothing in v1; flexible v3 with its tags; plain v2");
    }
}

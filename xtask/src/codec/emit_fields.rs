//! Text that depends on one field: its type, its documentation, its default, and the statements
//! that read and write it.

use std::fmt::Write as _;

use super::names;
use super::plan::{Default, FieldPlan, MessagePlan, StructPlan, When};
use super::types::Type;

/// The field's type in Rust.
pub(super) fn rust_type(field: &FieldPlan, holder: &StructPlan, message: &MessagePlan) -> String {
    if field.kind == Type::Records && holder.in_request {
        return "Option<&'a [u8]>".to_owned();
    }
    let bare = bare_type(&field.kind, message);
    if field.is_option() { format!("Option<{bare}>") } else { bare }
}

fn bare_type(kind: &Type, message: &MessagePlan) -> String {
    match kind {
        Type::Bool => "bool".to_owned(),
        Type::Integer(name) => (*name).to_owned(),
        Type::Float => "f64".to_owned(),
        Type::Uuid => "[u8; 16]".to_owned(),
        Type::TopicId => "TopicId".to_owned(),
        Type::Text => "Cow<'a, str>".to_owned(),
        Type::Bytes => "Cow<'a, [u8]>".to_owned(),
        Type::Records => "Records<'a>".to_owned(),
        Type::Struct(name) if message.structure(name).borrows => format!("{name}<'a>"),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", bare_type(element, message)),
    }
}

/// One line that says what a reader of the struct needs: wire type, versions, default.
pub(super) fn describe(field: &FieldPlan) -> String {
    let mut text = format!("`{}`: {}", field.name, field.kind.describe());
    if let Some(tag) = field.tag {
        let _ = write!(text, ", tag {tag}");
    }
    if let Some(words) = when_words(field.present) {
        let _ = write!(text, ", {words}");
    }
    match field.nullable {
        When::Never => {}
        When::Always => text.push_str(", nullable"),
        when => {
            let _ = write!(text, ", nullable {}", when_words(when).unwrap_or_default());
        }
    }
    match &field.default {
        Default::Integer(number) => {
            let _ = write!(text, ", default {number}");
        }
        Default::True => text.push_str(", default true"),
        Default::Null => text.push_str(", default null"),
        Default::Plain => {}
    }
    text + "."
}

fn when_words(when: When) -> Option<String> {
    match when {
        When::Always | When::Never => None,
        When::From(first) => Some(format!("from version {first}")),
        When::Until(last) => Some(format!("until version {last}")),
        When::Between(first, last) if first == last => Some(format!("in version {first}")),
        When::Between(first, last) => Some(format!("in versions {first} to {last}")),
    }
}

/// A condition on `version`; none when it always holds.
fn condition(when: When) -> Option<String> {
    match when {
        When::Always => None,
        When::Never => Some("false".to_owned()),
        When::From(first) => Some(format!("version >= {first}")),
        When::Until(last) => Some(format!("version <= {last}")),
        When::Between(first, last) if first == last => Some(format!("version == {first}")),
        When::Between(first, last) => Some(format!("({first}..={last}).contains(&version)")),
    }
}

/// The opposite of [`condition`]; none when it never holds.
fn negated_condition(when: When) -> Option<String> {
    match when {
        When::Always => None,
        When::Never => Some("true".to_owned()),
        When::From(first) => Some(format!("version < {first}")),
        When::Until(last) => Some(format!("version > {last}")),
        When::Between(first, last) => Some(format!("!({first}..={last}).contains(&version)")),
    }
}

fn allowed(when: When) -> String {
    condition(when).unwrap_or_else(|| "true".to_owned())
}

/// The value that the field has where nobody set one.
pub(super) fn default_value(
    field: &FieldPlan,
    holder: &StructPlan,
    message: &MessagePlan,
) -> String {
    let plain = match &field.kind {
        Type::Bool => "false",
        Type::Integer(_) => "0",
        Type::Float => "0.0",
        Type::Uuid => "[0; 16]",
        Type::TopicId => "TopicId::ZERO",
        Type::Text => "Cow::Borrowed(\"\")",
        Type::Bytes => "Cow::Borrowed(&[])",
        Type::Records if holder.in_request => "Some(&[])",
        Type::Records => "Records::EMPTY",
        Type::Array(_) => "Vec::new()",
        Type::Struct(name) => return struct_default(field, &message.structure(name).name),
    };
    match &field.default {
        Default::Null if field.kind == Type::Records && !holder.in_request => {
            "Records::Null".to_owned()
        }
        Default::Null => "None".to_owned(),
        Default::True => "true".to_owned(),
        Default::Integer(number) => number.to_string(),
        Default::Plain if field.is_option() => format!("Some({plain})"),
        Default::Plain => plain.to_owned(),
    }
}

fn struct_default(field: &FieldPlan, name: &str) -> String {
    match field.default {
        Default::Null => "None".to_owned(),
        _ if field.is_option() => format!("Some({name}::default())"),
        _ => format!("{name}::default()"),
    }
}

/// Whether the field of `self` has its default.
fn is_default(field: &FieldPlan, holder: &StructPlan, message: &MessagePlan) -> String {
    let name = format!("self.{}", names::field(&field.name));
    let value = default_value(field, holder, message);
    match (&field.kind, &field.default) {
        (_, Default::Null) if field.is_option() => format!("{name}.is_none()"),
        (Type::Bool, Default::True) => name,
        (Type::Bool, _) => format!("!{name}"),
        (Type::Text, _) if field.is_option() => format!("{name}.as_deref() == Some(\"\")"),
        (Type::Array(_), _) if field.is_option() => {
            format!("{name}.as_ref().is_some_and(Vec::is_empty)")
        }
        (Type::Text | Type::Bytes | Type::Array(_), _) => format!("{name}.is_empty()"),
        _ => format!("{name} == {value}"),
    }
}

/// The opposite of [`is_default`], as a person would write it.
fn is_set(field: &FieldPlan, holder: &StructPlan, message: &MessagePlan) -> String {
    let is_default = is_default(field, holder, message);
    if let Some(positive) = is_default.strip_prefix('!') {
        return positive.to_owned();
    }
    if let Some(name) = is_default.strip_suffix(".is_none()") {
        return format!("{name}.is_some()");
    }
    match is_default.split_once(" == ") {
        Some((name, value)) => format!("{name} != {value}"),
        None => format!("!{is_default}"),
    }
}

/// The body of `read`.
pub(super) fn read_body(structure: &StructPlan, message: &MessagePlan) -> String {
    let tagged: Vec<_> = structure.fields.iter().filter(|field| field.tag.is_some()).collect();
    let literal = read_literal(structure, message);
    if !structure.flexible {
        return format!("Ok({literal})\n");
    }
    if tagged.is_empty() {
        return format!("let value = {literal};\nfrom.skip_tagged_fields()?;\nOk(value)\n");
    }
    let mut text = format!("let mut value = {literal};\n");
    text.push_str("from.tagged_fields(&mut |tag, from| {\nmatch tag {\n");
    for field in tagged {
        let tag = field.tag.unwrap_or_default();
        let guard = condition(field.present).map(|when| format!(" if {when}")).unwrap_or_default();
        let name = names::field(&field.name);
        let read = read_expression(field, structure);
        let _ = writeln!(text, "{tag}{guard} => value.{name} = {read},");
    }
    text.push_str("_ => return Ok(false),\n}\nOk(true)\n})?;\nOk(value)\n");
    text
}

/// Fields of a struct literal are evaluated in the order in which they are written, which is the
/// order on the wire.
fn read_literal(structure: &StructPlan, message: &MessagePlan) -> String {
    let mut text = "Self {\n".to_owned();
    for field in &structure.fields {
        let name = names::field(&field.name);
        let default = default_value(field, structure, message);
        let read = read_expression(field, structure);
        let value = match condition(field.present) {
            _ if field.tag.is_some() => default,
            None => read,
            Some(when) => format!("if {when} {{ {read} }} else {{ {default} }}"),
        };
        let _ = writeln!(text, "{name}: {value},");
    }
    text + "}"
}

fn read_expression(field: &FieldPlan, holder: &StructPlan) -> String {
    let null = allowed(field.nullable);
    let option = field.is_option();
    match &field.kind {
        Type::Text if field.short_string => "from.nullable_short_string()?".to_owned(),
        Type::Text if option => format!("from.nullable_string({null})?"),
        Type::Text => "from.string()?".to_owned(),
        Type::Bytes if option => format!("from.nullable_bytes({null})?.map(Cow::Borrowed)"),
        Type::Bytes => "Cow::Borrowed(from.bytes()?)".to_owned(),
        Type::Records if holder.in_request => format!("from.nullable_bytes({null})?"),
        Type::Records => format!("Records::read(from, {null})?"),
        Type::Array(_) if option => format!("from.nullable_array(version, {null})?"),
        Type::Array(_) => "from.array(version)?".to_owned(),
        Type::Struct(_) if option => format!("from.nullable_struct(version, {null})?"),
        _ => "Element::read(from, version)?".to_owned(),
    }
}

/// The body of `write`, up to its `Ok(())`.
pub(super) fn write_body(structure: &StructPlan, message: &MessagePlan) -> String {
    let mut text = String::new();
    for field in structure.fields.iter().filter(|field| field.tag.is_none()) {
        let write = write_expression(field, structure);
        match condition(field.present) {
            None => {
                let _ = writeln!(text, "{write}?;");
            }
            Some(when) => {
                let absent = refusal(field, structure, message)
                    .map(|refusal| format!(" else {{ {refusal} }}"))
                    .unwrap_or_default();
                let _ = writeln!(text, "if {when} {{ {write}?; }}{absent}");
            }
        }
    }
    text + &write_tagged(structure, message)
}

/// What to do with a value that the version lacks: nothing when it may be dropped.
fn refusal(field: &FieldPlan, holder: &StructPlan, message: &MessagePlan) -> Option<String> {
    let default = is_default(field, holder, message);
    let path = path(field, holder);
    (!field.ignorable).then(|| format!("to.absent({path}, {default})?;"))
}

fn path(field: &FieldPlan, holder: &StructPlan) -> String {
    format!("\"{}.{}\"", holder.name, names::snake(&field.name))
}

fn write_tagged(structure: &StructPlan, message: &MessagePlan) -> String {
    let tagged: Vec<_> = structure.fields.iter().filter(|field| field.tag.is_some()).collect();
    if !structure.flexible {
        return String::new();
    }
    if tagged.is_empty() {
        return "to.no_tagged_fields();\n".to_owned();
    }
    let mut refusals = String::new();
    let mut bits = String::new();
    let mut writes = String::new();
    for (slot, field) in tagged.iter().enumerate() {
        let absent = negated_condition(field.present);
        if let (Some(when), Some(refusal)) = (absent, refusal(field, structure, message)) {
            let _ = writeln!(refusals, "if {when} {{ {refusal} }}");
        }
        let there = condition(field.present);
        let when = there.map(|when| format!("{when} && ")).unwrap_or_default();
        let _ = writeln!(bits, "{when}{},", is_set(field, structure, message));
        let (tag, write) = (field.tag.unwrap_or_default(), write_expression(field, structure));
        let _ = writeln!(writes, "if set[{slot}] {{ to.tagged_field({tag}, |to| {write})?; }}");
    }
    format!(
        "{refusals}if to.is_flexible() {{\nlet set = [{bits}];\nto.tagged_count(&set);\n{writes}}}\n"
    )
}

fn write_expression(field: &FieldPlan, holder: &StructPlan) -> String {
    let value = format!("self.{}", names::field(&field.name));
    let null = allowed(field.nullable);
    let path = path(field, holder);
    let option = field.is_option();
    match &field.kind {
        Type::Text if field.short_string => format!("to.nullable_short_string({value}.as_deref())"),
        Type::Text if option => format!("to.nullable_string({value}.as_deref(), {null}, {path})"),
        Type::Text => format!("to.string(&{value})"),
        Type::Bytes if option => format!("to.nullable_bytes({value}.as_deref(), {null}, {path})"),
        Type::Bytes => format!("to.bytes(&{value})"),
        Type::Records if holder.in_request => format!("to.nullable_bytes({value}, {null}, {path})"),
        Type::Records => format!("{value}.write(to, {null}, {path})"),
        Type::Array(_) if option => {
            format!("to.nullable_array({value}.as_deref(), version, {null}, {path})")
        }
        Type::Array(_) => format!("to.array(&{value}, version)"),
        Type::Struct(_) if option => {
            format!("to.nullable_struct({value}.as_ref(), version, {null}, {path})")
        }
        Type::Integer("i16") if names::field(&field.name).ends_with("error_code") => {
            format!("to.error_code({value})")
        }
        _ => format!("{value}.write(to, version)"),
    }
}

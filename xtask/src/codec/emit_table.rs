//! Text of the table that the codec's tests draw valid bytes from. It says how a message is laid
//! out without a line of the codec's own code, so that the tests do not ask the codec about itself.

use std::fmt::Write as _;

use super::emit::head;
use super::output::Output;
use super::plan::{FieldPlan, FilePlan, MessagePlan};
use super::schema::{Kind, Versions};
use super::types::Type;

/// The tables of all messages, and a macro that names each API's types.
pub(super) fn table_file(files: &[FilePlan]) -> Output {
    let mut text = head("How each message is laid out, and which types each API has.");
    text.push_str("use super::layout::{Field, Kind, Layout};\n\n");
    text.push_str("/// Calls `$each!` with the module, request and response of every API.\n");
    text.push_str("macro_rules! each_api {\n($each:ident) => {\n");
    for file in files.iter().filter(|file| file.messages[0].kind == Kind::Request) {
        let [request, response] = file.messages.as_slice() else { continue };
        let _ = writeln!(text, "$each!({}, {}, {});", file.module, request.name, response.name);
    }
    text.push_str("};\n}\npub(crate) use each_api;\n\n");
    text.push_str("/// Every message.\npub(crate) static LAYOUTS: &[Layout] = &[\n");
    for message in files.iter().flat_map(|file| &file.messages) {
        text.push_str(&layout(message));
    }
    text.push_str("];\n");
    Output { path: "tests/codec_messages/table.rs".to_owned(), text }
}

fn layout(message: &MessagePlan) -> String {
    let Versions { low, high } = message.versions;
    format!(
        "Layout {{ name: \"{}\", versions: ({low}, {high}), first_flexible: {:?}, fields: {} }},\n",
        message.name,
        message.first_flexible,
        fields(&message.structs[0].fields, message)
    )
}

fn fields(fields: &[FieldPlan], message: &MessagePlan) -> String {
    let each: Vec<String> = fields.iter().map(|field| one(field, message)).collect();
    format!("&[{}]", each.join(", "))
}

fn one(field: &FieldPlan, message: &MessagePlan) -> String {
    let kind =
        if field.short_string { "Kind::ShortText".to_owned() } else { kind(&field.kind, message) };
    format!(
        "Field {{ kind: {kind}, versions: {:?}, nullable: {:?}, tag: {:?} }}",
        field.versions, field.nullable_versions, field.tag
    )
}

fn kind(kind_of: &Type, message: &MessagePlan) -> String {
    match kind_of {
        Type::Bool => "Kind::Bool".to_owned(),
        Type::Integer(name) => format!("Kind::Integer({})", integer_bytes(name)),
        Type::Float => "Kind::Float".to_owned(),
        Type::Uuid | Type::TopicId => "Kind::Uuid".to_owned(),
        Type::Text => "Kind::Text".to_owned(),
        Type::Bytes | Type::Records => "Kind::Bytes".to_owned(),
        Type::Struct(name) => {
            format!("Kind::Struct({})", fields(&message.structure(name).fields, message))
        }
        Type::Array(element) => format!("Kind::Array(&{})", kind(element, message)),
    }
}

fn integer_bytes(name: &str) -> usize {
    match name {
        "i8" => 1,
        "i16" | "u16" => 2,
        "i64" => 8,
        _ => 4,
    }
}

//! Text of the table that the codec's tests draw valid bytes from. It says how a message is laid
//! out without a line of the codec's own code, so that the tests do not ask the codec about itself.

use std::fmt::Write as _;

use super::emit::head;
use super::output::Output;
use super::plan::{FieldPlan, FilePlan, MessagePlan};
use super::schema::Versions;
use super::types::Type;

/// The tables of all messages, and a macro that names each API's types.
pub(super) fn table_file(files: &[FilePlan]) -> Output {
    let mut text = head("How each message is laid out, and what its type is called.");
    text.push_str("use super::layout::Kind::{Array, Bool, Bytes, Float, Integer, ShortText};\n");
    text.push_str("use super::layout::Kind::{Struct, Text, Unsigned, Uuid};\n");
    text.push_str("use super::layout::{Field, Layout, NEVER};\n\n");
    text.push_str(
        "/// Calls `$each!` with the module and the type of every message, and with the\n",
    );
    text.push_str("/// type's name followed by `Data`.\n");
    text.push_str("macro_rules! each_message {\n($each:ident) => {\n");
    for file in files {
        for MessagePlan { name, .. } in &file.messages {
            let _ = writeln!(text, "$each!({}, {name}, {name}Data);", file.module);
        }
    }
    text.push_str("};\n}\npub(crate) use each_message;\n\n");
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
        "Layout(\"{}\", ({low}, {high}), {:?}, {}),\n",
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
    let kind = if field.short_string { "ShortText".to_owned() } else { kind(&field.kind, message) };
    let nullable = match field.nullable_versions {
        (low, high) if low > high => "NEVER".to_owned(),
        versions => format!("{versions:?}"),
    };
    format!("Field(\"{}\", {kind}, {:?}, {nullable}, {:?})", field.name, field.versions, field.tag)
}

fn kind(kind_of: &Type, message: &MessagePlan) -> String {
    match kind_of {
        Type::Bool => "Bool".to_owned(),
        Type::Integer("u16") => "Unsigned".to_owned(),
        Type::Integer(name) => format!("Integer({})", integer_bytes(name)),
        Type::Float => "Float".to_owned(),
        Type::Uuid | Type::TopicId => "Uuid".to_owned(),
        Type::Text => "Text".to_owned(),
        Type::Bytes | Type::Records => "Bytes".to_owned(),
        Type::Struct(name) => {
            format!("Struct({})", fields(&message.structure(name).fields, message))
        }
        Type::Array(element) => format!("Array(&{})", kind(element, message)),
    }
}

fn integer_bytes(name: &str) -> usize {
    match name {
        "i8" => 1,
        "i16" => 2,
        "i64" => 8,
        _ => 4,
    }
}

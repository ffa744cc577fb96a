//! Kafka's field types and what each is in Rust.

use anyhow::{Result, bail};

/// A field's type. Structs are named as in the definitions until the plan renames them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Integer(&'static str),
    Float,
    Uuid,
    TopicId,
    Text,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    /// Reads a type's name; the field's own name tells a topic's id from other uuids.
    pub(super) fn parse(name: &str, field: &str) -> Result<Self> {
        if let Some(element) = name.strip_prefix("[]") {
            return Ok(Self::Array(Box::new(Self::parse(element, field)?)));
        }
        Ok(match name {
            "bool" => Self::Bool,
            "int8" => Self::Integer("i8"),
            "int16" => Self::Integer("i16"),
            "uint16" => Self::Integer("u16"),
            "int32" => Self::Integer("i32"),
            "int64" => Self::Integer("i64"),
            "float64" => Self::Float,
            "uuid" if matches!(field.to_lowercase().as_str(), "topicid" | "topicids") => {
                Self::TopicId
            }
            "uuid" => Self::Uuid,
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            _ if name.starts_with(char::is_uppercase) => Self::Struct(name.to_owned()),
            _ => bail!("unknown type {name:?} of field {field}"),
        })
    }

    /// The struct that the type is or is an array of.
    pub(super) fn structure(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.structure(),
            _ => None,
        }
    }

    /// The same type with its struct under another name.
    pub(super) fn renamed(&self, rename: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Struct(name) => Self::Struct(rename(name)),
            Self::Array(element) => Self::Array(Box::new(element.renamed(rename))),
            other => other.clone(),
        }
    }

    /// Whether values borrow from the frame, structs aside.
    pub(super) fn borrows(&self) -> bool {
        match self {
            Self::Text | Self::Bytes | Self::Records => true,
            Self::Array(element) => element.borrows(),
            _ => false,
        }
    }

    /// The fewest bytes on the wire, structs and nulls aside.
    pub(super) fn min_bytes(&self, flexible: bool) -> usize {
        match self {
            Self::Bool | Self::Integer("i8") => 1,
            Self::Integer("i16" | "u16") => 2,
            Self::Integer("i64") | Self::Float => 8,
            Self::Integer(_) => 4,
            Self::Uuid | Self::TopicId => 16,
            Self::Text => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            Self::Bytes | Self::Records | Self::Array(_) => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Self::Struct(_) => 0,
        }
    }

    /// As a reader of Kafka's documentation knows it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Bool => "bool".to_owned(),
            Self::Integer("u16") => "uint16".to_owned(),
            Self::Integer(name) => format!("int{}", &name[1..]),
            Self::Float => "float64".to_owned(),
            Self::Uuid | Self::TopicId => "uuid".to_owned(),
            Self::Text => "string".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::Records => "records".to_owned(),
            Self::Struct(_) => "struct".to_owned(),
            Self::Array(element) => format!("array of {}", element.describe()),
        }
    }
}

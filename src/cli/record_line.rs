//! One record as a line.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::record::Record;

/// How to write records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Values, each with a line's end.
    #[default]
    Lines,
    /// One object a line: topic, partition, offset, time, key, value, headers. What is no text is
    /// written in base64, under a name that ends in `_base64`.
    Json,
}

/// How to write it.
#[derive(Clone, Debug)]
pub(super) enum Style {
    /// The value; before it the key, when there is something to separate them.
    Lines { separator: Option<String> },
    /// Everything, as one JSON object.
    Json { topic: String },
}

/// Writes the record and a line's end.
pub(super) fn write(
    to: &mut impl Write,
    style: &Style,
    partition: i32,
    record: &Record,
) -> io::Result<()> {
    match style {
        Style::Lines { separator } => {
            if let Some(separator) = separator {
                to.write_all(record.key.as_deref().unwrap_or_default())?;
                to.write_all(separator.as_bytes())?;
            }
            to.write_all(record.value.as_deref().unwrap_or_default())?;
        }
        Style::Json { topic } => {
            let mut object = Map::new();
            object.insert("topic".into(), json!(topic));
            object.insert("partition".into(), json!(partition));
            fill(&mut object, record);
            serde_json::to_writer(&mut *to, &object)?;
        }
    }
    to.write_all(b"\n")
}

/// Adds a record's own fields to an object.
pub(super) fn fill(object: &mut Map<String, Value>, record: &Record) {
    object.insert("offset".into(), json!(record.offset.get()));
    object.insert("timestamp_ms".into(), json!(record.timestamp_ms));
    put(object, "key", record.key.as_deref());
    put(object, "value", record.value.as_deref());
    let headers = record.headers.iter().map(|header| {
        let mut object = Map::new();
        put(&mut object, "name", Some(&header.name));
        put(&mut object, "value", header.value.as_deref());
        Value::Object(object)
    });
    object.insert("headers".into(), headers.collect());
}

/// Text as it is, other bytes in base64 under a name of its own.
fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.into(), Value::Null),
        Some(Ok(text)) => object.insert(name.into(), json!(text)),
        Some(Err(_)) => {
            let encoded = STANDARD.encode(bytes.unwrap_or_default());
            object.insert(format!("{name}_base64"), json!(encoded))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Offset;

    #[test]
    fn what_is_no_text_is_told_apart_from_text() {
        let record = Record {
            offset: Offset::new(3),
            timestamp_ms: 9,
            key: Some(vec![0xff].into()),
            value: None,
            headers: Vec::new(),
        };
        let mut line = Vec::new();
        write(&mut line, &Style::Json { topic: "t".into() }, 1, &record).expect("write");
        let line: Value = serde_json::from_slice(&line).expect("json");
        assert_eq!(
            line,
            json!({"topic": "t", "partition": 1, "offset": 3, "timestamp_ms": 9,
                   "key_base64": "/w==", "value": null, "headers": []})
        );
    }
}

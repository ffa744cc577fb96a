//! What the records of `__consumer_offsets` say: a key and a value, each a version and a message.

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use super::printer::Printer;
use crate::record::Record;
use crate::wire::messages::coordinator::{
    GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
use crate::wire::{DecodeError, Decoder, Message};

/// The first type of an offset's key, which has the same form as the second.
const OLD_OFFSET_KEY: i16 = 0;

/// Shows a record; types that came with newer groups are told by their number.
pub(super) fn dump(record: &Record, place: &str, printer: &mut Printer) -> Result<()> {
    match decode(record) {
        Ok(said) => printer.item(&said),
        Err(error) => printer.problem(place, format!("record {}: {error}", record.offset)),
    }
}

/// The kind of a record and its fields.
#[derive(Debug)]
struct Said {
    offset: i64,
    kind: String,
    key: Value,
    /// Null for a tombstone.
    value: Value,
}

impl serde::Serialize for Said {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let Self { offset, kind, key, value } = self;
        json!({ "offset": offset, "kind": kind, "key": key, "value": value }).serialize(to)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, kind, key, value } = self;
        match value {
            Value::Null => write!(f, "{offset} {kind} {key} removed"),
            value => write!(f, "{offset} {kind} {key} {value}"),
        }
    }
}

fn decode(record: &Record) -> Result<Said, DecodeError> {
    let (kind, mut key) = versioned(record.key.as_deref().unwrap_or_default())?;
    let value = record.value.as_deref().map(versioned).transpose()?;
    let offset = record.offset.get();
    match kind {
        OLD_OFFSET_KEY | OffsetCommitKey::RECORD_TYPE => {
            let key = OffsetCommitKey::decode(&mut key, 0)?;
            let value = value.map(|(version, mut from)| offset_value(&mut from, version));
            Ok(Said {
                offset,
                kind: "offset".into(),
                key: json!({
                    "group": key.group, "topic": key.topic, "partition": key.partition,
                }),
                value: value.transpose()?.unwrap_or_default(),
            })
        }
        GroupMetadataKey::RECORD_TYPE => {
            let key = GroupMetadataKey::decode(&mut key, 0)?;
            let value = value.map(|(version, mut from)| group_value(&mut from, version));
            Ok(Said {
                offset,
                kind: "group".into(),
                key: json!({ "group": key.group }),
                value: value.transpose()?.unwrap_or_default(),
            })
        }
        other => Ok(Said {
            offset,
            kind: format!("type {other}"),
            key: Value::Null,
            value: value.map_or(Value::Null, |(_, from)| json!({ "bytes": from.remaining() })),
        }),
    }
}

/// The number before a message, and the message.
fn versioned(bytes: &[u8]) -> Result<(i16, Decoder<'_>), DecodeError> {
    let mut from = Decoder::over(bytes);
    let version = match from.take(2)? {
        [a, b] => i16::from_be_bytes([*a, *b]),
        _ => unreachable!("two bytes were taken"),
    };
    Ok((version, from))
}

fn offset_value(from: &mut Decoder<'_>, version: i16) -> Result<Value, DecodeError> {
    let value = OffsetCommitValue::decode(from, version)?;
    Ok(json!({
        "offset": value.offset,
        "leader_epoch": value.leader_epoch,
        "metadata": value.metadata,
        "commit_timestamp_ms": value.commit_timestamp,
    }))
}

fn group_value(from: &mut Decoder<'_>, version: i16) -> Result<Value, DecodeError> {
    let value = GroupMetadataValue::decode(from, version)?;
    let members = value.members.iter().map(|member| {
        json!({
            "member_id": member.member_id,
            "client_id": member.client_id,
            "client_host": member.client_host,
        })
    });
    Ok(json!({
        "protocol_type": value.protocol_type,
        "protocol": value.protocol,
        "generation": value.generation,
        "leader": value.leader,
        "members": members.collect::<Vec<_>>(),
    }))
}

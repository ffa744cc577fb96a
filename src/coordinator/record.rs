//! The records of `__consumer_offsets`, in Kafka's own formats.
//!
//! A key begins with the number of its kind, a value with the number of its version. Kinds that
//! this broker does not write (those of newer group protocols) are passed over in a replay.

use std::borrow::Cow;

use bytes::{BufMut as _, Bytes};

use super::group::{Committed, Group};
use super::step::KeptRecord;
use crate::wire::messages::coordinator::{
    GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue,
};
use crate::wire::{DecodeError, Decoder, EncodeError, Encoder, Message};

const GROUP_VALUE_VERSION: i16 = 3;
const OFFSET_VALUE_VERSION: i16 = 4;
/// The only version with a time of expiry.
const EXPIRING_OFFSET_VALUE_VERSION: i16 = 1;
/// Keys of offsets in the time before Kafka 0.9 had this number.
const OLD_OFFSET_KEY: i16 = 0;

/// What a record is about.
#[derive(Debug)]
pub(super) enum Key<'a> {
    Offset(OffsetCommitKey<'a>),
    Group(GroupMetadataKey<'a>),
    /// Of a kind that is not ours.
    Other(i16),
}

/// Reads a key.
pub(super) fn read_key(bytes: &[u8]) -> Result<Key<'_>, DecodeError> {
    let mut from = Decoder::over(bytes);
    Ok(match read_i16(&mut from)? {
        OLD_OFFSET_KEY | OffsetCommitKey::RECORD_TYPE => {
            Key::Offset(OffsetCommitKey::decode(&mut from, 0)?)
        }
        GroupMetadataKey::RECORD_TYPE => Key::Group(GroupMetadataKey::decode(&mut from, 0)?),
        other => Key::Other(other),
    })
}

/// Reads a value that begins with its version.
pub(super) fn read_value<'a, M: Message<'a>>(bytes: &'a [u8]) -> Result<M, DecodeError> {
    let mut from = Decoder::over(bytes);
    let version = read_i16(&mut from)?;
    M::decode(&mut from, version)
}

fn read_i16(from: &mut Decoder<'_>) -> Result<i16, DecodeError> {
    let bytes = from.take(2)?;
    Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
}

/// A committed offset; `None` takes it back.
pub(super) fn offset(
    group: &str,
    topic: &str,
    partition: i32,
    committed: Option<&Committed>,
) -> KeptRecord {
    let key = OffsetCommitKey { group: group.into(), topic: topic.into(), partition };
    let value = committed.map(|committed| {
        let version = match committed.expire_ms {
            Some(_) => EXPIRING_OFFSET_VALUE_VERSION,
            None => OFFSET_VALUE_VERSION,
        };
        let value = OffsetCommitValue {
            offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            metadata: Cow::Borrowed(&committed.metadata),
            commit_timestamp: committed.commit_ms,
            expire_timestamp: committed.expire_ms.unwrap_or(-1),
            topic_id: committed.topic_id,
        };
        written(version, version, &value)
    });
    KeptRecord { key: written(OffsetCommitKey::RECORD_TYPE, 0, &key), value }
}

/// A group's key.
fn group_key(group: &str) -> Bytes {
    written(GroupMetadataKey::RECORD_TYPE, 0, &GroupMetadataKey { group: group.into() })
}

/// A group as it was written before.
pub(super) fn group_as_kept(group: &str, value: Bytes) -> KeptRecord {
    KeptRecord { key: group_key(group), value: Some(value) }
}

/// Takes a group back.
pub(super) fn no_group(group: &str) -> KeptRecord {
    KeptRecord { key: group_key(group), value: None }
}

/// A group's value, as it is now.
pub(super) fn group_value(group: &Group) -> Bytes {
    let member = |(id, member): (&String, &super::group::Member)| MemberMetadata {
        member_id: id.clone().into(),
        group_instance_id: member.instance_id.clone().map(Into::into),
        client_id: member.client_id.clone().into(),
        client_host: member.client_host.clone().into(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: Cow::Owned(member.metadata_for(group.protocol()).to_vec()),
        assignment: Cow::Owned(member.assignment.to_vec()),
    };
    let value = GroupMetadataValue {
        protocol_type: group.protocol_type().unwrap_or_default().to_owned().into(),
        generation: group.generation(),
        protocol: group.protocol().map(|protocol| protocol.to_owned().into()),
        leader: group.leader().map(|leader| leader.to_owned().into()),
        current_state_timestamp: group.since_ms(),
        members: group.members().map(member).collect(),
    };
    written(GROUP_VALUE_VERSION, GROUP_VALUE_VERSION, &value)
}

/// Writes a number and a message after it.
///
/// # Panics
/// When a text is longer than its length field can say: requests were held to the same field.
fn written<'a>(number: i16, version: i16, message: &impl Message<'a>) -> Bytes {
    let mut encoder = Encoder::new();
    encoder.buf.put_i16(number);
    let encoded: Result<(), EncodeError> = message.encode(&mut encoder, version);
    assert!(encoded.is_ok(), "what a request could hold, a record can: {encoded:?}");
    encoder.into_parts().0.freeze()
}

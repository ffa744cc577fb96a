//! Three codecs behind one face: ours, and the two public ones that it is measured against.

use bytes::{Bytes, BytesMut};
use icecore::wire::{Decoder, EncodeError, Encoder, Message, messages};
use kacrab_protocol::generated as kacrab;
use kafka_protocol::messages as kafka;
use kafka_protocol::protocol::{Decodable, Encodable, Message as _};

use crate::table::each_message;
use crate::tree::Tree;

/// What a codec makes of a message's bytes.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tree: Tree,
    pub(crate) encoded: Vec<u8>,
}

type Pass = fn(&[u8], i16) -> Result<Outcome, String>;

/// One message in one codec.
pub(crate) struct Codec {
    pub(crate) name: &'static str,
    /// Decodes, looks, and encodes again.
    pub(crate) pass: Pass,
    /// First and last version that the codec knows.
    pub(crate) versions: (i16, i16),
}

/// Decodes bytes that may be anything; only its return matters.
pub(crate) type Attempt = fn(&[u8], i16) -> bool;

/// Decodes with our codec and tells whether it worked.
pub(crate) fn attempts() -> Vec<(&'static str, Attempt)> {
    let mut all: Vec<(&'static str, Attempt)> = Vec::new();
    macro_rules! add {
        ($module:ident, $type:ident, $data:ident) => {
            all.push((stringify!($type), |bytes, version| {
                let mut from = Decoder::over(bytes);
                messages::$module::$type::decode(&mut from, version).is_ok()
            }))
        };
    }
    each_message!(add);
    all
}

/// Encodes a message that nobody filled in.
pub(crate) type EncodeDefault = fn(i16) -> Result<Vec<u8>, EncodeError>;

/// The default of every message, by our codec.
pub(crate) fn defaults() -> Vec<(&'static str, EncodeDefault)> {
    let mut all: Vec<(&'static str, EncodeDefault)> = Vec::new();
    macro_rules! add {
        ($module:ident, $type:ident, $data:ident) => {
            all.push((stringify!($type), |version| {
                let mut encoder = Encoder::new();
                messages::$module::$type::default().encode(&mut encoder, version)?;
                Ok(encoder.buf.to_vec())
            }))
        };
    }
    each_message!(add);
    all
}

/// Our codec.
pub(crate) fn ours() -> Vec<Codec> {
    let mut all = Vec::new();
    macro_rules! add {
        ($module:ident, $type:ident, $data:ident) => {
            all.push(Codec {
                name: stringify!($type),
                versions: (
                    *messages::$module::$type::VERSIONS.start(),
                    *messages::$module::$type::VERSIONS.end(),
                ),
                pass: |bytes, version| {
                    let mut from = Decoder::over(bytes);
                    let value = messages::$module::$type::decode(&mut from, version)
                        .map_err(|error| error.to_string())?;
                    from.finish().map_err(|error| error.to_string())?;
                    let mut to = Encoder::new();
                    value.encode(&mut to, version).map_err(|error| error.to_string())?;
                    let tree = Tree::parse(&format!("{value:?}"));
                    Ok(Outcome { tree, encoded: to.buf.to_vec() })
                },
            })
        };
    }
    each_message!(add);
    all
}

/// kafka-protocol: no streams groups, no records of coordinators.
pub(crate) fn kafka_protocol() -> Vec<Codec> {
    let mut all = Vec::new();
    macro_rules! add {
        (streams_group_heartbeat, $type:ident, $data:ident) => {};
        (streams_group_describe, $type:ident, $data:ident) => {};
        (coordinator, ConsumerProtocolSubscription, $data:ident) => {
            add!(@ ConsumerProtocolSubscription)
        };
        (coordinator, ConsumerProtocolAssignment, $data:ident) => {
            add!(@ ConsumerProtocolAssignment)
        };
        (coordinator, $type:ident, $data:ident) => {};
        ($module:ident, $type:ident, $data:ident) => { add!(@ $type) };
        (@ $type:ident) => {
            all.push(Codec {
                name: stringify!($type),
                versions: (kafka::$type::VERSIONS.min, kafka::$type::VERSIONS.max),
                pass: |bytes, version| {
                    let mut from = Bytes::copy_from_slice(bytes);
                    let value = kafka::$type::decode(&mut from, version)
                        .map_err(|error| error.to_string())?;
                    let mut to = BytesMut::new();
                    value.encode(&mut to, version).map_err(|error| error.to_string())?;
                    let tree = Tree::parse(&format!("{value:?}"));
                    Ok(Outcome { tree, encoded: to.to_vec() })
                },
            })
        };
    }
    each_message!(add);
    all
}

/// kacrab-protocol: no records of coordinators.
pub(crate) fn kacrab_protocol() -> Vec<Codec> {
    let mut all = Vec::new();
    macro_rules! add {
        (coordinator, ConsumerProtocolSubscription, $data:ident) => {
            add!(@ ConsumerProtocolSubscription, $data)
        };
        (coordinator, ConsumerProtocolAssignment, $data:ident) => {
            add!(@ ConsumerProtocolAssignment, $data)
        };
        (coordinator, $type:ident, $data:ident) => {};
        ($module:ident, $type:ident, $data:ident) => { add!(@ $type, $data) };
        (@ $type:ident, $data:ident) => {
            all.push(Codec {
                name: stringify!($type),
                versions: (i16::MIN, i16::MAX),
                pass: |bytes, version| {
                    let mut from = Bytes::copy_from_slice(bytes);
                    let value = kacrab::$data::read(&mut from, version)
                        .map_err(|error| error.to_string())?;
                    let mut to = BytesMut::new();
                    value.write(&mut to, version).map_err(|error| error.to_string())?;
                    let tree = Tree::parse(&format!("{value:?}"));
                    Ok(Outcome { tree, encoded: to.to_vec() })
                },
            })
        };
    }
    each_message!(add);
    all
}

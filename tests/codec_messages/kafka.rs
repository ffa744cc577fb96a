//! Bytes that Apache Kafka 4.3.1's own classes wrote: every message's defaults, and the records of
//! consumer offsets with values in all their fields, which no other codec knows.

use icecore::model::TopicId;
use icecore::wire::messages::coordinator::{
    ConsumerProtocolSubscription, GroupMetadataKey, GroupMetadataValue, MemberMetadata,
    OffsetCommitKey, OffsetCommitValue, TopicPartition,
};
use icecore::wire::{Decoder, Encoder, Message};

use crate::codecs;

const DEFAULTS: &str = include_str!("kafka_defaults.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Encodes to Kafka's bytes and decodes from them.
fn check<'a, M: Message<'a> + PartialEq>(value: &M, version: i16, expected: &'static str) {
    let mut encoder = Encoder::new();
    value.encode(&mut encoder, version).expect("the version carries the value");
    assert_eq!(hex(&encoder.buf), expected, "{} v{version}", M::NAME);
    let bytes: &'static [u8] = encoder.buf.to_vec().leak();
    let mut from = Decoder::over(bytes);
    assert!(M::decode(&mut from, version).as_ref() == Ok(value), "{} v{version}", M::NAME);
    assert_eq!(from.finish(), Ok(()));
}

#[test]
fn a_message_that_nobody_filled_in_has_the_bytes_that_kafka_gives_it() {
    let defaults = codecs::defaults();
    let mut checked = 0;
    for line in DEFAULTS.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(' ').collect();
        let [name, version, expected] = parts.as_slice() else { panic!("three words: {line}") };
        let (_, encode) = defaults.iter().find(|(known, _)| known == name).expect("a message");
        let encoded = encode(version.parse().expect("a version")).expect("defaults fit anywhere");
        assert_eq!(hex(&encoded), expected.trim_start_matches('-'), "{name} v{version}");
        checked += 1;
    }
    assert_eq!(checked, 580, "every message in every version");
}

#[test]
fn committed_offsets_have_the_bytes_that_kafka_gives_them() {
    let key = OffsetCommitKey { group: "g1".into(), topic: "topic".into(), partition: 7 };
    assert_eq!(OffsetCommitKey::RECORD_TYPE, 1);
    check(&key, 0, "000267310005746f70696300000007");
    let mut value = OffsetCommitValue {
        offset: 1_234_567_890_123,
        metadata: "meta".into(),
        commit_timestamp: 1_700_000_000_000,
        ..OffsetCommitValue::default()
    };
    check(&value, 2, "0000011f71fb04cb00046d6574610000018bcfe56800");
    value.leader_epoch = 5;
    check(&value, 3, "0000011f71fb04cb0000000500046d6574610000018bcfe56800");
    value.topic_id = TopicId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    check(
        &value,
        4,
        "0000011f71fb04cb00000005056d6574610000018bcfe56800\
         0100100102030405060708090a0b0c0d0e0f10",
    );
}

#[test]
fn an_offset_that_expires_has_the_bytes_that_kafka_gives_it() {
    let value = OffsetCommitValue {
        offset: 1_234_567_890_123,
        metadata: "meta".into(),
        commit_timestamp: 1_700_000_000_000,
        expire_timestamp: 1_700_000_060_000,
        ..OffsetCommitValue::default()
    };
    check(&value, 1, "0000011f71fb04cb00046d6574610000018bcfe568000000018bcfe65260");
}

#[test]
fn group_metadata_has_the_bytes_that_kafka_gives_it() {
    assert_eq!(GroupMetadataKey::RECORD_TYPE, 2);
    check(&GroupMetadataKey { group: "g1".into() }, 0, "00026731");
    let member = MemberMetadata {
        member_id: "m1".into(),
        group_instance_id: Some("i1".into()),
        client_id: "c".into(),
        client_host: "/h".into(),
        rebalance_timeout: 300_000,
        session_timeout: 45_000,
        subscription: vec![1, 2].into(),
        assignment: vec![3].into(),
    };
    let value = GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("m1".into()),
        current_state_timestamp: 1_700_000_000_000,
        members: vec![member],
    };
    check(
        &value,
        3,
        "0008636f6e73756d657200000003000572616e676500026d310000018bcfe56800\
         0000000100026d310002693100016300022f68000493e00000afc80000000201020000000103",
    );
    check(
        &value,
        4,
        "09636f6e73756d6572000000030672616e6765036d310000018bcfe5680002\
         036d310369310263032f68000493e00000afc803010202030000",
    );
}

#[test]
fn a_subscription_has_the_bytes_that_kafka_gives_it() {
    let value = ConsumerProtocolSubscription {
        topics: vec!["a".into(), "b".into()],
        user_data: Some(vec![9].into()),
        owned_partitions: vec![TopicPartition { topic: "a".into(), partitions: vec![0, 2] }],
        generation_id: 4,
        rack_id: Some("r".into()),
    };
    check(
        &value,
        3,
        "00000002000161000162000000010900000001000161000000020000000000000002\
         00000004000172",
    );
}

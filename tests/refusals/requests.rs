//! Requests that are understood and refused: an exact code, and nothing else happens.

use bytes::Bytes;
use icecore::env::{Clock as _, SystemClock};
use icecore::record::{BatchBuilder, Codec, NewRecord};
use icecore::wire::ErrorCode;
use icecore::wire::messages::fetch::FetchPartition;
use icecore::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};

use crate::broker::{Running, start};
use crate::client::{Client, batch, wanted};
use crate::log_lines::line_with;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// A broker with a topic that holds one acked record.
async fn with_topic(topic: &str, configs: &[(&str, &str)]) -> (tempfile::TempDir, Running, Client) {
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    assert_eq!(client.create(topic, configs).await, (0, String::new()));
    assert_eq!(client.acked(topic, b"kept").await, 0);
    (dir, broker, client)
}

/// The acked record is there, and the next one gets the next offset.
async fn goes_on(client: &mut Client, topic: &str) {
    assert_eq!(client.acked(topic, b"next").await, 1);
    assert_eq!(client.values(topic, 0).await, [b"kept".to_vec(), b"next".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_batch_is_refused_and_takes_no_offset() {
    let topic = "oversized";
    let (_dir, _broker, mut client) = with_topic(topic, &[("max.message.bytes", "1000")]).await;
    let refused = client.produce(topic, &batch(&[7; 2000])).await;
    assert_eq!(refused.error, ErrorCode::MessageTooLarge.as_i16(), "{refused:?}");
    assert!(refused.message.contains("the topic takes 1000"), "{refused:?}");
    line_with(&[topic, "a batch was refused", "max.message.bytes"]).await;
    goes_on(&mut client, topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_wrong_crc_is_refused_and_takes_no_offset() {
    let topic = "wrong-crc";
    let (_dir, _broker, mut client) = with_topic(topic, &[]).await;
    let mut bytes = batch(b"changed on the way").to_vec();
    *bytes.last_mut().expect("bytes") ^= 1;
    let refused = client.produce(topic, &bytes).await;
    assert_eq!(refused.error, ErrorCode::CorruptMessage.as_i16(), "{refused:?}");
    line_with(&[topic, "a batch was refused", "CRC"]).await;
    goes_on(&mut client, topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_cut_is_refused_and_takes_no_offset() {
    let topic = "cut-batch";
    let (_dir, _broker, mut client) = with_topic(topic, &[]).await;
    let bytes = batch(b"cut on the way");
    let refused = client.produce(topic, &bytes[..bytes.len() - 3]).await;
    assert_eq!(refused.error, ErrorCode::CorruptMessage.as_i16(), "{refused:?}");
    goes_on(&mut client, topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_an_old_format_is_refused_and_takes_no_offset() {
    let topic = "old-magic";
    let (_dir, _broker, mut client) = with_topic(topic, &[]).await;
    let mut bytes = batch(b"of 2015").to_vec();
    bytes[16] = 1;
    let refused = client.produce(topic, &bytes).await;
    assert_eq!(refused.error, ErrorCode::InvalidRecord.as_i16(), "{refused:?}");
    assert!(refused.message.contains("magic"), "{refused:?}");
    goes_on(&mut client, topic).await;
}

/// A batch whose records have these keys.
fn keyed(codec: Codec, keys: &[Option<&[u8]>]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    let timestamp_ms = SystemClock.now_ms();
    for key in keys {
        builder.push(&NewRecord { timestamp_ms, key: *key, value: Some(b"v"), headers: &[] });
    }
    builder.build().expect("a batch").bytes().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_key_is_refused_in_a_compacted_topic_however_it_is_packed() {
    let topic = "compacted";
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    let created = client.create(topic, &[("cleanup.policy", "compact")]).await;
    assert_eq!(created, (0, String::new()));
    for (taken, codec) in (0..).zip(CODECS) {
        let keyless = keyed(codec, &[Some(b"k"), None, Some(b"k"), None]);
        let refused = client.produce(topic, &keyless).await;
        assert_eq!(refused.error, ErrorCode::InvalidRecord.as_i16(), "{codec:?}: {refused:?}");
        assert_eq!(refused.records, [1, 3], "{codec:?}");
        assert!(refused.message.contains("no key"), "{codec:?}: {refused:?}");
        let good = client.produce(topic, &keyed(codec, &[Some(b"k")])).await;
        assert_eq!((good.error, good.offset), (0, taken), "{codec:?}: {good:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_unpacks_to_too_much_is_refused_in_a_compacted_topic() {
    let topic = "bombs";
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    assert_eq!(client.create(topic, &[("cleanup.policy", "compact")]).await, (0, String::new()));
    let mut builder = BatchBuilder::new(Codec::Zstd);
    let (timestamp_ms, value) = (SystemClock.now_ms(), vec![0; 80 << 20]);
    builder.push(&NewRecord { timestamp_ms, key: Some(b"k"), value: Some(&value), headers: &[] });
    let refused = client.produce(topic, builder.build().expect("a batch").bytes()).await;
    assert_eq!(refused.error, ErrorCode::InvalidRecord.as_i16(), "{refused:?}");
    assert!(refused.message.contains("unpack to more than"), "{refused:?}");
    assert_eq!(client.produce(topic, &keyed(Codec::Zstd, &[Some(b"k")])).await.offset, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_in_sync_replicas_refuse_acks_all_before_the_append() {
    let topic = "two-replicas";
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    let created = client.create(topic, &[("min.insync.replicas", "2")]).await;
    assert_eq!(created, (0, String::new()));
    let refused = client.produce(topic, &batch(b"of two")).await;
    assert_eq!(refused.error, ErrorCode::NotEnoughReplicas.as_i16(), "{refused:?}");
    assert!(refused.message.contains("min.insync.replicas"), "{refused:?}");
    let leader_only = client.produce_with_acks(topic, &batch(b"of one"), 1).await;
    assert_eq!((leader_only.error, leader_only.offset), (0, 0), "acks=1 asks for the leader alone");
    assert_eq!(client.values(topic, 0).await, [b"of one".to_vec()], "the refused one is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_topic_is_refused_for_producers_and_consumers() {
    let topic = "known";
    let (_dir, _broker, mut client) = with_topic(topic, &[]).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.as_i16();
    assert_eq!(client.produce("nobody-made-it", &batch(b"x")).await.error, unknown);
    assert_eq!(client.fetch("nobody-made-it", wanted(0)).await.error, unknown);
    let partition = FetchPartition { partition: 9, ..wanted(0) };
    assert_eq!(client.fetch(topic, partition).await.error, unknown);
    goes_on(&mut client, topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_epoch_from_the_future_is_refused() {
    let topic = "epochs";
    let (_dir, _broker, mut client) = with_topic(topic, &[]).await;
    let current = leader_epoch(&mut client, topic).await;
    let with = |epoch| FetchPartition { current_leader_epoch: epoch, ..wanted(0) };
    assert_eq!(client.fetch(topic, with(current)).await.error, 0);
    let above = client.fetch(topic, with(current + 1)).await.error;
    assert_eq!(above, ErrorCode::UnknownLeaderEpoch.as_i16());
    goes_on(&mut client, topic).await;
}

/// The partition's leader epoch, as Metadata tells it.
async fn leader_epoch(client: &mut Client, topic: &str) -> i32 {
    let asked = MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![asked]), ..MetadataRequest::default() };
    client.call(9, &request, |answer| answer.topics[0].partitions[0].leader_epoch).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_epoch_is_fenced_after_a_restart() {
    let topic = "fenced";
    let (dir, broker, mut client) = with_topic(topic, &[]).await;
    let before = leader_epoch(&mut client, topic).await;
    broker.stop().await;
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    goes_on(&mut client, topic).await;
    let now = leader_epoch(&mut client, topic).await;
    assert!(now > before, "a start is a new epoch: {now} after {before}");
    let old = FetchPartition { current_leader_epoch: before, ..wanted(0) };
    let fenced = client.fetch(topic, old).await.error;
    assert_eq!(fenced, ErrorCode::FencedLeaderEpoch.as_i16());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_above_the_log_is_out_of_range() {
    let topic = "above";
    let (_dir, _broker, mut client) = with_topic(topic, &[]).await;
    let above = client.fetch(topic, wanted(2)).await;
    assert_eq!(above.error, ErrorCode::OffsetOutOfRange.as_i16(), "{above:?}");
    assert_eq!(client.fetch(topic, wanted(1)).await.error, 0, "the end itself is waited at");
    goes_on(&mut client, topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_below_the_log_start_is_out_of_range() {
    use icecore::wire::messages::delete_records::{
        DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
    };
    let topic = "below";
    let (_dir, _broker, mut client) = with_topic(topic, &[]).await;
    assert_eq!(client.acked(topic, b"next").await, 1);
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.to_owned().into(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset: 1 }],
        }],
        timeout_ms: 5_000,
    };
    let code = client.call(2, &request, |answer| answer.topics[0].partitions[0].error_code).await;
    assert_eq!(code, 0);
    for below in [0, -1] {
        let refused = client.fetch(topic, wanted(below)).await;
        assert_eq!(refused.error, ErrorCode::OffsetOutOfRange.as_i16(), "{below}: {refused:?}");
    }
    assert_eq!(client.values(topic, 1).await, [b"next".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_of_no_meaning_are_refused() {
    use icecore::wire::messages::produce::{
        PartitionProduceData, ProduceRequest, TopicProduceData,
    };
    let topic = "two-acks";
    let (_dir, _broker, mut client) = with_topic(topic, &[]).await;
    let bytes = batch(b"x");
    let request = ProduceRequest {
        acks: 2,
        timeout_ms: 5_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData { index: 0, records: Some(&bytes) }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let code = client.call(9, &request, |a| a.responses[0].partition_responses[0].error_code).await;
    assert_eq!(code, ErrorCode::InvalidRequiredAcks.as_i16());
    goes_on(&mut client, topic).await;
}

//! Records that tell where they are: written, read back and compared, one batch of 50 after the other
//! in partition 0 of a topic.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use icecore::record::{BatchBuilder, Codec, NewRecord, Records as BatchRecords};
use icecore::wire::Records;
use icecore::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use icecore::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use icecore::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::client::Client;

/// No test waits longer for what must happen.
const SOON: Duration = Duration::from_secs(60);
const RECORD_BYTES: usize = 1000;

/// What the record at `offset` holds.
fn value(offset: i64) -> Vec<u8> {
    let mut value = offset.to_be_bytes().to_vec();
    value.resize(RECORD_BYTES, offset.to_be_bytes()[7]);
    value
}

/// Appends the records of `offsets` in batches of 50.
pub(crate) async fn produce(client: &mut Client, topic: &'static str, offsets: Range<i64>) {
    for first in offsets.clone().step_by(50) {
        let mut builder = BatchBuilder::new(Codec::None);
        for offset in first..(first + 50).min(offsets.end) {
            let value = value(offset);
            let record =
                NewRecord { timestamp_ms: offset, value: Some(&value), ..Default::default() };
            builder.push(&record);
        }
        let batch = builder.build().expect("batch");
        let data = PartitionProduceData { index: 0, records: Some(batch.bytes()) };
        let topic = TopicProduceData {
            name: topic.into(),
            partition_data: vec![data],
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic],
            ..Default::default()
        };
        let answer = client.ask(9, &request).await;
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, first));
    }
}

/// The offset of a time, or of what a number below zero means.
pub(crate) async fn list_offset(client: &mut Client, topic: &'static str, timestamp: i64) -> i64 {
    let partition = ListOffsetsPartition { timestamp, ..Default::default() };
    let topic = ListOffsetsTopic { name: topic.into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { topics: vec![topic], ..Default::default() };
    let answer = client.ask(9, &request).await;
    let answer = &answer.topics[0].partitions[0];
    assert_eq!(answer.error_code, 0);
    answer.offset
}

/// One fetch from `from`; the offsets and values of its records.
pub(crate) async fn fetch(
    client: &mut Client,
    topic: &'static str,
    from: i64,
) -> Vec<(i64, Bytes)> {
    let partition =
        FetchPartition { fetch_offset: from, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic =
        FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest {
        max_wait_ms: 1000,
        min_bytes: 1,
        max_bytes: 1 << 24,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = client.ask(11, &request).await;
    let answer = &answer.responses[0].partitions[0];
    assert_eq!(answer.error_code, 0, "offset {from} is readable");
    let Records::Inline(records) = &answer.records else { return Vec::new() };
    let (mut rest, mut found) = (Bytes::copy_from_slice(records), Vec::new());
    // The last batch may be cut where the bytes end.
    while let Ok(batch) = BatchRecords::of_batch(&rest, 1 << 24) {
        found.extend(
            batch
                .map(|record| record.expect("record"))
                .map(|record| (record.offset.get(), record.value.expect("value"))),
        );
        let len = i32::from_be_bytes(rest[8..12].try_into().expect("length"));
        rest = rest.slice(12 + usize::try_from(len).expect("length")..);
    }
    found
}

/// Reads `offsets` and compares every record.
pub(crate) async fn replay(client: &mut Client, topic: &'static str, offsets: Range<i64>) {
    let (mut next, deadline) = (offsets.start, Instant::now() + SOON);
    while next < offsets.end {
        assert!(Instant::now() < deadline, "the replay comes to its end; it is at {next}");
        for (offset, found) in fetch(client, topic, next).await {
            // A batch may begin before the offset that was asked for.
            if offset >= next {
                assert_eq!(offset, next, "no gap and no repetition");
                assert_eq!(found, value(offset));
                next += 1;
            }
        }
    }
}

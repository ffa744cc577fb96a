//! A client that sends what it is told: whole requests, or any bytes at all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use icecore::env::{Clock as _, SystemClock};
use icecore::record::{BatchBuilder, Codec, NewRecord, Records};
use icecore::wire::frame;
use icecore::wire::messages::create_topics::CreatableTopicResult;
use icecore::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use icecore::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use icecore::wire::{self, Decoder, ErrorCode, Message as _, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::broker::SOON;
use crate::topics::creation;

/// Between two fetches of a consumer whose first one failed.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Client(pub(crate) TcpStream);

/// A batch with one record of this value, made now: an old one would be subject to retention.
pub(crate) fn batch(value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None);
    let timestamp_ms = SystemClock.now_ms();
    builder.push(&NewRecord { timestamp_ms, value: Some(value), ..NewRecord::default() });
    builder.build().expect("a batch").bytes().clone()
}

/// What produce answers for one partition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Produced {
    pub(crate) error: i16,
    pub(crate) offset: i64,
    pub(crate) message: String,
    /// The records to blame, by their numbers in the batch.
    pub(crate) records: Vec<i32>,
}

/// What fetch answers for one partition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) error: i16,
    pub(crate) high_watermark: i64,
    pub(crate) records: Vec<u8>,
}

/// What to fetch from partition 0 of a topic.
pub(crate) fn wanted(offset: i64) -> FetchPartition {
    FetchPartition {
        fetch_offset: offset,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
    }

    /// The next reply's frame without its length.
    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        let read = async {
            let length = self.0.read_u32().await.expect("a reply") as usize;
            let mut frame = vec![0; length];
            self.0.read_exact(&mut frame).await.expect("a whole reply");
            frame
        };
        tokio::time::timeout(SOON, read).await.expect("a reply in time")
    }

    /// Waits for the end of the stream with nothing before it.
    pub(crate) async fn closed(&mut self) {
        let mut byte = [0];
        let read = tokio::time::timeout(SOON, self.0.read(&mut byte)).await;
        assert!(matches!(read.expect("an end in time"), Ok(0) | Err(_)), "an end, not a byte");
    }

    /// Sends a request and hands its reply's body to `answered`.
    pub(crate) async fn call<'a, R: Request<'a>, T>(
        &mut self,
        version: i16,
        request: &R,
        answered: impl for<'b> FnOnce(R::Response<'b>) -> T,
    ) -> T {
        let frame = frame::request(version, 7, Some("refusals"), request).expect("a frame");
        self.send_raw(&frame).await;
        let reply = self.receive().await;
        let mut decoder = Decoder::over(&reply);
        let id = frame::decode_response_header(&mut decoder, R::API, version).expect("a header");
        assert_eq!(id, 7);
        answered(R::Response::decode(&mut decoder, version).expect("a response"))
    }

    /// Makes a topic of one partition; the answer.
    pub(crate) async fn create(&mut self, topic: &str, configs: &[(&str, &str)]) -> (i16, String) {
        let request = creation(topic, 1, configs);
        self.call(7, &request, |response| {
            let result: &CreatableTopicResult<'_> = &response.topics[0];
            (result.error_code, result.error_message.clone().unwrap_or_default().into_owned())
        })
        .await
    }

    /// Produces batches to partition 0 with `acks=all`.
    pub(crate) async fn produce(&mut self, topic: &str, records: &[u8]) -> Produced {
        self.produce_with_acks(topic, records, -1).await
    }

    /// Produces batches to partition 0.
    pub(crate) async fn produce_with_acks(
        &mut self,
        topic: &str,
        records: &[u8],
        acks: i16,
    ) -> Produced {
        let request = ProduceRequest {
            acks,
            timeout_ms: 5_000,
            topic_data: vec![TopicProduceData {
                name: topic.to_owned().into(),
                partition_data: vec![PartitionProduceData { index: 0, records: Some(records) }],
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        };
        self.call(9, &request, |response| {
            let answer = &response.responses[0].partition_responses[0];
            Produced {
                error: answer.error_code,
                offset: answer.base_offset,
                message: answer.error_message.clone().unwrap_or_default().into_owned(),
                records: answer.record_errors.iter().map(|error| error.batch_index).collect(),
            }
        })
        .await
    }

    /// Produces one record that has to be acked; its offset.
    pub(crate) async fn acked(&mut self, topic: &str, value: &[u8]) -> i64 {
        let produced = self.produce(topic, &batch(value)).await;
        assert_eq!(produced.error, 0, "{produced:?}");
        produced.offset
    }

    /// Fetches from partition 0.
    pub(crate) async fn fetch(&mut self, topic: &str, wanted: FetchPartition) -> Fetched {
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: 2_000,
            min_bytes: 0,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: topic.to_owned().into(),
                partitions: vec![wanted],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        self.call(12, &request, |response| {
            assert_eq!(response.error_code, 0);
            let answer = &response.responses[0].partitions[0];
            Fetched {
                error: answer.error_code,
                high_watermark: answer.high_watermark,
                records: match &answer.records {
                    wire::Records::Inline(bytes) => bytes.to_vec(),
                    other => panic!("records come inline, not as {other:?}"),
                },
            }
        })
        .await
    }

    /// A fetch at the end of partition 0 that waits so long for a record; its error.
    pub(crate) async fn wait_at(&mut self, topic: &str, offset: i64, wait_ms: i32) -> i16 {
        let request = waiting_at(topic, offset, wait_ms);
        self.call(12, &request, |response| response.error_code).await
    }

    /// Asks for a topic right behind a fetch that waits, and goes, by a reset, before either answer.
    /// `taken_up` waits until the broker has both.
    pub(crate) async fn leave_in_the_middle(
        mut self,
        (waits_at, made): (&str, &str),
        taken_up: impl Future<Output = ()>,
    ) {
        let waits = frame::request(12, 7, Some("refusals"), &waiting_at(waits_at, 0, 500));
        self.send_raw(&waits.expect("a frame")).await;
        let makes = frame::request(7, 8, Some("refusals"), &creation(made, 1, &[]));
        self.send_raw(&makes.expect("a frame")).await;
        taken_up.await;
        self.0.set_zero_linger().expect("a reset");
    }

    /// The values of all records from `from` to the high watermark.
    pub(crate) async fn values(&mut self, topic: &str, from: i64) -> Vec<Vec<u8>> {
        let (mut values, mut next) = (Vec::new(), from);
        loop {
            let fetched = self.fetch(topic, wanted(next)).await;
            assert_eq!(fetched.error, 0, "at {next}");
            if next >= fetched.high_watermark {
                return values;
            }
            let before = next;
            read_values(&fetched.records, &mut next, &mut values);
            assert!(next > before, "records at {next}");
        }
    }

    /// The values of all records from `from` to the high watermark, as a consumer gets them who asks
    /// again when the store fails or takes longer than a fetch waits.
    pub(crate) async fn values_at_last(&mut self, topic: &str, from: i64) -> Vec<Vec<u8>> {
        let (mut values, mut next) = (Vec::new(), from);
        let until = Instant::now() + 3 * SOON;
        loop {
            let fetched = self.fetch(topic, wanted(next)).await;
            assert!(Instant::now() < until, "{} values in time, then {}", next, fetched.error);
            if fetched.error == ErrorCode::KafkaStorageError.as_i16() {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            assert_eq!(fetched.error, 0, "at {next}");
            if next >= fetched.high_watermark {
                return values;
            }
            read_values(&fetched.records, &mut next, &mut values);
        }
    }
}

/// A fetch from partition 0 that waits so long for a record.
fn waiting_at(topic: &str, offset: i64, wait_ms: i32) -> FetchRequest<'static> {
    let partitions = vec![wanted(offset)];
    let topic = FetchTopic { topic: topic.to_owned().into(), partitions, ..Default::default() };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

/// Reads the values of whole batches, those from `next` on, and moves `next` behind the last.
fn read_values(batches: &[u8], next: &mut i64, values: &mut Vec<Vec<u8>>) {
    let mut rest = Bytes::copy_from_slice(batches);
    while rest.len() > 12 {
        let length = 12 + u32::from_be_bytes(rest[8..12].try_into().expect("4 bytes")) as usize;
        if rest.len() < length {
            return;
        }
        let batch = rest.split_to(length);
        for record in Records::of_batch(&batch, 1 << 20).expect("a batch") {
            let record = record.expect("a record");
            if record.offset.get() >= *next {
                *next = record.offset.get() + 1;
                values.push(record.value.unwrap_or_default().to_vec());
            }
        }
    }
}

/// Asks a path by HTTP; the status and the body.
pub(crate) async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, body.to_owned())
}

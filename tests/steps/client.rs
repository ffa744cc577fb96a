//! A client that asks for one thing at a time, and waits for it without end: who does not answer
//! is dead, or the test hangs and says so.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use bytes::Bytes;
use icecore::record::Records;
use icecore::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use icecore::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use icecore::wire::{self, Decoder, ErrorCode, Message as _, Request, frame};

use super::history::Record;

/// More than a topic of the walk holds.
const BYTES_MAX: i32 = 1 << 24;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends a request and hands its answer's body to `answered`.
    pub(crate) fn ask<'a, R: Request<'a>, T>(
        &mut self,
        version: i16,
        request: &R,
        answered: impl for<'b> FnOnce(R::Response<'b>) -> T,
    ) -> io::Result<T> {
        let bytes = frame::request(version, 1, Some("steps"), request).expect("a frame");
        self.0.write_all(&bytes)?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut body)?;
        let mut decoder = Decoder::over(&body);
        frame::decode_response_header(&mut decoder, R::API, version).expect("a header");
        Ok(answered(R::Response::decode(&mut decoder, version).expect("a response")))
    }

    /// The first offset and the one after the last.
    pub(crate) fn bounds(&mut self, topic: &str, partition: i32) -> io::Result<(i64, i64)> {
        let mut of = |timestamp| {
            let partitions = vec![ListOffsetsPartition {
                partition_index: partition,
                timestamp,
                ..ListOffsetsPartition::default()
            }];
            let topics = vec![ListOffsetsTopic { name: topic.into(), partitions }];
            let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
            self.ask(8, &request, |answer| {
                let found = &answer.topics[0].partitions[0];
                assert_eq!(found.error_code, 0, "offsets of {topic}-{partition}");
                found.offset
            })
        };
        Ok((of(EARLIEST)?, of(LATEST)?))
    }

    /// All records from `from` to before `end`, with their offsets; `None` when the log begins
    /// later by now.
    pub(crate) fn read(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
        end: i64,
    ) -> io::Result<Option<Vec<(i64, Record)>>> {
        let mut records = Vec::new();
        let mut next = from;
        while next < end {
            let wanted = FetchPartition {
                partition,
                fetch_offset: next,
                current_leader_epoch: -1,
                last_fetched_epoch: -1,
                partition_max_bytes: BYTES_MAX,
                ..FetchPartition::default()
            };
            let topics = vec![FetchTopic {
                topic: topic.into(),
                partitions: vec![wanted],
                ..FetchTopic::default()
            }];
            let request = FetchRequest {
                replica_id: -1,
                max_wait_ms: 1000,
                min_bytes: 1,
                max_bytes: BYTES_MAX,
                session_epoch: -1,
                topics,
                ..FetchRequest::default()
            };
            let bytes = self.ask(12, &request, |answer| {
                let found = &answer.responses[0].partitions[0];
                if found.error_code == ErrorCode::OffsetOutOfRange.as_i16() {
                    return None;
                }
                assert_eq!(found.error_code, 0, "{topic}-{partition} at {next}");
                match &found.records {
                    wire::Records::Inline(bytes) => Some(Bytes::copy_from_slice(bytes)),
                    other => panic!("records come inline, not as {other:?}"),
                }
            })?;
            let Some(bytes) = bytes else { return Ok(None) };
            let before = next;
            take(bytes, &mut next, &mut records);
            assert!(next > before, "{topic}-{partition} has no record at {next} of {end}");
        }
        Ok(Some(records))
    }
}

/// Takes the records of whole batches from `next` on, and moves `next` behind the last.
fn take(mut rest: Bytes, next: &mut i64, records: &mut Vec<(i64, Record)>) {
    while rest.len() > 12 {
        let length = 12 + u32::from_be_bytes(rest[8..12].try_into().expect("4 bytes")) as usize;
        if rest.len() < length {
            return;
        }
        for record in Records::of_batch(&rest.split_to(length), 1 << 20).expect("a batch") {
            let record = record.expect("a record");
            if record.offset.get() >= *next {
                *next = record.offset.get() + 1;
                let value = record.value.unwrap_or_default().to_vec();
                let timestamp_ms = record.timestamp_ms;
                records.push((record.offset.get(), Record { timestamp_ms, value }));
            }
        }
    }
}

/// Asks a path of the HTTP port for the body of its answer.
pub(crate) fn http_get(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = head.ok_or(io::ErrorKind::UnexpectedEof)? + 4;
    Ok(answer.split_off(body))
}

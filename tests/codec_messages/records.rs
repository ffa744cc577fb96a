//! Record bytes: borrowed from a produce request's frame, left out of a fetch response's.

use bytes::{Bytes, BytesMut};
use icecore::model::TopicId;
use icecore::wire::messages::fetch::{FetchRequest, FetchResponse};
use icecore::wire::messages::produce::ProduceRequest;
use icecore::wire::messages::share_fetch::ShareFetchResponse;
use icecore::wire::{ApiKey, messages};
use icecore::wire::{Cut, Decoder, EncodeError, Encoder, Message, Records, frame};

use crate::allocations;
use crate::random::Random;
use crate::table::LAYOUTS;
use crate::value;

/// What goes to the socket: the buffer with the external bytes at its cuts.
fn joined(encoder: &Encoder, external: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut from = 0;
    for Cut { position, index, len } in &encoder.cuts {
        out.extend(&encoder.buf[from..*position]);
        let bytes = &external[*index as usize];
        assert_eq!(bytes.len(), *len as usize);
        out.extend(bytes);
        from = *position;
    }
    out.extend(&encoder.buf[from..]);
    out
}

/// Takes the inline bytes out of `records` and leaves their name there.
fn externalize(records: &mut Records<'_>, external: &mut Vec<Vec<u8>>) {
    if let Records::Inline(bytes) = records {
        let (index, len) = (external.len() as u32, bytes.len() as u32);
        external.push(bytes.to_vec());
        *records = Records::External { index, len };
    }
}

fn random_bytes(name: &str, random: &mut Random, version: i16) -> Vec<u8> {
    let layout = LAYOUTS.iter().find(|layout| layout.0 == name).expect("a layout");
    value::message(random, layout, version).0
}

#[test]
fn fetch_responses_with_external_records_are_the_inline_ones_byte_for_byte() {
    let mut random = Random::seeded();
    for version in FetchResponse::VERSIONS.cycle_times(50) {
        let bytes = random_bytes(FetchResponse::NAME, &mut random, version);
        let mut response = FetchResponse::decode(&mut Decoder::over(&bytes), version).unwrap();
        let mut external = Vec::new();
        for topic in &mut response.responses {
            for partition in &mut topic.partitions {
                externalize(&mut partition.records, &mut external);
            }
        }
        assert_same(&response, version, &bytes, &external);
    }
}

#[test]
fn share_fetch_responses_too() {
    let mut random = Random::seeded();
    for version in ShareFetchResponse::VERSIONS.cycle_times(50) {
        let bytes = random_bytes(ShareFetchResponse::NAME, &mut random, version);
        let mut response = ShareFetchResponse::decode(&mut Decoder::over(&bytes), version).unwrap();
        let mut external = Vec::new();
        for topic in &mut response.responses {
            for partition in &mut topic.partitions {
                externalize(&mut partition.records, &mut external);
            }
        }
        assert_same(&response, version, &bytes, &external);
    }
}

fn assert_same<'a, M: Message<'a>>(
    response: &M,
    version: i16,
    inline: &[u8],
    external: &[Vec<u8>],
) {
    let mut encoder = Encoder::new();
    response.encode(&mut encoder, version).expect("what was decoded can be encoded");
    assert_eq!(encoder.total_len(), inline.len(), "v{version}");
    let outside: usize = external.iter().map(Vec::len).sum();
    assert_eq!(encoder.buf.len(), inline.len() - outside, "v{version}");
    assert!(joined(&encoder, external) == inline, "v{version}");
}

/// Every version, several times over.
trait CycleTimes {
    fn cycle_times(self, times: usize) -> impl Iterator<Item = i16>;
}

impl CycleTimes for std::ops::RangeInclusive<i16> {
    fn cycle_times(self, times: usize) -> impl Iterator<Item = i16> {
        (0..times).flat_map(move |_| self.clone())
    }
}

#[test]
fn a_frame_counts_the_bytes_that_it_leaves_out() {
    use messages::fetch::{FetchableTopicResponse, PartitionData};
    let partition = |index, len| PartitionData {
        records: Records::External { index, len },
        ..PartitionData::default()
    };
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic_id: TopicId::from_bytes([7; 16]),
            partitions: vec![partition(0, 1000), partition(1, 0), partition(2, 1 << 30)],
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    };
    let encoder = frame::response(ApiKey::Fetch, 13, 5, &response).unwrap();
    let prefix = i32::from_be_bytes(encoder.buf[..4].try_into().unwrap());
    assert_eq!(prefix as usize, encoder.buf.len() - 4 + 1000 + (1 << 30));
    let named: Vec<_> = encoder.cuts.iter().map(|cut| (cut.index, cut.len)).collect();
    assert_eq!(named, [(0, 1000), (2, 1 << 30)], "nothing is cut where there is nothing");
}

fn produce_frame(version: i16, records: &[u8]) -> Bytes {
    use messages::produce::{PartitionProduceData, TopicProduceData};
    let partition_data = vec![PartitionProduceData { index: 3, records: Some(records) }];
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 1500,
        topic_data: vec![TopicProduceData {
            name: "topic".into(),
            topic_id: TopicId::ZERO,
            partition_data,
        }],
        ..ProduceRequest::default()
    };
    let mut encoder = Encoder::new();
    request.encode(&mut encoder, version).expect("a request of every version");
    encoder.buf.freeze()
}

#[test]
fn produced_records_point_into_the_frame() {
    let records = vec![0x5a; 1 << 20];
    for version in ProduceRequest::VERSIONS {
        let frame = produce_frame(version, &records);
        let (request, allocated) = allocations::counted(|| {
            ProduceRequest::decode(&mut Decoder::over(&frame), version).unwrap()
        });
        let found = request.topic_data[0].partition_data[0].records.unwrap();
        assert!(frame.slice_ref(found) == records, "v{version}");
        assert!(allocated < 1024, "v{version} copied {allocated} bytes");
    }
}

#[test]
fn a_value_that_the_version_lacks_is_refused_by_name() {
    let mut request = FetchRequest::default();
    request.replica_state.replica_id = 4;
    let error = request.encode(&mut Encoder::new(), 14).unwrap_err();
    let field = "FetchRequest.replica_state";
    assert_eq!(error, EncodeError::FieldAbsent { message: "FetchRequest", field, version: 14 });
    assert_eq!(request.encode(&mut Encoder::new(), 15), Ok(()));
}

#[test]
fn a_null_that_the_version_lacks_is_refused_by_name() {
    use messages::metadata::MetadataRequest;
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let error = request.encode(&mut Encoder::new(), 0).unwrap_err();
    let field = "MetadataRequest.topics";
    assert_eq!(
        error,
        EncodeError::NullNotAllowed { message: "MetadataRequest", field, version: 0 }
    );
    assert_eq!(request.encode(&mut Encoder::new(), 1), Ok(()));
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    let frame = produce_frame(9, b"records");
    let (last, body) = frame.split_last().unwrap();
    assert_eq!(*last, 0, "the request ends with no tagged fields");
    let mut tagged = BytesMut::from(body);
    tagged.extend_from_slice(&[2, 9, 3, 1, 2, 3, 0x90, 0x03, 0]);
    let mut from = Decoder::over(&tagged);
    let request = ProduceRequest::decode(&mut from, 9).unwrap();
    assert_eq!(from.finish(), Ok(()));
    assert_eq!(request, ProduceRequest::decode(&mut Decoder::over(&frame), 9).unwrap());
}

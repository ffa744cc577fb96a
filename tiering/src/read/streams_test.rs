//! Whose read goes on where another ended.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;

use super::source::Source;
use super::streams::Streams;
use crate::bundle::BlockChecks;
use crate::cache::ChunkKey;
use crate::ids::{Offset, SegmentId, TopicId};
use crate::partition::PartitionKey;

const MIB: u64 = 1 << 20;
const NOW: Duration = Duration::from_secs(1);

fn source(partition: i32, number: u8) -> Arc<Source> {
    Arc::new(Source {
        partition: PartitionKey::new("t", TopicId::from_bytes([1; 16]), partition),
        base: Offset::new(i64::from(number)),
        after: Offset::new(i64::from(number) + 1),
        segment: SegmentId::from_bytes([number; 16]),
        name: Path::from("log"),
        checks: Arc::new(BlockChecks::new(8 * MIB, 65_536, &[])),
    })
}

fn streams() -> Streams {
    Streams::new(512 * MIB, 256 * MIB)
}

/// Reads `len` bytes; gives the stream.
fn read(streams: &mut Streams, source: &Arc<Source>, start: u64, len: u64) -> u64 {
    let (id, position) = streams.enter(NOW, source, start);
    streams.get_mut(id).unwrap().end(NOW, position, len);
    id
}

fn is_sequential(streams: &mut Streams, id: u64) -> bool {
    streams.get_mut(id).unwrap().is_sequential()
}

#[test]
fn a_reader_who_goes_on_is_one_stream_and_one_who_looks_again_is_not_in_sequence() {
    let (mut streams, source) = (streams(), source(0, 1));
    let first = read(&mut streams, &source, 3 * MIB, MIB);
    assert_eq!(read(&mut streams, &source, 3 * MIB, MIB), first, "the same place again");
    assert!(!is_sequential(&mut streams, first));
    // Whole batches end before the bytes do.
    assert_eq!(read(&mut streams, &source, 4 * MIB - 5000, MIB), first);
    assert!(is_sequential(&mut streams, first));
    assert_ne!(read(&mut streams, &source, 7 * MIB, MIB), first, "a jump");
    assert_ne!(read(&mut streams, &source, MIB, MIB), first, "a jump back");
}

#[test]
fn readers_at_different_places_are_streams_of_their_own_and_do_not_disturb_each_other() {
    let (mut streams, here, there) = (streams(), source(0, 1), source(1, 2));
    let places = [(&here, 0), (&here, 4 * MIB), (&there, 0)];
    let ids: Vec<_> = places.iter().map(|(of, at)| read(&mut streams, of, *at, MIB)).collect();
    for step in 1..3 {
        for ((of, at), id) in places.iter().zip(&ids) {
            assert_eq!(read(&mut streams, of, at + step * MIB, MIB), *id);
        }
    }
}

#[test]
fn a_reader_goes_over_to_the_next_segment_whether_it_was_known_or_not() {
    let (mut streams, first, second, third) = (streams(), source(0, 1), source(0, 2), source(0, 3));
    let id = read(&mut streams, &first, 6 * MIB, MIB);
    read(&mut streams, &first, 7 * MIB, MIB);
    let wanting = streams.want_next(NOW);
    assert_eq!(wanting.len(), 1, "its window reaches beyond the end");
    assert!(streams.want_next(NOW).is_empty(), "asked once");
    streams.get_mut(id).unwrap().found_next(NOW, first.base, vec![Arc::clone(&second)]);
    let held = |key: &ChunkKey| key.segment == first.segment;
    let ahead = streams.next_run(NOW, held).expect("a request ahead");
    assert_eq!((ahead.source.segment, ahead.chunks), (second.segment, 0..4));
    assert_eq!(read(&mut streams, &second, 0, 8 * MIB), id, "known");
    assert_eq!(read(&mut streams, &third, 0, MIB), id, "not known");
    assert!(is_sequential(&mut streams, id));
}

#[test]
fn looks_that_come_to_the_end_of_their_segments_are_no_sequence() {
    let mut streams = streams();
    for number in [1, 3, 5] {
        let id = read(&mut streams, &source(0, number), 0, 8 * MIB);
        assert!(!is_sequential(&mut streams, id), "segment {number} is not the next one");
    }
}

#[test]
fn a_deleted_segment_ends_what_is_read_ahead_and_takes_its_readers_along() {
    let (mut streams, first, second) = (streams(), source(0, 1), source(0, 2));
    let id = read(&mut streams, &first, 7 * MIB, MIB / 2);
    read(&mut streams, &first, 7 * MIB + MIB / 2, MIB / 2);
    streams.get_mut(id).unwrap().found_next(NOW, first.base, vec![Arc::clone(&second)]);
    streams.forget(second.segment);
    assert!(streams.next_run(NOW, |key| key.segment == first.segment).is_none());
    streams.forget(first.segment);
    assert!(streams.get_mut(id).is_none());
}

#[test]
fn streams_are_bounded_and_those_in_sequence_stay_longest() {
    let (mut streams, source) = (streams(), source(0, 1));
    let kept = read(&mut streams, &source, 0, MIB);
    read(&mut streams, &source, MIB, MIB);
    for look in 0..400 {
        read(&mut streams, &source, 3 * MIB + look * 10_000, 1000);
    }
    assert!(is_sequential(&mut streams, kept));
    assert_eq!(streams.count(), 128);
    assert_eq!(streams.read_now(NOW).count(), 1);
    assert_eq!(streams.read_now(NOW + Duration::from_secs(60)).count(), 0, "it has left");
}

//! Bytes that no client sends: every message in every version returns, and takes no more memory
//! than the decoder's budget.

use icecore::wire::messages::describe_groups::DescribeGroupsRequest;
use icecore::wire::{DecodeError, Decoder, Message as _};

use crate::allocations;
use crate::codecs::{self, Attempt};
use crate::layout::Layout;
use crate::random::Random;
use crate::table::LAYOUTS;
use crate::value;

const ROUNDS: usize = 40;

fn decode(random: &mut Random, mutate: fn(&mut Random, &Layout, i16) -> Vec<u8>) {
    for (name, attempt) in codecs::attempts() {
        let layout = LAYOUTS.iter().find(|layout| layout.0 == name).expect("a layout");
        for version in layout.versions() {
            for _ in 0..ROUNDS {
                let bytes = mutate(random, layout, version);
                assert_bounded(name, attempt, &bytes, version);
            }
        }
    }
}

fn assert_bounded(name: &str, attempt: Attempt, bytes: &[u8], version: i16) {
    let (_, allocated) = allocations::counted(|| attempt(bytes, version));
    let budget = Decoder::default_budget(bytes.len());
    assert!(allocated <= budget, "{name} v{version} took {allocated} of {budget}: {bytes:?}");
}

/// A valid message with a few bytes changed, so that the damage lies deep.
fn damaged(random: &mut Random, layout: &Layout, version: i16) -> Vec<u8> {
    let (mut bytes, _) = value::message(random, layout, version);
    for _ in 0..=random.below(4) {
        damage(random, &mut bytes);
    }
    bytes
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => drop(bytes.splice(at..at, [0x7f, 0xff, 0xff, 0xff])),
        2 => drop(bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f])),
        3 => {
            let end = (at + 4).min(bytes.len());
            bytes[at..end].fill([0, 0x7f, 0xff][random.below(3)]);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

#[test]
fn random_bytes_only_return() {
    decode(&mut Random::seeded(), |random, _, _| {
        let count = random.below(200);
        random.bytes(count)
    });
}

#[test]
fn small_numbers_that_pass_for_lengths_only_return() {
    decode(&mut Random::seeded(), |random, _, _| {
        (0..random.below(200)).map(|_| [0, 0, 1, 2, 3, 0xff][random.below(6)]).collect()
    });
}

#[test]
fn damaged_messages_only_return() {
    decode(&mut Random::seeded(), damaged);
}

#[test]
fn every_cut_of_a_message_is_an_error() {
    let mut random = Random::seeded();
    for (name, attempt) in codecs::attempts() {
        let layout = LAYOUTS.iter().find(|layout| layout.0 == name).expect("a layout");
        for version in layout.versions() {
            let (bytes, _) = value::message(&mut random, layout, version);
            assert!(attempt(&bytes, version), "{name} v{version}");
            for end in (0..bytes.len()).rev().take(300) {
                assert!(!attempt(&bytes[..end], version), "{name} v{version} cut at {end}");
            }
        }
    }
}

#[test]
fn a_count_that_lies_is_refused_before_anything_is_reserved() {
    let lie = 0x7fff_ffff_i32.to_be_bytes();
    let metadata = attempt_of("MetadataRequest");
    let (decoded, allocated) = allocations::counted(|| metadata(&lie, 0));
    assert!(!decoded);
    assert_eq!(allocated, 0);
}

#[test]
fn elements_that_grow_in_memory_stop_at_the_budget() {
    // A string of no letters takes 1 byte on the wire and 24 in memory, so 64 MiB are too few.
    let count = 8 << 20;
    let mut bytes = vec![1; count + 64];
    bytes.splice(0..4, [0x81, 0x80, 0x80, 0x04]);
    let (decoded, allocated) =
        allocations::counted(|| DescribeGroupsRequest::decode(&mut Decoder::over(&bytes), 5));
    let (needed, left) = (count * 24, 64 << 20);
    assert_eq!(decoded, Err(DecodeError::OverBudget { needed, left }));
    assert_eq!(allocated, 0);
}

fn attempt_of(name: &str) -> Attempt {
    let mut all = codecs::attempts().into_iter();
    all.find(|(other, _)| *other == name).expect("a message of that name").1
}

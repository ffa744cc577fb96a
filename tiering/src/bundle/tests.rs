//! The `.index` object reads back, and no wrong byte goes unseen.

use proptest::prelude::*;

use super::*;
use crate::checksum::crc32c;

fn header(size: u64, epochs: usize) -> BundleHeader {
    BundleHeader {
        topic: "orders".into(),
        topic_id: TopicId::from_bytes([1; 16]),
        partition: 4,
        base: Offset::new(10),
        end: Offset::new(99),
        first_timestamp_ms: -1,
        max_timestamp_ms: 1_700_000_000_000,
        size,
        log_crc: 0xdead_beef,
        leader_epoch: LeaderEpoch::new(7),
        sealed_ms: 5,
        segment_id: SegmentId::from_bytes([2; 16]),
        epochs: (0..epochs).map(|n| (LeaderEpoch::new(n as i32), Offset::new(n as i64))).collect(),
    }
}

fn parts(log: &[u8]) -> BundleParts {
    let blocks = log.chunks(CHECKSUM_BLOCK_BYTES as usize);
    BundleParts {
        offset_index: Bytes::from_static(b"offsets"),
        time_index: Bytes::from_static(b"times"),
        txn_index: Bytes::new(),
        producer_snapshot: Bytes::from_static(b"producers"),
        leader_epochs: Bytes::from_static(b"0\n1\n0 0\n"),
        block_checksums: blocks.flat_map(|block| crc32c(block).to_be_bytes()).collect(),
    }
}

#[test]
fn a_bundle_reads_back_and_its_header_alone_too() {
    let log = vec![3; 150_000];
    let (written, parts) = (header(150_000, 3), parts(&log));
    let bytes = encode(&written, &parts);
    let read = IndexBundle::decode(bytes.clone()).unwrap();
    assert_eq!(read.header, written);
    assert_eq!(read.offset_index, parts.offset_index);
    assert_eq!(read.leader_epochs, parts.leader_epochs);
    assert_eq!(read.checks().blocks(), 3);
    assert!(read.checks().is_right(0, &log[..65_536]));
    assert!(read.checks().is_right(2, &log[131_072..]));
    assert!(!read.checks().is_right(2, &log[131_073..]), "a short block");
    assert!(!read.checks().is_right(3, &[]), "a block past the end");
    assert!(!read.checks().is_right(0, &[4; 65_536]), "wrong bytes");
    assert_eq!(super::header(&bytes[..bytes.len() - 10]), Ok(written));
}

#[test]
fn every_flipped_bit_and_every_cut_is_seen() {
    let bytes = encode(&header(10, 2), &parts(&[9; 10]));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut wrong = bytes.to_vec();
            wrong[at] ^= 1 << bit;
            assert!(IndexBundle::decode(wrong.into()).is_err(), "byte {at} bit {bit}");
        }
        assert!(IndexBundle::decode(bytes.slice(..at)).is_err(), "cut at {at}");
    }
}

#[test]
fn lengths_that_lie_are_errors_and_reserve_nothing() {
    let good = encode(&header(10, 2), &parts(&[9; 10]));
    let mut lying = good.to_vec();
    lying[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(IndexBundle::decode(lying.into()), Err(BundleError::Field("header length")));
    let mut later = good.to_vec();
    later[9] = 2;
    assert_eq!(IndexBundle::decode(later.into()), Err(BundleError::Version(2)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400), good_start: bool,
    ) {
        if good_start && bytes.len() > 24 {
            bytes[..8].copy_from_slice(MAGIC);
            bytes[8..10].copy_from_slice(&VERSION.to_be_bytes());
            let length = bytes.len();
            bytes[12..16].copy_from_slice(&(length as u32).to_be_bytes());
            let crc = crc32c(&bytes[..length - 4]);
            bytes[length - 4..].copy_from_slice(&crc.to_be_bytes());
        }
        let _ = IndexBundle::decode(bytes.into());
    }
}

//! A look at the records of a log in the bucket, batch by batch, as its bytes come in.
//!
//! Memory is bounded by the largest batch that is believed.

use bytes::{Buf as _, Bytes, BytesMut};
use icecore_tiering::{LogInspector, Segment};

use crate::model::Offset;
use crate::record::{BatchHeader, HEADER_LEN};

/// A batch that says it is larger is not believed: producers' requests are bounded far below.
const BATCH_BYTES_MAX: usize = 256 << 20;

/// The batches of one segment.
#[derive(Debug)]
pub struct BatchInspector {
    /// Whether every offset has to be there.
    contiguous: bool,
    /// The smallest offset that the next batch may begin with.
    next: Offset,
    /// The last offset, by the object's name.
    end: Offset,
    /// Bytes of the log that were not seen yet.
    left: u64,
    /// Where the bytes that wait begin in the log.
    position: u64,
    waiting: BytesMut,
    wrong: Option<String>,
}

impl BatchInspector {
    /// For a segment's log; `contiguous` where every offset has to be there.
    #[must_use]
    pub fn new(segment: &Segment, contiguous: bool) -> Self {
        Self {
            contiguous,
            next: segment.object.base,
            end: segment.object.end,
            left: segment.size,
            position: 0,
            waiting: BytesMut::new(),
            wrong: None,
        }
    }

    fn look(&mut self) -> Result<(), String> {
        while let Some(header) = self.waiting.first_chunk::<HEADER_LEN>() {
            let header = BatchHeader::read(header);
            let at = self.position;
            let len = usize::try_from(header.batch_len()).unwrap_or(0);
            if header.magic != 2
                || header.count <= 0
                || !(HEADER_LEN..=BATCH_BYTES_MAX).contains(&len)
            {
                return Err(format!("no batch begins at position {at}"));
            }
            if len > self.waiting.len() {
                let beyond = (len - self.waiting.len()) as u64 > self.left;
                let detail = || format!("the batch at position {at} reaches beyond the end");
                return if beyond { Err(detail()) } else { Ok(()) };
            }
            if header.checksum(&self.waiting[HEADER_LEN..len]) != header.crc {
                return Err(format!("the batch at position {at} does not fit its CRC"));
            }
            self.place(&header)?;
            self.waiting.advance(len);
            self.position += len as u64;
        }
        Ok(())
    }

    /// Whether a batch's offsets follow on those before it.
    fn place(&mut self, header: &BatchHeader) -> Result<(), String> {
        let (base, last, next) = (header.base_offset, header.last_offset(), self.next);
        if base < next || last < base || last > self.end {
            return Err(format!(
                "the batch with offsets {base} to {last} is not within {next} to {}",
                self.end
            ));
        }
        if self.contiguous && base > next {
            return Err(format!("offsets {next} to {} are missing", base.prev()));
        }
        self.next = last.next();
        Ok(())
    }
}

impl LogInspector for BatchInspector {
    fn bytes(&mut self, bytes: &Bytes) {
        if self.wrong.is_some() {
            return;
        }
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.waiting.extend_from_slice(bytes);
        self.wrong = self.look().err();
    }

    fn end(self: Box<Self>) -> Option<String> {
        if self.wrong.is_some() {
            return self.wrong;
        }
        if !self.waiting.is_empty() {
            return Some(format!("the batch at position {} is cut", self.position));
        }
        if self.contiguous && self.next != self.end.next() {
            return Some(format!("offsets {} to {} are missing", self.next, self.end));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use icecore_tiering::PartitionKey;

    use super::*;
    use crate::model::{LeaderEpoch, TopicId};
    use crate::record::{BatchBuilder, Codec, NewRecord};

    /// Three batches of ten records from offset 100 on.
    fn log() -> Vec<u8> {
        let mut log = Vec::new();
        for base in [100, 110, 120] {
            let mut builder = BatchBuilder::new(Codec::None);
            (0..10).for_each(|_| builder.push(&NewRecord::default()));
            let batch = builder.build().expect("batch");
            let stamped = batch.header().stamp(Offset::new(base), LeaderEpoch::ZERO);
            log.extend_from_slice(&stamped.write());
            log.extend_from_slice(batch.body());
        }
        log
    }

    fn inspected(log: &[u8], (base, end): (i64, i64), chunk: usize) -> Option<String> {
        let key = PartitionKey::new("t", TopicId::ZERO, 0);
        let span = (Offset::new(base), Offset::new(end));
        let size = log.len() as u64;
        let segment = Segment::sealed(key, span, (0, 0), size, LeaderEpoch::ZERO, vec![], 0);
        let mut inspector = Box::new(BatchInspector::new(&segment, true));
        log.chunks(chunk).for_each(|bytes| inspector.bytes(&Bytes::copy_from_slice(bytes)));
        inspector.end()
    }

    #[test]
    fn a_right_log_is_right_however_it_is_cut_into_chunks() {
        let log = log();
        for chunk in [1, 7, 61, 100, log.len()] {
            assert_eq!(inspected(&log, (100, 129), chunk), None, "in chunks of {chunk}");
        }
    }

    #[test]
    fn a_byte_that_changed_an_offset_that_is_missing_and_a_cut_are_told() {
        let log = log();
        let batch = log.len() / 3;
        let mut flipped = log.clone();
        flipped[batch + 70] ^= 1;
        let told = inspected(&flipped, (100, 129), 50).expect("seen");
        assert_eq!(told, format!("the batch at position {batch} does not fit its CRC"));
        let hole = [&log[..batch], &log[2 * batch..]].concat();
        let told = inspected(&hole, (100, 129), 50).expect("seen");
        assert_eq!(told, "offsets 110 to 119 are missing");
        assert!(inspected(&log, (100, 139), 50).expect("seen").contains("130 to 139"));
        assert!(inspected(&log, (101, 129), 50).expect("seen").contains("not within"));
        let cut = &log[..log.len() - 1];
        assert!(inspected(cut, (100, 129), 50).expect("seen").contains("beyond the end"));
        assert!(
            inspected(
                b"<html>a proxy's page that is as long as a header of a batch</html>",
                (0, 9),
                9
            )
            .expect("seen")
            .contains("no batch begins")
        );
    }
}

//! What was fetched, in the form of the destination: lines, or batches to be sent on.

use anyhow::Context as _;

use crate::cli::client::{Batches, Fetched};
use crate::cli::record_line::{self, Style};
use crate::model::Offset;
use crate::record::{BatchBuilder, Codec, Header, NewRecord, Record, RecordHeader};

/// A batch that is sent on ends when its records have so many bytes.
const BATCH_BYTES: usize = 256 << 10;

/// Which form.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A record a line.
    Lines(Style),
    /// Batches in the codec of those that were read.
    Batches,
}

/// What a destination takes.
#[derive(Debug)]
pub(super) enum Load {
    /// Whole lines.
    Lines(Vec<u8>),
    /// Batches that are numbered when they are sent.
    Batches(Vec<(Codec, BatchBuilder)>),
}

/// A piece of one partition, in order.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) partition: i32,
    /// The offset after it.
    pub(super) next: Offset,
    pub(super) records: u64,
    /// Of them, those that the destination had already.
    pub(super) skipped: u64,
    /// Of the batches that it was read from.
    pub(super) bytes: u64,
    /// The time of its last record, in milliseconds; -1 for none.
    pub(super) time_ms: i64,
    pub(super) load: Load,
}

/// One partition on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) partition: i32,
    /// The next offset.
    pub(super) next: Offset,
    /// The offset to stop before.
    pub(super) end: Offset,
    /// Records from the next offset on that the destination has already.
    pub(super) there: u64,
}

impl Piece {
    fn empty(partition: i32, next: Offset, load: Load) -> Self {
        Self { partition, next, records: 0, skipped: 0, bytes: 0, time_ms: -1, load }
    }
}

impl Form {
    /// Brings what was fetched into the form, and moves the course on.
    pub(super) fn piece(
        &self,
        topic: &str,
        fetched: Fetched,
        course: &mut Course,
    ) -> anyhow::Result<Piece> {
        let number = fetched.partition;
        let name = format!("{topic}-{number}");
        let load = match self {
            Self::Lines(_) => Load::Lines(Vec::new()),
            Self::Batches => Load::Batches(Vec::new()),
        };
        let (mut piece, there) = (Piece::empty(number, course.next, load), course.there);
        for batch in Batches::new(&name, fetched.batches) {
            let batch = batch?;
            let header = &batch.header;
            if header.base_offset >= course.end {
                break;
            }
            if header.last_offset() < course.next {
                continue;
            }
            piece.bytes += header.batch_len().unsigned_abs();
            let codec = header.codec().unwrap_or(Codec::None);
            for record in batch.records(&name) {
                let record = record?;
                if record.offset >= course.next && record.offset < course.end {
                    self.take(&mut piece, course, codec, &record)
                        .with_context(|| format!("{name} at offset {}", record.offset))?;
                }
            }
            // Records that compaction removed, or a transaction's markers, leave offsets behind.
            course.next = header.last_offset().next().min(course.end);
        }
        (piece.next, piece.skipped) = (course.next, there - course.there);
        Ok(piece)
    }

    fn take(
        &self,
        piece: &mut Piece,
        course: &mut Course,
        codec: Codec,
        record: &Record,
    ) -> anyhow::Result<()> {
        piece.records += 1;
        piece.time_ms = record.timestamp_ms;
        if course.there > 0 {
            course.there -= 1;
            return Ok(());
        }
        match (&mut piece.load, self) {
            (Load::Lines(lines), Self::Lines(style)) => {
                record_line::write(lines, style, piece.partition, record)?;
            }
            (Load::Batches(batches), _) => push(batches, codec, record)?,
            (Load::Lines(_), Self::Batches) => {}
        }
        Ok(())
    }
}

fn header(header: &RecordHeader) -> anyhow::Result<Header<'_>> {
    let name = std::str::from_utf8(&header.name).context("the name of a header is no text")?;
    Ok((name, header.value.as_deref()))
}

/// Adds a record as it is: key, value, headers and time.
fn push(
    batches: &mut Vec<(Codec, BatchBuilder)>,
    codec: Codec,
    record: &Record,
) -> anyhow::Result<()> {
    let headers = record.headers.iter().map(header).collect::<anyhow::Result<Vec<_>>>()?;
    let full =
        |(held, batch): &(Codec, BatchBuilder)| *held != codec || batch.body_len() >= BATCH_BYTES;
    if batches.last().is_none_or(full) {
        batches.push((codec, BatchBuilder::new(codec)));
    }
    if let Some((_, batch)) = batches.last_mut() {
        batch.push(&NewRecord {
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Records;

    /// Ten records from `base` on, as a broker sends them.
    fn fetched(base: i64, codec: Codec) -> Fetched {
        let mut builder = BatchBuilder::new(codec);
        for n in 0..10 {
            let (key, value) = (format!("k{n}"), format!("v{n}"));
            let headers: [Header<'_>; 2] = [("h", Some(b"x")), ("h", None)];
            builder.push(&NewRecord {
                timestamp_ms: 1000 - n,
                key: (n % 2 == 0).then_some(key.as_bytes()),
                value: (n % 3 == 0).then_some(value.as_bytes()),
                headers: &headers,
            });
        }
        let built = builder.build().expect("build");
        let mut header = *built.header();
        header.base_offset = Offset::new(base);
        let batches = [&header.write()[..], built.body()].concat().into();
        Fetched { partition: 3, batches }
    }

    fn course(next: i64, end: i64, there: u64) -> Course {
        Course { partition: 3, next: Offset::new(next), end: Offset::new(end), there }
    }

    fn read(bytes: bytes::Bytes) -> Vec<Record> {
        let records = Records::of_batch(&bytes, 1 << 20).expect("records");
        records.collect::<Result<_, _>>().expect("records")
    }

    #[test]
    fn records_are_sent_on_as_they_came_in_their_codec() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let (came, mut course) = (fetched(20, codec), course(20, 30, 0));
            let sent = read(came.batches.clone());
            let piece = Form::Batches.piece("t", came, &mut course).expect("a piece");
            let Load::Batches(batches) = piece.load else { panic!("batches") };
            let [(held, batch)] = &batches[..] else { panic!("one batch") };
            let built = batch.build().expect("build");
            assert_eq!((*held, built.header().codec()), (codec, Some(codec)));
            let again = read([&built.header().write()[..], built.body()].concat().into());
            assert_eq!(again.len(), sent.len());
            for (a, b) in again.iter().zip(&sent) {
                let of = |r: &Record| (r.timestamp_ms, r.key.clone(), r.value.clone());
                assert_eq!((of(a), &a.headers), (of(b), &b.headers), "{codec:?}");
            }
        }
    }

    #[test]
    fn only_what_is_in_the_range_and_not_there_yet_is_taken() {
        let style = Style::Lines { separator: None };
        let mut course = course(23, 28, 2);
        let piece = Form::Lines(style).piece("t", fetched(20, Codec::None), &mut course);
        let piece = piece.expect("a piece");
        let Load::Lines(lines) = piece.load else { panic!("lines") };
        assert_eq!(String::from_utf8_lossy(&lines), "\nv6\n\n", "offsets 25 to 27");
        assert_eq!((piece.records, piece.skipped, piece.time_ms), (5, 2, 993));
        assert_eq!(piece.next, course.next);
        assert_eq!((course.next.get(), course.there), (28, 0));
    }

    #[test]
    fn a_batch_outside_of_the_range_counts_no_bytes() {
        let mut course = course(30, 40, 0);
        let (before, after) = (fetched(20, Codec::None), fetched(40, Codec::None));
        for outside in [before, after] {
            let piece = Form::Batches.piece("t", outside, &mut course).expect("a piece");
            assert_eq!((piece.bytes, piece.records, piece.next.get()), (0, 0, 30));
        }
    }
}

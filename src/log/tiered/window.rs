//! A part of a remote segment that lies in local files, to look at batch headers in it.

use std::io;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;

use crate::model::FileSlice;
use crate::record::{BatchHeader, HEADER_LEN};

/// Bytes `start..end` of a segment.
#[derive(Clone, Debug)]
pub(super) struct Window {
    start: u64,
    slices: Vec<FileSlice>,
}

impl Window {
    pub(super) fn new(start: u64, slices: Vec<icecore_tiering::FileSlice>) -> Self {
        let own = |slice: icecore_tiering::FileSlice| FileSlice {
            file: slice.file.clone(),
            position: slice.position,
            len: slice.len,
            gives_way: true,
            // The whole slice is kept: it holds the place in the cache that the bytes lie in.
            pin: Some(std::sync::Arc::new(slice)),
        };
        Self { start, slices: slices.into_iter().map(own).collect() }
    }

    /// The position after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.start + self.slices.iter().map(|slice| slice.len).sum::<u64>()
    }

    /// Reads `buffer.len()` bytes at a position of the segment, which must lie inside.
    fn read_exact(&self, mut buffer: &mut [u8], mut position: u64) -> io::Result<()> {
        let mut start = self.start;
        for slice in &self.slices {
            let end = start + slice.len;
            if position < end && !buffer.is_empty() {
                let here = usize::try_from(end - position).unwrap_or(usize::MAX).min(buffer.len());
                let (now, rest) = buffer.split_at_mut(here);
                slice.file.read_exact_at(now, slice.position + (position - start))?;
                (buffer, position) = (rest, position + here as u64);
            }
            start = end;
        }
        if buffer.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The header at `position`; `None` when it does not lie wholly inside.
    pub(super) fn header(&self, position: u64) -> io::Result<Option<BatchHeader>> {
        if position < self.start || position + HEADER_LEN as u64 > self.end() {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_LEN];
        self.read_exact(&mut bytes, position)?;
        Ok(Some(BatchHeader::read(&bytes)))
    }

    /// The batch at `position`, which lies wholly inside.
    pub(super) fn batch(&self, position: u64, header: &BatchHeader) -> io::Result<Bytes> {
        let len = usize::try_from(header.batch_len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        self.read_exact(&mut bytes, position)?;
        Ok(bytes.into())
    }

    /// The file ranges of `from..to`, which lie inside.
    pub(super) fn cut(self, from: u64, to: u64) -> Vec<FileSlice> {
        let mut start = self.start;
        let mut cut = Vec::with_capacity(self.slices.len());
        for slice in self.slices {
            let end = start + slice.len;
            let (first, last) = (from.max(start), to.min(end));
            if first < last {
                let position = slice.position + (first - start);
                cut.push(FileSlice { position, len: last - first, ..slice });
            }
            start = end;
        }
        cut
    }
}

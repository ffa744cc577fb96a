//! Walks the batches of a log file from a position on, reading headers and skipping records.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::record::{BatchHeader, HEADER_LEN, LENGTH_END};

/// A batch's header and where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// The batch's first byte in the file.
    pub position: u64,
    /// The fields.
    pub header: BatchHeader,
}

impl Found {
    /// The byte after the batch.
    #[must_use]
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.batch_len().unsigned_abs()
    }
}

/// Bytes read at a time: a few batches of a chatty topic, or one header of a busy one.
const WINDOW_LEN: usize = 4096;

/// Headers in file order. Ends before `limit`, and at the first header that is cut or lies.
#[derive(Debug)]
pub(crate) struct Headers<'a> {
    file: &'a File,
    position: u64,
    limit: u64,
    window: [u8; WINDOW_LEN],
    window_at: u64,
    window_len: usize,
}

impl<'a> Headers<'a> {
    /// Walks from `position`, which must be the start of a batch, up to `limit`.
    #[must_use]
    pub(crate) fn new(file: &'a File, position: u64, limit: u64) -> Self {
        let window = [0; WINDOW_LEN];
        Self { file, position, limit, window, window_at: position, window_len: 0 }
    }

    /// The next batch; `None` at the limit, or where what follows is no whole batch.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.position + HEADER_LEN as u64 > self.limit {
            return Ok(None);
        }
        let at = self.fill()?;
        let Some(bytes) = self.window[at..self.window_len].first_chunk() else { return Ok(None) };
        let found = Found { position: self.position, header: BatchHeader::read(bytes) };
        let len = found.header.batch_len();
        if len < (HEADER_LEN as i64).max(LENGTH_END as i64) || found.end() > self.limit {
            return Ok(None);
        }
        self.position = found.end();
        Ok(Some(found))
    }

    /// Makes sure that the window holds a header at the position; returns its place in it.
    fn fill(&mut self) -> io::Result<usize> {
        let window_end = self.window_at + self.window_len as u64;
        let inside =
            self.position >= self.window_at && self.position + HEADER_LEN as u64 <= window_end;
        if !inside {
            let want = usize::try_from(self.limit - self.position).unwrap_or(WINDOW_LEN);
            let want = want.min(WINDOW_LEN);
            self.window_at = self.position;
            self.window_len = read_up_to(self.file, &mut self.window[..want], self.position)?;
        }
        Ok((self.position - self.window_at) as usize)
    }
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_up_to(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

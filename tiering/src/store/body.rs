//! The body of a ranged read, taken in pieces as it comes, so that its first bytes are of use while
//! the last ones are on their way.
//!
//! Invariant: what is taken is as long as was asked for; a body that ends early is an error.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore as _};
use tokio::time::Instant;

use super::calls::Attempt;
use super::{Store, StoreCall, StoreError, WrongBytes};

/// Bytes of a range that are on their way.
pub(crate) struct Body<'s> {
    attempt: Attempt<'s>,
    pieces: Pieces<'s>,
}

/// What comes, and what is held of it.
struct Pieces<'s> {
    store: &'s Store,
    object: &'s Path,
    coming: BoxStream<'static, object_store::Result<Bytes>>,
    /// Received, not taken.
    held: Bytes,
    expected: u64,
    received: u64,
    first_at: Option<Instant>,
}

impl Store {
    /// Begins to read `range` of an object of `size` bytes.
    pub(crate) async fn open_range<'s>(
        &'s self,
        object: &'s Path,
        size: u64,
        range: Range<u64>,
    ) -> Result<Body<'s>, StoreError> {
        let expected = range.end.saturating_sub(range.start);
        if range.start >= range.end || range.end > size {
            let wrong = WrongBytes::Length { expected, received: 0 };
            return Err(StoreError::wrong_bytes(object, wrong));
        }
        self.counters.gets.bump();
        let options = GetOptions::new().with_range(Some(range));
        let get = self.inner.get_opts(object, options);
        let (opened, attempt) = self.calls.open(StoreCall::Get, object, get).await?;
        let pieces = Pieces {
            store: self,
            object,
            coming: opened.into_stream(),
            held: Bytes::new(),
            expected,
            received: 0,
            first_at: None,
        };
        Ok(Body { attempt, pieces })
    }
}

impl Body<'_> {
    /// The next `len` bytes, within the time that so many may take.
    pub(crate) async fn take(&mut self, len: usize) -> Result<Bytes, StoreError> {
        self.attempt.step(len as u64, self.pieces.gather(len)).await
    }

    /// When the first bytes came.
    pub(crate) fn first_at(&self) -> Option<Instant> {
        self.pieces.first_at
    }
}

impl Pieces<'_> {
    async fn gather(&mut self, len: usize) -> Result<Bytes, StoreError> {
        self.hold().await?;
        // A store that answers from memory gives it all in one piece: no copy.
        if self.held.len() >= len {
            return Ok(self.held.split_to(len));
        }
        let mut taken = BytesMut::with_capacity(len);
        while taken.len() < len {
            self.hold().await?;
            let here = self.held.len().min(len - taken.len());
            taken.extend_from_slice(&self.held.split_to(here));
        }
        Ok(taken.freeze())
    }

    /// Waits for the next piece, unless there is something left of the last one.
    async fn hold(&mut self) -> Result<(), StoreError> {
        while self.held.is_empty() {
            let piece = match self.coming.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    return Err(StoreError::from_client(StoreCall::Get, self.object, &error));
                }
                None => {
                    let (expected, received) = (self.expected, self.received);
                    self.store.counters.wrong_bytes.bump();
                    let wrong = WrongBytes::Length { expected, received };
                    return Err(StoreError::wrong_bytes(self.object, wrong));
                }
            };
            self.first_at.get_or_insert_with(Instant::now);
            self.received += piece.len() as u64;
            self.store.counters.fetched_bytes.add(piece.len() as u64);
            self.held = piece;
        }
        Ok(())
    }
}

//! Bandwidth: a bound for each stream, and one for all together.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::Result;
use parking_lot::Mutex;
use tokio::time::Instant;

const PIECE: usize = 32 << 10;

/// Bytes a second.
#[derive(Debug)]
pub(crate) struct Pipe {
    each: f64,
    all: f64,
    free_at: Mutex<Instant>,
}

impl Pipe {
    pub(crate) fn new(each: u32, all: u32) -> Self {
        Self { each: each.into(), all: all.into(), free_at: Mutex::new(Instant::now()) }
    }

    /// Returns when a stream has moved so many bytes.
    pub(super) async fn pass(&self, bytes: usize) {
        let all = Duration::from_secs_f64(bytes as f64 / self.all);
        let each = Duration::from_secs_f64(bytes as f64 / self.each);
        let now = Instant::now();
        let done = {
            let mut free_at = self.free_at.lock();
            *free_at = free_at.max(now) + all;
            free_at.max(now + each)
        };
        tokio::time::sleep_until(done).await;
    }

    /// The body of an answer, piece by piece.
    pub(super) fn body(
        pipe: std::sync::Arc<Self>,
        bytes: Bytes,
    ) -> BoxStream<'static, Result<Bytes>> {
        let pieces: Vec<Bytes> = (0..bytes.len())
            .step_by(PIECE)
            .map(|start| bytes.slice(start..bytes.len().min(start + PIECE)))
            .collect();
        let passed = stream::iter(pieces).then(move |piece| {
            let pipe = pipe.clone();
            async move {
                pipe.pass(piece.len()).await;
                Ok(piece)
            }
        });
        passed.boxed()
    }
}

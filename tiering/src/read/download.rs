//! One request to the store for contiguous chunks, streamed into the cache chunk by chunk. What another
//! process of the machine has, or is bringing, is left out of it.
//!
//! Each chunk is of use as soon as its bytes are there and right: memory holds one chunk at a time,
//! whatever the length of the request.
//!
//! Invariants: a body that ends early is asked for again from the first chunk that is missing; wrong
//! bytes are asked for once more, then they are an error that names the object; nothing is asked for
//! without end, since each further request needs a chunk more than the last one brought.

use std::ops::Range;
use std::sync::Arc;

use tokio::time::Instant;

use super::ReadError;
use super::engine::Engine;
use super::stream::Run;
use crate::cache::Pin;
use crate::share::{Claim, Found, Turn};
use crate::store::{StoreError, WrongBytes};

/// Wrong bytes are fetched this often before they count as damage in the store.
pub(super) const FETCHES_MAX: usize = 2;

/// Fetches a run, and tells whoever waits for its chunks.
pub(super) async fn run(engine: Arc<Engine>, run: Run) {
    let left = run.chunks.clone();
    let mut download = Download { engine, run, left };
    if let Err(error) = download.fetch().await {
        download.fail(error);
    }
}

/// Chunks that turn out to be wrong where others left them: after so many in a run the rest is
/// fetched, whatever is said to be there.
const WRONG_MAX: usize = 3;

struct Download {
    engine: Arc<Engine>,
    run: Run,
    /// What has not landed.
    left: Range<u32>,
}

/// Takes the run off the board, also when the task is stopped or panics.
impl Drop for Download {
    fn drop(&mut self) {
        self.engine.board().lock().ended(&self.run, self.left.clone());
        self.engine.pump();
    }
}

/// Why a chunk did not come.
enum Failed {
    Store(StoreError),
    Here(ReadError),
}

impl Download {
    async fn fetch(&mut self) -> Result<(), ReadError> {
        let mut wrong = 0;
        while !self.left.is_empty() {
            let (cache, source, count) =
                (&self.engine.cache, &self.run.source, self.left.len() as u32);
            let class = self.engine.class(source);
            let turn = match wrong {
                0..WRONG_MAX => cache.turn(source.key(self.left.start), count, class).await,
                _ => Turn::Fetch(cache.alone(count, class)),
            };
            match turn {
                Turn::Here(found) => wrong += usize::from(!self.take(found).await),
                Turn::Fetch(mut claim) => self.download(&mut claim).await?,
            }
        }
        Ok(())
    }

    /// Takes up chunks that are there. No: one of them is not what it should be, or not there any
    /// more.
    async fn take(&mut self, found: Vec<Found>) -> bool {
        let any = !found.is_empty();
        for found in found {
            let (source, chunk) = (&self.run.source, self.left.start);
            let Some(pin) = found.check(Some(source.is_right(chunk))).await else { return false };
            self.landed(chunk, pin);
        }
        any
    }

    /// Fetches what nobody else brings.
    async fn download(&mut self, claim: &mut Claim) -> Result<(), ReadError> {
        let end = self.left.end.min(self.left.start.saturating_add(claim.count()));
        self.engine.store.counters().cache_misses.add(u64::from(end - self.left.start));
        let mut fruitless = 0;
        while self.left.start < end {
            let before = self.left.start;
            let error = match self.stream(claim, end).await {
                Ok(()) => return Ok(()),
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::Store(error)) => error,
            };
            let progress = self.left.start > before;
            fruitless = if progress { 1 } else { fruitless + 1 };
            let again = match &error {
                StoreError::WrongBytes { .. } => fruitless < FETCHES_MAX,
                // The client has tried several times by itself.
                error => error.may_pass() && progress,
            };
            if !again {
                return Err(ReadError::from_store(error));
            }
            let object = &self.run.source.name;
            tracing::warn!(%object, %error, "fetching again from where it broke");
        }
        Ok(())
    }

    /// One request for what is left before `end`.
    async fn stream(&mut self, claim: &mut Claim, end: u32) -> Result<(), Failed> {
        let (engine, source) = (Arc::clone(&self.engine), Arc::clone(&self.run.source));
        let asked_at = Instant::now();
        let range = source.bytes(&(self.left.start..end));
        engine.store.counters().log_gets.bump();
        let body = engine.store.open_range(&source.name, source.size(), range.clone()).await;
        let mut body = body.map_err(Failed::Store)?;
        while self.left.start < end {
            let chunk = self.left.start;
            let bytes = source.bytes(&(chunk..chunk + 1));
            let len = bytes.end - bytes.start;
            engine.pace.admit(len).await;
            let taken = body.take(usize::try_from(len).unwrap_or(usize::MAX)).await;
            let taken = taken.map_err(Failed::Store)?;
            engine.store.counters().replay_bytes.add(len);
            if let (Some(first_at), true) = (body.first_at(), bytes.start == range.start) {
                engine.link().lock().first_byte(engine.now(), first_at - asked_at);
            }
            if let Some(position) = source.checks.first_wrong(bytes.start, &taken) {
                engine.store.counters().wrong_bytes.bump();
                let wrong = WrongBytes::Checksum { position };
                return Err(Failed::Store(StoreError::wrong_bytes(&source.name, wrong)));
            }
            let kept = claim.keep(source.key(chunk), taken).await;
            let pin = kept.map_err(|error| Failed::Here(error.into()))?;
            self.landed(chunk, pin);
            engine.link().lock().received(engine.now(), len);
        }
        if let Some(first_at) = body.first_at() {
            let took = first_at.elapsed();
            engine.link().lock().body(engine.now(), range.end - range.start, took);
        }
        Ok(())
    }

    fn landed(&mut self, chunk: u32, pin: Arc<Pin>) {
        self.left.start = chunk + 1;
        self.engine.land(&self.run.source.key(chunk), &Ok(pin));
    }

    /// Who waits for the chunk at fault is told; who waits for one behind it asks again.
    fn fail(&mut self, error: ReadError) {
        let (chunk, source) = (self.left.start, &self.run.source);
        if !self.run.demanded {
            tracing::debug!(object = %source.name, %error, "a read ahead failed");
        }
        let key = source.key(chunk);
        self.left.start = chunk + 1;
        self.engine.land(&key, &Err(error));
    }
}

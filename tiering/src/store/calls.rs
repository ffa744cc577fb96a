//! The one way in which every call to a store is made: within its deadline, counted, and not at all
//! while the store is left alone.

use std::future::Future;
use std::sync::Arc;

use object_store::path::Path;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::circuit::{Admitted, Circuit, StoreState};
use super::{StoreCall, StoreError, StoreSettings};
use crate::backoff::Dice;
use crate::counters::Counters;

/// Shared by a store and its uploads.
#[derive(Debug)]
pub(super) struct Calls {
    settings: StoreSettings,
    counters: Arc<Counters>,
    circuit: Mutex<Circuit>,
}

impl Calls {
    pub(super) fn new(settings: StoreSettings, counters: Arc<Counters>) -> Self {
        Self { settings, counters, circuit: Mutex::default() }
    }

    pub(super) fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    pub(super) fn state(&self) -> StoreState {
        self.circuit.lock().state(Instant::now())
    }

    /// Makes a call that moves `bytes`.
    pub(super) async fn make<T>(
        &self,
        call: StoreCall,
        object: &Path,
        bytes: u64,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let work = async { work.await.map_err(|e| StoreError::from_client(call, object, &e)) };
        self.begin(call, object)?.step(bytes, work).await
    }

    /// Begins a call whose answer has a body. That its head came is no answer yet: a store that
    /// stalls in every body would look well for ever.
    pub(super) async fn open<'a, T>(
        &'a self,
        call: StoreCall,
        object: &'a Path,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<(T, Attempt<'a>), StoreError> {
        let mut attempt = self.begin(call, object)?;
        let work = async { work.await.map_err(|e| StoreError::from_client(call, object, &e)) };
        match attempt.in_time(0, work).await {
            Ok(opened) => Ok((opened, attempt)),
            Err(error) => {
                attempt.end(Some(&error));
                Err(error)
            }
        }
    }

    fn begin<'a>(&'a self, call: StoreCall, object: &'a Path) -> Result<Attempt<'a>, StoreError> {
        match self.circuit.lock().admit(Instant::now()) {
            Ok(admitted) => Ok(Attempt { calls: self, call, object, admitted: Some(admitted) }),
            Err(next_try) => {
                self.counters.held_back.bump();
                Err(StoreError::LeftAlone { call, object: object.to_string(), next_try })
            }
        }
    }

    fn answered(&self) {
        let Some(closed) = self.circuit.lock().answered(Instant::now()) else { return };
        tracing::info!(
            store = %self.settings.url,
            after_s = closed.after.as_secs_f32(),
            held_back = closed.held_back,
            "the object store answers again"
        );
    }

    fn failed(&self, admitted: Admitted, error: &StoreError) {
        let told = || error.to_string();
        if self.circuit.lock().failed(admitted, Instant::now(), Dice::roll(), told) {
            self.counters.left_alone.bump();
            tracing::warn!(
                store = %self.settings.url, %error,
                "the object store fails again and again and is left alone; it is tried now and then"
            );
        }
    }
}

/// A call under way, in one step or, with a body, in several. Dropped before the first of them came
/// to something, it leaves its turn to another.
pub(super) struct Attempt<'a> {
    calls: &'a Calls,
    call: StoreCall,
    object: &'a Path,
    admitted: Option<Admitted>,
}

impl Attempt<'_> {
    /// Takes a step that moves `bytes`; what it came to is counted. Later steps are taken also while
    /// the store is left alone, for this part of it works.
    pub(super) async fn step<T>(
        &mut self,
        bytes: u64,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let done = self.in_time(bytes, work).await;
        self.end(done.as_ref().err());
        done
    }

    async fn in_time<T>(
        &self,
        bytes: u64,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let after = self.calls.settings.deadline(bytes);
        let (call, object) = (self.call, self.object);
        let late = |_| StoreError::TimedOut { call, object: object.to_string(), after };
        let began = Instant::now();
        let done = tokio::time::timeout(after, work).await.map_err(late).flatten();
        if done.is_ok() && began.elapsed() > after / 2 {
            self.calls.counters.slow.bump();
            tracing::warn!(
                %call, %object, took_s = began.elapsed().as_secs_f32(), may_s = after.as_secs_f32(),
                "the object store is slow: a call took more than half of the time that it may take"
            );
        }
        done
    }

    fn end(&mut self, error: Option<&StoreError>) {
        let admitted = self.admitted.take().unwrap_or_else(Admitted::before);
        let counters = &self.calls.counters;
        match error {
            Some(error @ StoreError::Unavailable { .. }) => {
                counters.busy.bump();
                self.calls.failed(admitted, error);
            }
            Some(error @ StoreError::TimedOut { .. }) => {
                counters.timeouts.bump();
                self.calls.failed(admitted, error);
            }
            other => {
                match other {
                    Some(StoreError::Denied { .. }) => counters.denied.bump(),
                    Some(StoreError::Refused { .. }) => counters.refused.bump(),
                    _ => {}
                }
                self.calls.answered();
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(admitted) = self.admitted.take() {
            self.calls.circuit.lock().dropped(admitted, Instant::now());
        }
    }
}

//! The one way in which every call to a store is made: within its deadline, counted, and not at all
//! while the store is left alone.

use std::future::Future;
use std::sync::Arc;

use object_store::path::Path;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::circuit::{Admitted, Circuit, StoreState};
use super::{StoreCall, StoreError, StoreSettings};
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
        let attempt = self.begin(call, object)?;
        let work =
            async { work.await.map_err(|error| StoreError::from_client(call, object, &error)) };
        self.finish(attempt, call, object, bytes, work).await
    }

    /// Goes on with a call that was answered: its body, `bytes` of it. Also while the store is left
    /// alone, for this part of it works.
    pub(super) async fn go_on<T>(
        &self,
        call: StoreCall,
        object: &Path,
        bytes: u64,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let attempt = Attempt { calls: self, admitted: Some(Admitted::before()) };
        self.finish(attempt, call, object, bytes, work).await
    }

    async fn finish<T>(
        &self,
        mut attempt: Attempt<'_>,
        call: StoreCall,
        object: &Path,
        bytes: u64,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let after = self.settings.deadline(bytes);
        let late = |_| StoreError::TimedOut { call, object: object.to_string(), after };
        let done = tokio::time::timeout(after, work).await.map_err(late).flatten();
        attempt.end(done.as_ref().err());
        done
    }

    fn begin(&self, call: StoreCall, object: &Path) -> Result<Attempt<'_>, StoreError> {
        match self.circuit.lock().admit(Instant::now()) {
            Ok(admitted) => Ok(Attempt { calls: self, admitted: Some(admitted) }),
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
        let dice = uuid::Uuid::new_v4().as_fields().0;
        let told = || error.to_string();
        if self.circuit.lock().failed(admitted, Instant::now(), dice, told) {
            self.counters.left_alone.bump();
            tracing::warn!(
                store = %self.settings.url, %error,
                "the object store fails again and again and is left alone; it is tried now and then"
            );
        }
    }
}

/// A call under way. Dropped before its end, it leaves its turn to another.
struct Attempt<'a> {
    calls: &'a Calls,
    admitted: Option<Admitted>,
}

impl Attempt<'_> {
    fn end(&mut self, error: Option<&StoreError>) {
        let Some(admitted) = self.admitted.take() else { return };
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

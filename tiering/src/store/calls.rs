//! The one way in which every call to a store is made: within its deadline, counted, and not at all
//! while the store is left alone.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_store::path::Path;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::Span;

use super::circuit::{Admitted, Circuit, StoreState};
use super::watch::{CallOutcome, StoreWatch};
use super::{StoreCall, StoreError, StoreSettings};
use crate::backoff::Dice;
use crate::counters::Counters;

/// Shared by a store and its uploads.
pub(super) struct Calls {
    settings: StoreSettings,
    counters: Arc<Counters>,
    circuit: Mutex<Circuit>,
    watch: OnceLock<Arc<dyn StoreWatch>>,
}

impl Calls {
    pub(super) fn new(settings: StoreSettings, counters: Arc<Counters>) -> Self {
        Self { settings, counters, circuit: Mutex::default(), watch: OnceLock::new() }
    }

    /// Somebody looks on from now on; the first one who does stays.
    pub(super) fn watched_by(&self, watch: Arc<dyn StoreWatch>) {
        self.watch.get_or_init(|| watch);
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

    /// Begins a call of any number of steps.
    pub(super) fn begin<'a>(
        &'a self,
        call: StoreCall,
        object: &'a Path,
    ) -> Result<Attempt<'a>, StoreError> {
        match self.circuit.lock().admit(Instant::now()) {
            Ok(admitted) => Ok(Attempt {
                calls: self,
                call,
                object,
                admitted: Some(admitted),
                outcome: CallOutcome::BrokenOff,
                took: Duration::ZERO,
                step_began: None,
                span: span(call, object),
            }),
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

/// A call beneath a span that is looked at; none beneath none, so that the broker's own house-keeping
/// makes no traces.
fn span(call: StoreCall, object: &Path) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        "store call",
        otel.name = %format_args!("store {}", call.name()),
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        %object,
        outcome = tracing::field::Empty,
    )
}

/// A call under way, in one step or, with a body, in several. Dropped before the first of them came
/// to something, it leaves its turn to another.
pub(super) struct Attempt<'a> {
    calls: &'a Calls,
    call: StoreCall,
    object: &'a Path,
    admitted: Option<Admitted>,
    /// What its last step came to.
    outcome: CallOutcome,
    /// What its steps took together.
    took: Duration,
    step_began: Option<Instant>,
    span: Span,
}

impl<'a> Attempt<'a> {
    /// Names the object that the next step is about, for its errors.
    pub(super) fn about(&mut self, object: &'a Path) {
        self.object = object;
    }

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
        &mut self,
        bytes: u64,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let after = self.calls.settings.deadline(bytes);
        let (call, object) = (self.call, self.object);
        let late = |_| StoreError::TimedOut { call, object: object.to_string(), after };
        self.step_began = Some(Instant::now());
        let done = tokio::time::timeout(after, work).await.map_err(late).flatten();
        let took = self.step_began.take().map_or(Duration::ZERO, |began| began.elapsed());
        self.took += took;
        if done.is_ok() && took > after / 2 {
            self.calls.counters.slow.bump();
            tracing::warn!(
                %call, %object, took_s = took.as_secs_f32(), may_s = after.as_secs_f32(),
                "the object store is slow: a call took more than half of the time that it may take"
            );
        }
        done
    }

    fn end(&mut self, error: Option<&StoreError>) {
        let admitted = self.admitted.take().unwrap_or_else(Admitted::before);
        self.outcome = error.map_or(CallOutcome::Done, CallOutcome::of);
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
        let (outcome, last) = match self.step_began {
            // Dropped in the middle of a step: it waited until now.
            Some(began) => (CallOutcome::BrokenOff, began.elapsed()),
            None => (self.outcome, Duration::ZERO),
        };
        if let Some(watch) = self.calls.watch.get() {
            watch.ended(self.call, outcome, self.took + last);
        }
        self.span.record("outcome", outcome.name());
        if !matches!(outcome, CallOutcome::Done | CallOutcome::BrokenOff) {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

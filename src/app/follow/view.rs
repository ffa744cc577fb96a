//! How old what a read-only server serves is, and why.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::look::{LookError, Looked};
use crate::model::time_text;

/// Told by the one who looks at the store; read by whoever is asked.
#[derive(Debug)]
pub(in crate::app) struct View {
    /// Between two looks.
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the last look began that saw all there was.
    fresh: Instant,
    /// What has kept those after it from that.
    amiss: Option<String>,
    /// When the broker wrote what it told last, by its clock, in milliseconds since 1970.
    told_ms: Option<i64>,
}

impl View {
    /// A view of that moment, and of one who looks that often.
    pub(super) fn new(fresh: Instant, every: Duration) -> Self {
        Self { every, state: Mutex::new(State { fresh, amiss: None, told_ms: None }) }
    }

    /// A look that began then came to its end.
    pub(super) fn looked(&self, began: Instant, looked: &Looked) {
        let mut state = self.state.lock();
        state.amiss = looked.amiss();
        state.told_ms = looked.told_ms;
        if state.amiss.is_none() {
            state.fresh = began;
        }
    }

    /// A look failed.
    pub(super) fn failed(&self, error: &LookError) {
        self.state.lock().amiss = Some(error.to_string());
    }

    /// How old it is.
    pub(in crate::app) fn age(&self) -> Duration {
        self.state.lock().fresh.elapsed()
    }

    /// How often it is looked.
    pub(in crate::app) fn every(&self) -> Duration {
        self.every
    }

    /// When the broker last told of something new, by its clock, in milliseconds since 1970. A look sees all
    /// that was told: what was uploaded since then is not in the view, however young that is.
    pub(in crate::app) fn told_ms(&self) -> Option<i64> {
        self.state.lock().told_ms
    }

    /// Why it is older than it should be, if something is amiss.
    pub(in crate::app) fn amiss(&self) -> Option<String> {
        self.state.lock().amiss.clone()
    }

    /// All of it in a line.
    pub(in crate::app) fn words(&self) -> String {
        let age = self.age().as_secs();
        let every = humantime::format_duration(self.every);
        let told = self.told_ms().map_or_else(String::new, |told| {
            format!(", the broker told of something new last at {}", time_text(told))
        });
        let amiss = self.amiss().map(|why| format!(": {why}")).unwrap_or_default();
        format!(
            "this is a read-only server, its view of the store is {age} s old, it looks every {every}{told}{amiss}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_view_ages_until_a_look_has_seen_all_there_was() {
        let view = View::new(Instant::now(), Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(30)).await;
        let told = view.words();
        let expected =
            "this is a read-only server, its view of the store is 30 s old, it looks every 10s";
        assert_eq!(told, expected);
        let behind = vec!["t-0".into(), "t-1".into()];
        view.looked(Instant::now(), &Looked { behind, told_ms: Some(1_767_323_045_678) });
        assert_eq!(view.age(), Duration::from_secs(30));
        let told = "30 s old, it looks every 10s, the broker told of something new last at \
                    2026-01-02T03:04:05.678Z: the store's lists do not show all of t-0, t-1";
        assert!(view.words().ends_with(told), "{}", view.words());
        view.failed(&LookError::NothingTold);
        assert!(view.words().contains("has not told"), "{}", view.words());
        view.looked(Instant::now(), &Looked::default());
        assert_eq!((view.age(), view.amiss()), (Duration::ZERO, None));
    }
}

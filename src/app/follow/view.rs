//! How old what a read-only server serves is, and why.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::look::{LookError, Looked};

/// Told by the one who looks at the store; read by whoever is asked.
#[derive(Debug)]
pub(in crate::app) struct View(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When the last look began that saw all there was.
    fresh: Instant,
    /// What has kept those after it from that.
    amiss: Option<String>,
}

impl View {
    /// A view of that moment.
    pub(super) fn new(fresh: Instant) -> Self {
        Self(Mutex::new(State { fresh, amiss: None }))
    }

    /// A look that began then came to its end.
    pub(super) fn looked(&self, began: Instant, looked: &Looked) {
        let mut state = self.0.lock();
        state.amiss = looked.amiss();
        if state.amiss.is_none() {
            state.fresh = began;
        }
    }

    /// A look failed.
    pub(super) fn failed(&self, error: &LookError) {
        self.0.lock().amiss = Some(error.to_string());
    }

    /// How old it is.
    pub(in crate::app) fn age(&self) -> Duration {
        self.0.lock().fresh.elapsed()
    }

    /// Why it is older than it should be, if something is amiss.
    pub(in crate::app) fn amiss(&self) -> Option<String> {
        self.0.lock().amiss.clone()
    }

    /// All of it in a line.
    pub(in crate::app) fn words(&self) -> String {
        let age = self.age().as_secs();
        let amiss = self.amiss().map(|why| format!(": {why}")).unwrap_or_default();
        format!("this is a read-only server, its view of the store is {age} s old{amiss}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_view_ages_until_a_look_has_seen_all_there_was() {
        let view = View::new(Instant::now());
        tokio::time::advance(Duration::from_secs(30)).await;
        let told = view.words();
        assert_eq!(told, "this is a read-only server, its view of the store is 30 s old");
        view.looked(Instant::now(), &Looked { behind: vec!["t-0".into(), "t-1".into()] });
        assert_eq!(view.age(), Duration::from_secs(30));
        let told = "30 s old: the store's lists do not show all of t-0, t-1";
        assert!(view.words().ends_with(told), "{}", view.words());
        view.failed(&LookError::NothingTold);
        assert!(view.words().contains("has not told"), "{}", view.words());
        view.looked(Instant::now(), &Looked::default());
        assert_eq!((view.age(), view.amiss()), (Duration::ZERO, None));
    }
}

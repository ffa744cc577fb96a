//! Single flight: everyone who wants the same thing waits for one fetch of it.
//!
//! Invariant: the fetch is a task of its own. A waiter that leaves does not stop it, and what it
//! brought is kept for the next one.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::ReadError;

type Answer<V> = Option<Result<V, ReadError>>;
type Waiting<K, V> = Arc<Mutex<HashMap<K, watch::Receiver<Answer<V>>>>>;

/// The fetches that are under way.
pub(super) struct Flights<K, V> {
    waiting: Waiting<K, V>,
    /// Where they run; where they are asked for if nowhere else.
    runtime: Option<Handle>,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(runtime: Option<Handle>) -> Self {
        Self { waiting: Arc::default(), runtime }
    }

    /// Joins the fetch of `key`, or starts one. `kept` is asked under the lock, so that a fetch
    /// which ended between the caller's look and this call is not started again.
    pub(super) fn join<F>(
        &self,
        key: &K,
        kept: impl FnOnce() -> Option<V>,
        fetch: impl FnOnce() -> F,
    ) -> Flight<V>
    where
        F: Future<Output = Result<V, ReadError>> + Send + 'static,
    {
        let mut waiting = self.waiting.lock();
        if let Some(flight) = waiting.get(key) {
            return Flight::Waiting(flight.clone());
        }
        if let Some(kept) = kept() {
            return Flight::Kept(kept);
        }
        let (answer, flight) = watch::channel(None);
        waiting.insert(key.clone(), flight.clone());
        let landing = Landing { key: key.clone(), waiting: Arc::clone(&self.waiting) };
        // A part of the trace of the one who began it.
        let fetch = fetch().in_current_span();
        let runtime = self.runtime.clone().unwrap_or_else(Handle::current);
        runtime.spawn(async move {
            let fetched = fetch.await;
            drop(landing);
            answer.send_replace(Some(fetched));
        });
        Flight::Waiting(flight)
    }
}

/// Takes the flight off the board, also when the fetch panics.
struct Landing<K: Eq + Hash, V> {
    key: K,
    waiting: Waiting<K, V>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.key);
    }
}

/// A fetch to wait for, or what it brought.
pub(super) enum Flight<V> {
    Kept(V),
    Waiting(watch::Receiver<Answer<V>>),
}

impl<V: Clone> Flight<V> {
    pub(super) async fn land(self) -> Result<V, ReadError> {
        match self {
            Self::Kept(kept) => Ok(kept),
            Self::Waiting(mut flight) => {
                let landed = flight.wait_for(Option::is_some).await;
                landed.map_err(|_| ReadError::Stopped)?.clone().ok_or(ReadError::Stopped)?
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn many_waiters_share_one_fetch_which_goes_on_when_they_leave() {
        let flights = Flights::<u8, u32>::new(None);
        let fetches = Arc::new(AtomicU32::new(0));
        let (land, landing) = oneshot::channel::<()>();
        let counted = Arc::clone(&fetches);
        let fetch = move || async move {
            landing.await.unwrap();
            Ok(counted.fetch_add(1, Ordering::SeqCst))
        };
        let first = flights.join(&1, || None, fetch);
        let second = flights.join(&1, || None, || async { Err(ReadError::Stopped) });
        drop(first);
        land.send(()).unwrap();
        assert_eq!(second.land().await.unwrap(), 0);
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_is_kept_is_not_fetched_again() {
        let flights = Flights::<u8, u32>::new(None);
        let kept = flights.join(&1, || Some(7), || async { Err(ReadError::Stopped) });
        assert_eq!(kept.land().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_fetch_that_dies_fails_its_waiters_and_leaves_room_for_another() {
        let flights = Flights::<u8, u32>::new(None);
        let aborted = flights.join(&1, || None, || async { panic!("the fetch dies") });
        assert!(matches!(aborted.land().await, Err(ReadError::Stopped)));
        let again = flights.join(&1, || None, || async { Ok(3) });
        assert_eq!(again.land().await.unwrap(), 3);
    }
}

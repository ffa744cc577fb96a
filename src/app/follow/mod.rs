//! A read-only server: it serves the history of a cluster that another broker leads, from the store
//! alone, and goes along with it.
//!
//! ```text
//! every tiering.follow.interval.ms, and when a reader meets an object that is gone:
//! 1  the broker's last word is read: its snapshot of topics      told
//! 2  topics that are gone are dropped, new ones hosted           (cluster/follow.rs)
//! 3  partitions of which there is more are listed from their last known segment on, and moved to
//!    their end; log starts move                                  partition
//! 4  what is new is shown to clients                             (cluster/follow.rs)
//! ```
//! Invariants:
//! - Nothing is written to the store: it is opened so that its fence refuses every change
//!   (`tiering/src/store/fence.rs`).
//! - Nothing ends because a list lacks it. A topic is gone by the word of the broker's snapshot, a
//!   segment by that or by the store's own word on its name.
//! - A look that fails leaves everything as it was seen last; [`View`] tells how old that is.
//!
//! Of what it follows, nothing but the manifest outlives the process; groups and their offsets do, in
//! `__consumer_offsets` on this disk, as with every broker.

mod choose;
mod look;
mod partition;
mod told;
mod view;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::observe::Observer;
use super::store_wait::until_reachable;
use crate::coordinator::Groups;
use crate::metrics::TieringMetrics;

pub use choose::ChooseError;
pub(super) use choose::choose;
pub use look::LookError;
pub(super) use look::{Eye, EyeParts};
pub(super) use view::View;

/// Between two looks that readers ask for.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Looks at the store again and again.
pub(super) struct Follower {
    eye: Eye,
    view: Arc<View>,
    every: Duration,
    failures: u32,
}

impl Follower {
    /// Looks for the first time, until all that the store has is known; a store that is out of reach,
    /// and a broker that has said nothing yet, are waited for.
    ///
    /// # Errors
    /// What does not pass by itself.
    pub(super) async fn begin(
        mut eye: Eye,
        every: Duration,
        observer: &Observer,
    ) -> Result<Self, LookError> {
        observer.starting("reading what the object store has of the cluster");
        let began = Instant::now();
        let looked = {
            // Looked with again and again, by one at a time.
            let first = tokio::sync::Mutex::new(&mut eye);
            let look = || async { first.lock().await.look().await };
            until_reachable(observer, LookError::may_pass, look).await?
        };
        let view = Arc::new(View::new(began, every));
        view.looked(began, &looked);
        Ok(Self { eye, view, every, failures: 0 })
    }

    /// How old what is served is.
    pub(super) fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    /// Follows until `stop`, on the threads of the store.
    pub(super) fn start(
        self,
        groups: Arc<Groups>,
        metrics: TieringMetrics,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        store: &Handle,
    ) {
        tasks.spawn_on(self.run(groups, metrics, stop.clone()), store);
    }

    async fn run(mut self, groups: Arc<Groups>, metrics: TieringMetrics, stop: CancellationToken) {
        loop {
            let began = Instant::now();
            let suspects = self.eye.suspects().clone();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(began + self.every) => {}
                () = async {
                    suspects.asked().await;
                    tokio::time::sleep_until(began + PAUSE_MIN.min(self.every)).await;
                } => {}
            }
            // A look that is under way at the end is broken off: what it did until then is right.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.turn(&groups, &metrics) => {}
            }
        }
    }

    async fn turn(&mut self, groups: &Groups, metrics: &TieringMetrics) {
        let began = Instant::now();
        match self.eye.look().await {
            Ok(looked) => {
                if self.failures > 0 {
                    tracing::info!(failures = self.failures, "the store is followed again");
                }
                self.failures = 0;
                self.view.looked(began, &looked);
            }
            Err(error) => {
                self.failures += 1;
                metrics.follow_failures.inc();
                self.view.failed(&error);
                // Of a store that is left alone was told already.
                if error.is_left_alone() {
                    tracing::debug!(%error, "the store cannot be followed now");
                } else {
                    let failures = self.failures;
                    tracing::warn!(%error, failures, "the store could not be followed and is looked at again");
                }
            }
        }
        for topic in self.eye.take_gone() {
            groups.topic_deleted(&topic).await;
        }
    }
}

//! What is done for partitions beside requests: roll, upload, retain, checkpoint, make room.
//!
//! Each duty is a loop of its own with its own interval; none runs on a network thread, and a
//! partition that fails is tried again later without holding up the others. Nor does one whose topic
//! has a rate of its own: its upload goes on beside the round.

mod aside;
mod failing;
mod leave;
mod outlook;
mod retain;
mod room;
mod room_plan;
mod upload;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use icecore_tiering::{CollectOptions, DeleteError, OffloadError, Scope, StoreState};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Partition, Replicas};
use crate::model::TopicPartition;
use crate::task;

use aside::Aside;
use failing::Failing;
pub use failing::FailingUploads;
pub use outlook::{Amount, Outlook};

/// How often each duty is done.
#[derive(Clone, Copy, Debug)]
pub struct UpkeepIntervals {
    /// Rolling by age and retention.
    pub retention: Duration,
    /// Uploads and the retention of the remote tier.
    pub tiering: Duration,
    /// Recovery points and checkpoint files.
    pub checkpoint: Duration,
    /// Idempotent producers that stopped writing.
    pub producers: Duration,
    /// How long such a producer is remembered, in milliseconds.
    pub producer_expiration_ms: i64,
    /// Left-overs of crashes in the store.
    pub garbage: Duration,
    /// Nothing younger is taken for left over.
    pub garbage_min_age: Duration,
    /// Partitions that are worked on at a time.
    pub partitions_at_once: usize,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The duties of a broker.
pub struct Upkeep {
    replicas: Arc<Replicas>,
    intervals: UpkeepIntervals,
    /// Partitions whose last upload or remote deletion failed.
    tiering: Failing,
    /// Partitions that made no room when they should have.
    freeing: Failing,
    /// Partitions that were not rolled or freed at their last turn.
    retaining: Failing,
    /// Partitions whose recovery point stays.
    checkpointing: Failing,
}

impl Upkeep {
    /// The upkeep of these partitions.
    pub fn new(replicas: Arc<Replicas>, intervals: UpkeepIntervals) -> Arc<Self> {
        let [tiering, freeing, retaining, checkpointing] = Default::default();
        Arc::new(Self { replicas, intervals, tiering, freeing, retaining, checkpointing })
    }

    /// Starts all duties; they end soon after `stop`. Those that move bytes to and from the store run
    /// on `store`.
    pub fn start(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken, store: &Handle) {
        let (every, here) = (self.intervals, Handle::current());
        let duties = Duties { upkeep: self, tasks, stop };
        duties.repeat(&here, every.retention, Self::retain);
        duties.repeat(&here, room::LOOK_EVERY, Self::watch_disk);
        duties.repeat(&here, every.checkpoint, Self::checkpoint);
        duties.repeat(&here, every.producers, Self::expire_producers);
        // In another broker's store there is nothing to do.
        if self.replicas.tiering().is_some_and(|tiering| !tiering.is_read_only()) {
            let aside = Aside::new(tasks, stop);
            duties.repeat(store, every.tiering, move |upkeep| upkeep.tier(aside.clone()));
            duties.repeat(store, every.garbage, Self::collect_garbage);
        }
    }

    /// Partitions whose last upload or remote deletion failed; `None` when none did.
    #[must_use]
    pub fn failing(&self) -> Option<FailingUploads> {
        self.tiering.told()
    }

    async fn for_each<F: Future<Output = ()>>(&self, work: impl Fn(Arc<Partition>) -> F) {
        let at_once = self.intervals.partitions_at_once.max(1);
        stream::iter(self.replicas.all()).for_each_concurrent(at_once, work).await;
    }

    async fn retain(self: Arc<Self>) {
        self.retaining.keep(|name| self.is_hosted(name));
        self.for_each(|partition| self.retain_partition(partition)).await;
    }

    async fn retain_partition(&self, partition: Arc<Partition>) {
        let name = partition.name().clone();
        let Err(error) = retain::partition(&self.replicas, partition).await else {
            return self.retaining.succeeded(&name);
        };
        if let Some(failures) = self.retaining.failed_notably(&name, &error) {
            tracing::error!(partition = %name, %error, failures, "retention failed and is tried again");
        }
    }

    /// A topic that was deleted fails no more.
    fn is_hosted(&self, name: &TopicPartition) -> bool {
        self.replicas.partition(&name.topic, name.partition).is_some()
    }

    async fn watch_disk(self: Arc<Self>) {
        room::look(&self).await;
    }

    async fn tier(self: Arc<Self>, aside: Arc<Aside>) {
        aside.keep(|partition| self.replicas.hosts(partition));
        if self.replicas.tiering().is_some_and(|tiering| rests(&tiering.store_state())) {
            return;
        }
        self.tiering.keep(|name| self.is_hosted(name));
        self.for_each(|partition| self.tier_partition(&aside, partition)).await;
    }

    async fn tier_partition(self: &Arc<Self>, aside: &Aside, partition: Arc<Partition>) {
        if self.tiering.is_waiting(partition.name()) {
            return;
        }
        if aside.has(&partition) {
            if retain::uploads(&partition.config()) {
                let expired = upload::expire_of(&self.replicas, &partition).await;
                return self.note_tiering(partition.name(), expired);
            }
            aside.end(&partition).await;
        }
        let (upkeep, its) = (self.clone(), partition.clone());
        let work = |rate| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                let done = upload::partition(&upkeep.replicas, &its, &rate).await;
                upkeep.note_tiering(its.name(), done);
            })
        };
        aside.run(&partition, work).await;
    }

    fn note_tiering(&self, name: &TopicPartition, done: Result<(), Error>) {
        match done {
            Ok(()) => self.tiering.succeeded(name),
            // It is no failure of this partition, and the crate told of it once.
            Err(error) if is_left_alone(&*error) => {
                tracing::debug!(partition = %name, %error, "tiering waits for the store");
            }
            Err(error) => {
                let failures = self.tiering.failed(name, &error);
                tracing::warn!(partition = %name, %error, failures, "tiering failed and is tried again");
            }
        }
    }

    async fn checkpoint(self: Arc<Self>) {
        self.checkpointing.keep(|name| self.is_hosted(name));
        let written = task::aside(move || {
            for partition in self.replicas.all() {
                self.checkpoint_partition(&partition);
            }
            self.replicas.checkpoint()
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "checkpoints were not written");
        }
    }

    fn checkpoint_partition(&self, partition: &Partition) {
        let name = partition.name();
        let Err(error) = partition.log().local().advance_recovery_point().map_err(Error::from)
        else {
            return self.checkpointing.succeeded(name);
        };
        if let Some(failures) = self.checkpointing.failed_notably(name, &error) {
            tracing::error!(partition = %name, %error, failures, "the recovery point stays");
        }
    }

    async fn expire_producers(self: Arc<Self>) {
        let expiration_ms = self.intervals.producer_expiration_ms;
        self.replicas.all().iter().for_each(|p| p.log().local().expire_producers(expiration_ms));
    }

    async fn collect_garbage(self: Arc<Self>) {
        let Some(tiering) = self.replicas.tiering() else { return };
        let options = CollectOptions {
            min_age: self.intervals.garbage_min_age,
            dry_run: false,
            scope: Scope::All,
        };
        match tiering.collect_garbage(&options).await {
            Ok(report) if report.is_empty() => tracing::debug!("no garbage"),
            Ok(report) => tracing::info!(?report, "garbage collected"),
            Err(error) => tracing::warn!(%error, "garbage was not collected"),
        }
    }
}

/// Whose duties are started, and where.
struct Duties<'a> {
    upkeep: &'a Arc<Upkeep>,
    tasks: &'a TaskTracker,
    stop: &'a CancellationToken,
}

impl Duties<'_> {
    fn repeat<F: Future<Output = ()> + Send + 'static>(
        &self,
        on: &Handle,
        every: Duration,
        duty: impl Fn(Arc<Upkeep>) -> F + Send + 'static,
    ) {
        let (upkeep, stop) = (self.upkeep.clone(), self.stop.clone());
        let repeated = async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(every) => {}
                }
                // A duty that is under way at the end is broken off: each is safe to be.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = duty(upkeep.clone()) => {}
                }
            }
        };
        self.tasks.spawn_on(repeated, on);
    }
}

/// Whether the store is left alone and not to be tried yet. When it is, the first upload tries it.
fn rests(state: &StoreState) -> bool {
    matches!(state, StoreState::LeftAlone { next_try, .. } if !next_try.is_zero())
}

fn is_left_alone(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<OffloadError>().is_some_and(OffloadError::is_left_alone)
        || error.downcast_ref::<DeleteError>().is_some_and(DeleteError::is_left_alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_left_alone_is_tried_by_an_upload_when_its_pause_is_over() {
        let left_alone = |next_try| StoreState::LeftAlone {
            since: Duration::ZERO,
            next_try,
            held_back: 0,
            error: String::new(),
        };
        assert!(rests(&left_alone(Duration::from_secs(1))));
        assert!(!rests(&left_alone(Duration::ZERO)) && !rests(&StoreState::Answering));
    }
}

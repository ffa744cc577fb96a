//! Uploads that wait for a rate of their topic: they step aside, and the round goes on without them.
//!
//! Invariant: a partition has one upload under way at most, in the round or aside.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use futures::future::{BoxFuture, Either, select};
use futures::poll;
use icecore_tiering::Pace;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::model::TopicPartition;
use crate::pace::TopicPaces;
use crate::replica::Partition;

/// A topic's rate as one of its uploads meets it: it says that it steps aside before it waits.
pub(super) struct TopicRate {
    paces: Arc<TopicPaces>,
    steps_aside: Arc<Notify>,
}

impl TopicRate {
    /// Waits until no other upload of the topic goes on, if the topic has a bound. Others of the topic
    /// that came before go first.
    pub(super) async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        self.paces.copies().get()?;
        let turn = self.paces.copy_turn().clone();
        Some(self.wait(turn.lock_owned()).await)
    }

    async fn wait<T>(&self, waited_for: impl Future<Output = T>) -> T {
        let mut waited_for = pin!(waited_for);
        if let Poll::Ready(done) = poll!(waited_for.as_mut()) {
            return done;
        }
        self.steps_aside.notify_one();
        waited_for.await
    }
}

#[async_trait]
impl Pace for TopicRate {
    async fn admit(&self, bytes: u64) {
        let copies = self.paces.copies();
        if copies.get().is_some() {
            self.wait(copies.admit(bytes)).await;
        }
    }
}

/// The uploads that stepped aside.
pub(super) struct Aside {
    tasks: TaskTracker,
    stop: CancellationToken,
    uploads: Mutex<HashMap<TopicPartition, Upload>>,
}

struct Upload {
    partition: Arc<Partition>,
    /// Broken off when it is dropped, as safely as by an end of the broker.
    task: AbortOnDropHandle<()>,
}

impl Aside {
    /// Nothing yet. What will be there ends soon after `stop`, and `tasks` knows it.
    pub(super) fn new(tasks: &TaskTracker, stop: &CancellationToken) -> Arc<Self> {
        let (tasks, stop) = (tasks.clone(), stop.clone());
        Arc::new(Self { tasks, stop, uploads: Mutex::default() })
    }

    /// Does a partition's work, until it is done or an upload of it steps aside, which then goes on by
    /// itself.
    pub(super) async fn run(
        &self,
        partition: &Arc<Partition>,
        work: impl FnOnce(TopicRate) -> BoxFuture<'static, ()>,
    ) {
        let steps_aside = Arc::new(Notify::new());
        let paces = partition.paces().clone();
        let work = work(TopicRate { paces, steps_aside: steps_aside.clone() });
        match select(work, pin!(steps_aside.notified())).await {
            Either::Left(((), _)) => {}
            Either::Right(((), work)) => self.take(partition.clone(), work),
        }
    }

    fn take(&self, partition: Arc<Partition>, work: BoxFuture<'static, ()>) {
        let stop = self.stop.clone();
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
        let (name, task) = (partition.name().clone(), AbortOnDropHandle::new(task));
        self.uploads.lock().insert(name, Upload { partition, task });
    }

    /// Whether an upload of the partition is under way here.
    pub(super) fn has(&self, partition: &Partition) -> bool {
        let uploads = self.uploads.lock();
        uploads.get(partition.name()).is_some_and(|upload| !upload.task.is_finished())
    }

    /// Breaks a partition's upload off, and returns when it has ended.
    pub(super) async fn end(&self, partition: &Partition) {
        let upload = self.uploads.lock().remove(partition.name());
        if let Some(Upload { task, .. }) = upload {
            task.abort();
            // It was cancelled, or it was done: either way it is over.
            drop(task.await);
        }
    }

    /// Breaks the uploads off of partitions that are hosted no more, and forgets those that are done.
    pub(super) fn keep(&self, is_hosted: impl Fn(&Arc<Partition>) -> bool) {
        let kept = |upload: &Upload| !upload.task.is_finished() && is_hosted(&upload.partition);
        self.uploads.lock().retain(|_, upload| kept(upload));
    }
}

//! One partition at a time, from its first offset to its last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use icecore_tiering::Pace as _;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::form::{Course, Form, Piece};
use crate::cli::client::{Fetcher, Topic};
use crate::pace::Limit;

/// Partitions that no lane has begun.
pub(super) type Queue = Arc<Mutex<VecDeque<Course>>>;

/// A reader of partitions, beside others.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) topic: Arc<Topic>,
    pub(super) form: Form,
    /// What all lanes together keep to.
    pub(super) rate: Arc<Limit>,
    /// Asked for at a time.
    pub(super) fetch_bytes: u64,
    /// Bounded: a slow destination holds the lanes up.
    pub(super) to: mpsc::Sender<Piece>,
}

impl Lane {
    /// Replays partitions until none is left, or nobody takes them any more.
    pub(super) async fn run(self, queue: Queue) -> anyhow::Result<()> {
        loop {
            let Some(course) = queue.lock().pop_front() else { return Ok(()) };
            self.replay(course).await?;
        }
    }

    async fn replay(&self, mut course: Course) -> anyhow::Result<()> {
        let start = BTreeMap::from([(course.partition, course.next)]);
        let fetcher = Fetcher::open(&self.topic, start).await?;
        let mut fetcher = fetcher.at_most(self.fetch_bytes);
        while course.next < course.end {
            for fetched in fetcher.fetch().await? {
                let piece = self.form.piece(&self.topic.name, fetched, &mut course)?;
                fetcher.advance(course.partition, course.next);
                self.rate.admit(piece.bytes).await;
                if self.to.send(piece).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

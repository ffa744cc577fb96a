//! The task that owns a shard: reads it back, then turns requests into records and answers.
//!
//! One append is under way at a time; what comes meanwhile goes out in the next one. An answer is
//! sent when every record that was made before it is on stable storage. When an append fails, all
//! that was not answered is dropped and the shard is read back: what was never written was never
//! told either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::load::{LoadError, load};
use super::room::Room;
use super::shard::Shard;
use super::step::{Answer, KeptRecord, Now, Rules, Step};
use crate::env::Clock;
use crate::metadata::{LiveImage, TooFewInSync};
use crate::model::Offset;
use crate::record::{BatchBuilder, Codec, NewRecord};
use crate::replica::{Durability, Partition, Replicas};

/// A batch is closed past so many bytes.
const BATCH_BYTES: usize = 512 << 10;
/// With so many bytes of records waiting, requests wait too.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// How long to wait before a shard that could not be read back is read again.
const LOAD_RETRY: Duration = Duration::from_secs(1);

/// A request on its way to the shard.
pub(super) type Mail = Box<dyn FnOnce(&mut Shard, &mut Step) + Send>;

/// What a shard's task works with.
pub(super) struct ShardTask {
    pub(super) partition: Arc<Partition>,
    pub(super) replicas: Arc<Replicas>,
    pub(super) image: Arc<LiveImage>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rules: Arc<Rules>,
    pub(super) room: Arc<Room>,
    pub(super) began: Instant,
    /// Set while requests are taken.
    pub(super) ready: Arc<AtomicBool>,
    /// Loads that may run at a time.
    pub(super) loads: Arc<Semaphore>,
    pub(super) expire_every: Duration,
    /// The partition may grow by so much before it is summed up.
    pub(super) growth_bytes: u64,
    pub(super) release: CancellationToken,
    pub(super) stop: CancellationToken,
}

/// An append failed: the shard is not what the log says any more.
#[derive(Debug, thiserror::Error)]
enum AppendFailed {
    #[error(transparent)]
    Append(#[from] crate::log::AppendError),
    #[error(transparent)]
    Pack(#[from] crate::record::CodecError),
    #[error("the partition's log start was not moved: {0}")]
    LogStart(#[from] crate::log::checkpoint::CheckpointError),
    #[error(transparent)]
    TooFewInSync(#[from] TooFewInSync),
    #[error("the append lane has ended")]
    LaneEnded,
}

/// An append that is under way.
struct UnderWay {
    done: BoxFuture<'static, Result<Written, AppendFailed>>,
    answers: Vec<Answer>,
}

#[derive(Clone, Copy, Default)]
struct Written {
    first: Option<Offset>,
    bytes: u64,
}

/// A shard that serves, and how far its partition has grown.
struct Serving {
    shard: Shard,
    pending: Step,
    pending_bytes: usize,
    grown_bytes: u64,
    summary_bytes: u64,
    released: bool,
}

impl ShardTask {
    /// Runs until the broker ends or nobody can ask any more.
    pub(super) async fn run(self, mut mail: mpsc::Receiver<Mail>) {
        let stop = self.stop.clone();
        let work = async {
            while let Some(serving) = self.load().await {
                self.ready.store(true, Ordering::Release);
                let served = self.serve(serving, &mut mail).await;
                self.ready.store(false, Ordering::Release);
                match served {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(partition = %self.partition.name(), %error, "groups are read back after a failed append");
                    }
                }
                // What came while it failed gets its answer by the loss of its sender.
                while mail.try_recv().is_ok() {}
                tokio::time::sleep(LOAD_RETRY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
        self.ready.store(false, Ordering::Release);
    }

    fn now(&self) -> Now {
        let tick_ms = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        Now { tick_ms, wall_ms: self.clock.now_ms() }
    }

    fn step(&self) -> Step {
        Step::new(self.now(), self.rules.clone())
    }

    /// Reads the shard back, again and again until it succeeds; `None` at the end.
    async fn load(&self) -> Option<Serving> {
        loop {
            let _one_of_few = self.loads.acquire().await.ok()?;
            let (log, now) = (self.partition.log().local().clone(), self.now());
            let began = Instant::now();
            let room = self.room.clone();
            let loaded = tokio::task::spawn_blocking(move || load(&log, now, room)).await;
            match loaded.unwrap_or(Err(LoadError::BrokenOff)) {
                Ok(mut loaded) => {
                    let (bytes, took) = (loaded.bytes, began.elapsed());
                    tracing::debug!(partition = %self.partition.name(), bytes, ?took, "groups were read back");
                    let mut pending = self.step();
                    self.forget_lost_topics(&mut loaded.shard, &mut pending);
                    return Some(Serving {
                        shard: loaded.shard,
                        pending,
                        pending_bytes: 0,
                        grown_bytes: bytes,
                        summary_bytes: 0,
                        released: false,
                    });
                }
                Err(error) => {
                    tracing::error!(partition = %self.partition.name(), %error, "groups cannot be read back");
                }
            }
            tokio::time::sleep(LOAD_RETRY).await;
        }
    }

    /// Topics that were deleted while nobody could take their offsets back.
    fn forget_lost_topics(&self, shard: &mut Shard, step: &mut Step) {
        let image = self.image.load();
        shard.forget_topics(step, |name, id| match image.topic(name) {
            Some(topic) => id != crate::model::TopicId::ZERO && id != topic.id,
            None => true,
        });
    }

    async fn serve(
        &self,
        mut serving: Serving,
        mail: &mut mpsc::Receiver<Mail>,
    ) -> Result<(), AppendFailed> {
        let mut under_way: Option<UnderWay> = None;
        let mut expiry = tokio::time::interval(self.expire_every);
        expiry.reset();
        loop {
            if under_way.is_none() {
                if serving.is_due_for_summary(self.growth_bytes) && self.check_in_sync().is_ok() {
                    self.sum_up(&mut serving).await?;
                }
                under_way = self.begin(&mut serving)?;
            }
            let timer = serving.shard.next_deadline().map(|at| self.at(at));
            tokio::select! {
                written = finished(&mut under_way) => {
                    serving.grown_bytes += written?.bytes;
                    let answers = under_way.take().map(|done| done.answers);
                    answers.into_iter().flatten().for_each(|answer| answer());
                }
                mail = mail.recv(), if serving.pending_bytes < WAITING_BYTES_MAX => match mail {
                    Some(mail) => self.act(&mut serving, &mut under_way, mail),
                    None => return Ok(()),
                },
                () = sleep_until(timer) => {
                    self.act(&mut serving, &mut under_way, Box::new(Shard::on_time));
                }
                _ = expiry.tick() => {
                    self.act(&mut serving, &mut under_way, Box::new(Shard::expire));
                }
                () = self.release.cancelled(), if !serving.released => {
                    serving.released = true;
                    self.act(&mut serving, &mut under_way, Box::new(Shard::release));
                }
            }
        }
    }

    fn at(&self, tick_ms: i64) -> Instant {
        self.began + Duration::from_millis(u64::try_from(tick_ms).unwrap_or(0))
    }

    /// Does one step.
    fn act(&self, serving: &mut Serving, under_way: &mut Option<UnderWay>, mail: Mail) {
        let pending = &mut serving.pending;
        pending.now = self.now();
        let before = pending.records.len();
        mail(&mut serving.shard, pending);
        let len =
            |record: &KeptRecord| record.key.len() + record.value.as_ref().map_or(0, |v| v.len());
        serving.pending_bytes += pending.records[before..].iter().map(len).sum::<usize>();
        if !pending.records.is_empty() {
            return;
        }
        // Nothing new to write: the answers wait for what is under way, if anything is.
        let answers = std::mem::take(&mut pending.answers);
        match under_way {
            Some(under_way) => under_way.answers.extend(answers),
            None => answers.into_iter().for_each(|answer| answer()),
        }
    }

    /// Whether what is written now is on as many replicas as the topic demands.
    fn check_in_sync(&self) -> Result<(), TooFewInSync> {
        let (name, image) = (self.partition.name(), self.image.load());
        image.topic(&name.topic).map_or(Ok(()), |topic| topic.check_in_sync(name.partition))
    }

    /// Starts to append what is pending.
    fn begin(&self, serving: &mut Serving) -> Result<Option<UnderWay>, TooFewInSync> {
        if serving.pending.records.is_empty() {
            return Ok(None);
        }
        self.check_in_sync()?;
        let Step { records, answers, .. } = std::mem::replace(&mut serving.pending, self.step());
        serving.pending_bytes = 0;
        let (replicas, partition) = (self.replicas.clone(), self.partition.clone());
        let now_ms = self.clock.now_ms();
        let done = Box::pin(async move {
            append_all(&replicas, &partition, records.into_iter(), now_ms).await
        });
        Ok(Some(UnderWay { done, answers }))
    }

    /// Writes everything anew and moves the log start to it, so that the partition does not grow
    /// for ever. A crash before the move leaves the old records and some of the new ones, which
    /// say the same; after it, the new ones say all.
    async fn sum_up(&self, serving: &mut Serving) -> Result<(), AppendFailed> {
        let records = serving.shard.summary();
        let now_ms = self.clock.now_ms();
        // What is pending is part of the summary, and its records follow it once more.
        let written = append_all(&self.replicas, &self.partition, records, now_ms).await?;
        let end = self.partition.log().local().log_end();
        let start = written.first.unwrap_or(end);
        self.replicas.move_log_start(&self.partition, start).await?;
        tracing::info!(partition = %self.partition.name(), %start, bytes = written.bytes, "groups were summed up");
        (serving.grown_bytes, serving.summary_bytes) = (0, written.bytes);
        Ok(())
    }
}

impl Serving {
    /// A shard that is large itself may grow by as much as it has.
    fn is_due_for_summary(&self, growth_bytes: u64) -> bool {
        self.grown_bytes > growth_bytes.max(self.summary_bytes)
    }
}

async fn finished(under_way: &mut Option<UnderWay>) -> Result<Written, AppendFailed> {
    match under_way {
        Some(under_way) => (&mut under_way.done).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Appends records in batches, one after the other, until all are on stable storage.
async fn append_all(
    replicas: &Replicas,
    partition: &Arc<Partition>,
    records: impl Iterator<Item = KeptRecord>,
    now_ms: i64,
) -> Result<Written, AppendFailed> {
    let mut written = Written::default();
    let mut batch = BatchBuilder::new(Codec::None);
    for record in records {
        let value = record.value.as_deref();
        batch.push(&NewRecord {
            timestamp_ms: now_ms,
            key: Some(&record.key),
            value,
            headers: &[],
        });
        if batch.body_len() >= BATCH_BYTES {
            let full = std::mem::replace(&mut batch, BatchBuilder::new(Codec::None));
            append(replicas, partition, &full, &mut written).await?;
        }
    }
    if batch.count() > 0 {
        append(replicas, partition, &batch, &mut written).await?;
    }
    Ok(written)
}

async fn append(
    replicas: &Replicas,
    partition: &Arc<Partition>,
    batch: &BatchBuilder,
    written: &mut Written,
) -> Result<(), AppendFailed> {
    let batch = batch.build()?;
    written.bytes += batch.len() as u64;
    let reply = replicas.append(partition, batch, Durability::Synced).await;
    let appended = reply.await.map_err(|_| AppendFailed::LaneEnded)??;
    written.first.get_or_insert(appended.base_offset);
    Ok(())
}

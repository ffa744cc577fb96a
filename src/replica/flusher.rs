//! The threads that sync.
//!
//! Group commit: while one `fdatasync` is under way, requests pile up, and the next one answers
//! them all. A reply goes out only after the sync that covers its batch has returned; when a sync
//! fails, its replies are errors and the log takes no more appends (what the kernel dropped cannot
//! be synced again).
//!
//! What nobody waits for is synced when its time has come (`flush.ms`). A partition is planned at
//! most once for each deadline, and a plan does not keep a dropped partition alive.

use std::sync::{Arc, Weak, mpsc};
use std::thread;
use std::time::Instant;

use tokio::sync::oneshot;

use super::Partition;
use super::flush_plans::Plans;
use crate::env::shorten_time_slice;
use crate::log::{AppendError, Appended};
use crate::metrics::BrokerMetrics;

/// Requests that may wait for one flusher; a lane that finds the queue full waits.
const QUEUE_LEN_MAX: usize = 4096;

type Promised = Vec<(Appended, oneshot::Sender<Result<Appended, AppendError>>)>;

pub(super) enum FlushRequest {
    /// Somebody waits.
    Now { partition: Arc<Partition>, promised: Promised },
    /// Nobody waits, but at that time it has to be durable.
    Later { partition: Weak<Partition>, due: Instant },
}

/// A handle to one flusher's queue.
#[derive(Clone, Debug)]
pub(super) struct Flusher {
    queue: mpsc::SyncSender<FlushRequest>,
}

impl Flusher {
    /// Starts the thread. It ends when the last handle is dropped and the queue is empty.
    pub(super) fn start(
        number: usize,
        metrics: BrokerMetrics,
    ) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (queue, receiver) = mpsc::sync_channel(QUEUE_LEN_MAX);
        let thread = thread::Builder::new().name(format!("flush-{number}")).spawn(move || {
            shorten_time_slice();
            run(&receiver, &metrics);
        })?;
        Ok((Self { queue }, thread))
    }

    /// Queues a flush; blocks while the queue is full.
    pub(super) fn queue(&self, request: FlushRequest) {
        // The thread ends only after all senders are gone, so a send cannot fail before that; were
        // it dead of a panic, dropping the request answers its senders with a closed channel.
        drop(self.queue.send(request));
    }
}

fn run(queue: &mpsc::Receiver<FlushRequest>, metrics: &BrokerMetrics) {
    let mut plans = Plans::default();
    while let Some(first) = next(queue, &plans) {
        let mut group = Vec::new();
        for request in first.into_iter().chain(queue.try_iter().take(QUEUE_LEN_MAX)) {
            match request {
                FlushRequest::Now { partition, promised } => group.push((partition, promised)),
                FlushRequest::Later { partition, due } => plans.add(due, partition),
            }
        }
        for partition in plans.take_due(Instant::now()) {
            partition.begin_planned_flush();
            group.push((partition, Promised::new()));
        }
        group.sort_by_key(|(partition, _)| Arc::as_ptr(partition));
        for requests in group.chunk_by_mut(|a, b| Arc::ptr_eq(&a.0, &b.0)) {
            flush(requests, metrics);
        }
    }
}

/// Waits for a request, or without one until the first plan is due. `None` when all handles are
/// gone and the queue is empty: whoever ends in order syncs by closing the logs.
fn next(queue: &mpsc::Receiver<FlushRequest>, plans: &Plans) -> Option<Option<FlushRequest>> {
    let Some(due) = plans.first_due() else { return queue.recv().ok().map(Some) };
    match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
        Ok(request) => Some(Some(request)),
        Err(mpsc::RecvTimeoutError::Timeout) => Some(None),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
    }
}

/// Syncs one partition once and answers all of its requests.
fn flush(requests: &mut [(Arc<Partition>, Promised)], metrics: &BrokerMetrics) {
    let Some((partition, _)) = requests.first() else { return };
    let began = Instant::now();
    let outcome = partition.sync();
    metrics.synced_in(began.elapsed());
    for (appended, done) in requests.iter_mut().flat_map(|(_, promised)| promised.drain(..)) {
        let result = match &outcome {
            Ok(()) => Ok(appended),
            Err(error) => Err(error.clone()),
        };
        // A sender that left does not need its reply.
        drop(done.send(result));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::config::{BrokerConfig, TopicConfig};
    use crate::env::SystemClock;
    use crate::log::{Log, LogConfig, LogEnv, OpenAt, TieredLog};
    use crate::model::{LeaderEpoch, TopicId, TopicPartition};
    use crate::record::{Batch, BatchBuilder, Codec, NewRecord};
    use crate::replica::append_lane::{AppendLane, AppendRequest, Durability};
    use crate::replica::space::{Space, WantedWatermarks};

    fn config(flush_ms: &str) -> Arc<TopicConfig> {
        let broker = BrokerConfig::in_dir(std::path::Path::new("/d"), &[]).expect("defaults");
        let overrides = BTreeMap::from([("flush.ms".to_owned(), flush_ms.to_owned())]);
        Arc::new(TopicConfig::new(&broker, &broker.policies(), "t", &overrides).expect("settings"))
    }

    fn partition(dir: &std::path::Path, flush_ms: &str) -> Arc<Partition> {
        let (name, id) = (TopicPartition::new("t", 0), TopicId::random());
        let opened = Log::open(dir, LogConfig::default(), OpenAt::default(), LogEnv::real());
        let log = TieredLog::new(Arc::new(opened.expect("open").0), None, None);
        let (config, clock) = (config(flush_ms), Arc::new(SystemClock));
        let paces = Arc::default();
        Arc::new(Partition::new(name, id, LeaderEpoch::ZERO, log, config, paces, clock))
    }

    fn batch() -> Batch {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push(&NewRecord { value: Some(b"x"), ..NewRecord::default() });
        builder.build().expect("a batch")
    }

    /// Writes a record as `acks=1` does.
    fn write(lane: &AppendLane, partition: &Arc<Partition>) {
        let (done, reply) = oneshot::channel();
        let (batch, durability) = (batch(), Durability::PageCache);
        let request = AppendRequest { partition: partition.clone(), batch, durability, done };
        assert!(futures::executor::block_on(lane.queue(request)), "the lane runs");
        reply.blocking_recv().expect("a reply").expect("appended");
    }

    fn becomes_durable(partition: &Partition) {
        let (log, until) = (partition.log().local(), Instant::now() + Duration::from_secs(20));
        while log.flushed() < log.log_end() {
            assert!(Instant::now() < until, "{} of {} in time", log.flushed(), log.log_end());
            thread::yield_now();
        }
    }

    fn lane() -> AppendLane {
        let (flusher, _) = Flusher::start(0, BrokerMetrics::unregistered()).expect("a thread");
        let space =
            Space::new(WantedWatermarks::default(), 1 << 30, 1 << 30).expect("a large disk");
        AppendLane::start(0, flusher, Arc::new(space)).expect("a thread").0
    }

    #[test]
    fn a_write_that_nobody_waits_for_is_synced_when_flush_ms_has_passed() {
        let dir = tempfile::tempdir().expect("dir");
        let (lane, partition) = (lane(), partition(dir.path(), "40"));
        for _ in 0..3 {
            let before = Instant::now();
            write(&lane, &partition);
            becomes_durable(&partition);
            assert!(before.elapsed() >= Duration::from_millis(40), "not before its time");
        }
    }

    #[test]
    fn without_flush_ms_nothing_is_planned_and_a_shorter_one_counts_from_the_next_write_on() {
        let dir = tempfile::tempdir().expect("dir");
        let (lane, partition) = (lane(), partition(dir.path(), &i64::MAX.to_string()));
        write(&lane, &partition);
        assert_eq!(partition.plan_flush(), None, "no bound");
        for flush_ms in ["3600000", "0"] {
            partition.configure(config(flush_ms));
            write(&lane, &partition);
        }
        becomes_durable(&partition);
    }
}

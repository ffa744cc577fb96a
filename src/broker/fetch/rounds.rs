//! The wait of a fetch: look at all partitions, and look again when one has grown, until there is
//! enough or the time is up.
//!
//! What waits for its topic's rate comes after the others: it takes what they leave of the answer.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Broker;
use super::gates::Gates;
use super::plan::FetchPlan;
use super::read::{Looked, PartitionRead, look};
use crate::replica::FetchWaiter;
use crate::task;

/// How long an answer that is ready waits for what has to come from elsewhere: long enough for a
/// read that is nearly there, too short to be felt.
const GRACE: Duration = Duration::from_millis(2);

/// Reads until the plan is met. One read for each of the plan's partitions, in order.
pub(super) async fn run(broker: &Arc<Broker>, plan: &FetchPlan) -> Vec<PartitionRead> {
    let deadline = Instant::now() + plan.wait;
    let mut arrived_at: Option<std::time::Instant> = None;
    loop {
        // Parked before the look, so that what arrives during the look wakes the next one.
        let waiter = FetchWaiter::new();
        let nothing_to_come = plan.min_bytes == 0 || plan.session.wanted.is_empty();
        let may_wait = !nothing_to_come && Instant::now() < deadline;
        if may_wait {
            park(broker, plan, &waiter);
        }
        let round = Round::look(broker, plan);
        if !may_wait || round.is_enough(plan) {
            if let (Some(arrived_at), true) = (arrived_at, round.is_of_the_tail()) {
                broker.paces.tail_fetch.note(arrived_at.elapsed());
            }
            return round.finish(broker, plan).await;
        }
        tokio::select! {
            () = waiter.woken() => {}
            () = sleep_until(deadline) => {}
        }
        arrived_at = waiter.arrived_at();
    }
}

fn park(broker: &Broker, plan: &FetchPlan, waiter: &Arc<FetchWaiter>) {
    let image = broker.image.load();
    for wanted in &plan.session.wanted {
        if let Some(partition) = broker.find_wanted(&image, &wanted.topic, wanted.partition) {
            partition.waiters().park(waiter);
        }
    }
}

/// One look at every partition.
struct Round {
    looked: Vec<Looked>,
    bytes: usize,
    failed: bool,
    elsewhere: bool,
}

impl Round {
    fn look(broker: &Broker, plan: &FetchPlan) -> Self {
        let image = broker.image.load();
        let looked = Vec::with_capacity(plan.session.wanted.len());
        let mut round = Self { looked, bytes: 0, failed: false, elsewhere: false };
        let (mut left, mut min_one) = (plan.max_bytes, true);
        for wanted in &plan.session.wanted {
            let looked = look(broker, &image, plan, wanted, left, min_one);
            match &looked {
                Looked::Here(read) => {
                    round.failed |= read.error.is_some() || read.diverging.is_some();
                    round.bytes += read.len();
                    left = left.saturating_sub(read.len());
                    min_one &= read.slices.is_empty();
                }
                // Its size is known only later: it counts as all that it may take (as in Kafka).
                Looked::Elsewhere(read) => {
                    round.elsewhere = true;
                    if !read.is_held_back() {
                        left = left.saturating_sub(read.max_bytes);
                        min_one = false;
                    }
                }
            }
            round.looked.push(looked);
        }
        round.give_rest(left, min_one);
        round
    }

    /// Gives those that are held back by their topic's rate what the others leave. They are not sent
    /// to the end of the session while they get nothing: in their place they would take all, each time.
    fn give_rest(&mut self, mut left: usize, mut min_one: bool) {
        for looked in &mut self.looked {
            let Looked::Elsewhere(read) = looked else { continue };
            if !read.is_held_back() {
                continue;
            }
            read.max_bytes = read.max_bytes.min(left);
            read.min_one = min_one;
            left -= read.max_bytes;
            min_one = false;
            if read.max_bytes == 0 && !read.min_one {
                *looked = Looked::Here(read.nothing_yet());
            }
        }
    }

    fn is_enough(&self, plan: &FetchPlan) -> bool {
        self.failed || self.elsewhere || self.bytes >= plan.min_bytes
    }

    /// Whether all that it gives was written a moment ago.
    fn is_of_the_tail(&self) -> bool {
        self.bytes > 0 && !self.elsewhere && !self.failed
    }

    /// Waits for what lies elsewhere, but never lets it hold up what is ready.
    async fn finish(self, broker: &Broker, plan: &FetchPlan) -> Vec<PartitionRead> {
        let deadline = Instant::now() + broker.config.remote_fetch_max_wait();
        let (mut reads, mut late) = (Vec::with_capacity(self.looked.len()), Vec::new());
        for (at, looked) in self.looked.into_iter().enumerate() {
            reads.push(match looked {
                Looked::Here(read) => read,
                Looked::Elsewhere(read) => {
                    let nothing_yet = read.nothing_yet();
                    let all = &broker.paces.replays;
                    let gates = read
                        .is_replay()
                        .then(|| Gates::new(read.topic_gate(), all, read.max_bytes));
                    late.push(begun(at, gates, read.run()));
                    nothing_yet
                }
            });
        }
        gather(&mut reads, late, plan.min_bytes, deadline).await;
        reads
    }
}

/// A read that is under way, with its place in the answer.
type Late = BoxFuture<'static, (usize, PartitionRead)>;

/// A read that waits for the disk or the store. Of the remote tier it first waits for its turn among
/// its topic's replays and among all, as long as its client does. Once begun it is a task of its own: it
/// goes on when the client's wait ends, and fills the caches for its next fetch.
fn begun(
    at: usize,
    gates: Option<Gates>,
    read: impl Future<Output = PartitionRead> + Send + 'static,
) -> Late {
    Box::pin(async move {
        let task = match gates {
            None => tokio::spawn(read),
            Some(gates) => {
                let passages = gates.pass().await;
                tokio::spawn(async move {
                    let read = read.await;
                    passages.moved(read.len());
                    read
                })
            }
        };
        (at, task::done(task).await)
    })
}

/// Puts late reads into their places until there is enough, and a moment longer, or the time is up.
/// What is later comes with the next fetch.
async fn gather(reads: &mut [PartitionRead], late: Vec<Late>, min_bytes: usize, deadline: Instant) {
    let mut late = FuturesUnordered::from_iter(late);
    let mut bytes: usize = reads.iter().map(PartitionRead::len).sum();
    let mut failed = reads.iter().any(|read| read.error.is_some());
    loop {
        let is_enough = failed || (bytes > 0 && bytes >= min_bytes);
        let until = if is_enough { deadline.min(Instant::now() + GRACE) } else { deadline };
        match timeout_at(until, late.next()).await {
            Ok(Some((at, read))) => {
                bytes += read.len();
                failed |= read.error.is_some();
                reads[at] = read;
            }
            Ok(None) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::sleep;

    use super::*;
    use crate::model::FileSlice;
    use crate::pace::ReplayGate;

    const WAIT: Duration = Duration::from_millis(500);

    fn of(bytes: u64) -> PartitionRead {
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        PartitionRead { slices: vec![FileSlice::new(file, 0, bytes)], ..PartitionRead::default() }
    }

    /// A read of so many bytes that takes so long.
    fn after(at: usize, ms: u64, bytes: u64) -> Late {
        begun(at, None, async move {
            sleep(Duration::from_millis(ms)).await;
            of(bytes)
        })
    }

    async fn gathered(late: Vec<Late>, min_bytes: usize) -> (Vec<usize>, Duration) {
        let mut reads: Vec<_> = late.iter().map(|_| PartitionRead::default()).collect();
        let began = Instant::now();
        gather(&mut reads, late, min_bytes, began + WAIT).await;
        (reads.iter().map(PartitionRead::len).collect(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_is_ready_does_not_wait_for_one_that_is_far() {
        let (lens, took) =
            gathered(vec![after(0, 400, 7), after(1, 20, 5), after(2, 21, 3)], 1).await;
        assert_eq!(lens, [0, 5, 3], "two that come together");
        assert!(took < Duration::from_millis(30), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_little_waits_for_more() {
        let (lens, took) = gathered(vec![after(0, 400, 7), after(1, 20, 5)], 10).await;
        assert_eq!((lens, took.as_millis()), (vec![7, 5], 400));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_whose_wait_is_over_answers_what_is_ready_and_the_download_goes_on() {
        let done = Arc::new(AtomicBool::new(false));
        let far = begun(1, None, {
            let done = done.clone();
            async move {
                sleep(Duration::from_secs(3)).await;
                done.store(true, Ordering::SeqCst);
                of(9)
            }
        });
        let (lens, took) = gathered(vec![after(0, 20, 5), far], 10).await;
        assert_eq!((lens, took), (vec![5, 0], WAIT));
        sleep(Duration::from_secs(3)).await;
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_that_has_no_share_left_holds_up_nobody_and_reads_nothing() {
        let gate = Arc::new(ReplayGate::default());
        gate.set_share(Some(1000));
        gate.pass(100_000).await.moved(100_000);
        let begins = Arc::new(AtomicBool::new(false));
        let replay = begun(1, Some(Gates::new(None, &gate, 1 << 20)), {
            let begins = begins.clone();
            async move {
                begins.store(true, Ordering::SeqCst);
                of(9)
            }
        });
        let (lens, took) = gathered(vec![after(0, 20, 5), replay], 1).await;
        assert_eq!(lens, [5, 0]);
        assert!(took < Duration::from_millis(30), "{took:?}");
        sleep(Duration::from_secs(200)).await;
        assert!(!begins.load(Ordering::SeqCst), "nobody waits for it any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_that_waits_for_its_topic_takes_nothing_of_what_all_share() {
        let (all, slow) = (Arc::new(ReplayGate::default()), Arc::new(ReplayGate::default()));
        all.set_share(Some(1 << 20));
        slow.set_ceiling(Some(1));
        slow.pass(1000).await.moved(1000);
        let held = begun(0, Some(Gates::new(Some(slow.clone()), &all, 1 << 20)), async { of(9) });
        let other = begun(1, Some(Gates::new(None, &all, 1 << 20)), async { of(5) });
        let (lens, took) = gathered(vec![held, other], 1).await;
        assert_eq!(lens, [0, 5]);
        assert!(took < Duration::from_millis(30), "{took:?}");
        slow.set_ceiling(None);
        let held = begun(0, Some(Gates::new(Some(slow), &all, 1 << 20)), async { of(9) });
        assert_eq!(gathered(vec![held], 1).await.0, [9], "its bound is gone");
        assert_eq!(all.moved(), 14, "what passes a topic's gate passes that of all");
    }
}

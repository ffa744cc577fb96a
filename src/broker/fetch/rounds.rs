//! The wait of a fetch: look at all partitions, and look again when one has grown, until there is
//! enough or the time is up.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep_until, timeout};

use super::Broker;
use super::plan::FetchPlan;
use super::read::{Looked, PartitionRead, look};
use crate::replica::FetchWaiter;

/// How long an answer that is ready waits for what has to come from elsewhere: long enough for a
/// read that is nearly there, too short to be felt.
const GRACE: Duration = Duration::from_millis(2);

/// Reads until the plan is met. One read for each of the plan's partitions, in order.
pub(super) async fn run(broker: &Arc<Broker>, plan: &FetchPlan) -> Vec<PartitionRead> {
    let deadline = Instant::now() + plan.wait;
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
            return round.finish(broker, plan).await;
        }
        tokio::select! {
            () = waiter.woken() => {}
            () = sleep_until(deadline) => {}
        }
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
                    left = left.saturating_sub(read.max_bytes);
                    min_one = false;
                }
            }
            round.looked.push(looked);
        }
        round
    }

    fn is_enough(&self, plan: &FetchPlan) -> bool {
        self.failed || self.elsewhere || self.bytes >= plan.min_bytes
    }

    /// Waits for what lies elsewhere, but never lets it hold up what is here.
    async fn finish(self, broker: &Broker, plan: &FetchPlan) -> Vec<PartitionRead> {
        let here_is_enough = self.bytes > 0 && self.bytes >= plan.min_bytes;
        let wait = if here_is_enough { GRACE } else { broker.config.remote_fetch_max_wait() };
        join_all(self.looked.into_iter().map(|looked| async move {
            match looked {
                Looked::Here(read) => read,
                Looked::Elsewhere(read) => {
                    let empty = PartitionRead { bounds: read.bounds, ..PartitionRead::default() };
                    // Spawned: the read goes on when the client's wait ends, and fills the caches
                    // for its next fetch.
                    match timeout(wait, tokio::spawn(read.run())).await {
                        Ok(Ok(read)) => read,
                        Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
                        Err(_) => empty,
                    }
                }
            }
        }))
        .await
    }
}

//! Steers the share of replays, once a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::{Metrics, TieringMetrics};
use crate::pace::{Paces, ReplayShare, Second};

const INTERVAL: Duration = Duration::from_secs(1);

/// Steers until `stop`.
pub(super) fn start(
    paces: &Arc<Paces>,
    metrics: &Arc<Metrics>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let (paces, metrics, stop) = (paces.clone(), metrics.clone(), stop.clone());
    tasks.spawn(async move {
        let mut steering = Steering::new(paces);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => steering.second(&metrics.tiering),
            }
        }
    });
}

struct Steering {
    paces: Arc<Paces>,
    law: ReplayShare,
    began: Instant,
    moved: u64,
    /// Whether the log says that replays are held back.
    is_told: bool,
}

impl Steering {
    fn new(paces: Arc<Paces>) -> Self {
        let (began, moved) = (Instant::now(), paces.replays.moved());
        Self { paces, law: ReplayShare::default(), began, moved, is_told: false }
    }

    fn second(&mut self, metrics: &TieringMetrics) {
        let paces = &self.paces;
        let (before, took) = (self.moved, [paces.produce.take(), paces.tail_fetch.take()]);
        self.moved = paces.replays.moved();
        self.law.set_slowdown_max(paces.bounds().slowdown_max_percent);
        let second = Second { now: self.began.elapsed(), replayed: self.moved - before, took };
        let share = self.law.second(&second);
        paces.replays.set_share(share);
        self.tell(share, second.replayed);
        metrics.replayed_bytes.inc_by(self.moved - before);
        metrics
            .replay_share
            .set(share.map_or(-1, |share| i64::try_from(share).unwrap_or(i64::MAX)));
    }

    /// A share that waits for a replay to come is no news.
    fn tell(&mut self, share: Option<u64>, replayed: u64) {
        match share {
            Some(share) if replayed > 0 && !self.is_told => {
                tracing::info!(
                    bytes_per_second = share,
                    "replays are held back: producers and consumers at the tail go first"
                );
                self.is_told = true;
            }
            None if self.is_told => {
                tracing::info!("replays have all there is again");
                self.is_told = false;
            }
            _ => {}
        }
    }
}

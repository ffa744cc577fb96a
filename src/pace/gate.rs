//! What all replays together may be handed: a fetch of the remote tier passes here before it reads.
//!
//! A fetch waits here while its client waits, and no longer: nothing is read for a client that has
//! turned away, and one that comes again has its place in the [`Line`] again. How much a read gives is
//! known when it is over, so a guess is admitted and corrected.
//!
//! Invariant: a [`Passage`] that is dropped gives back what it did not move.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use icecore_tiering::Pace as _;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::limit::Limit;
use super::line::{Line, ReaderId};

/// What a read is taken to give until it is known: what a client asks for by default.
const GUESS_MAX: u64 = 1 << 20;

/// The way in for replays.
#[derive(Debug, Default)]
pub struct ReplayGate {
    limit: Limit,
    line: Line,
    rates: Mutex<Rates>,
    moved: AtomicU64,
}

/// The lower one counts.
#[derive(Debug, Default)]
struct Rates {
    /// Set by people.
    ceiling: Option<u64>,
    /// What the hot path leaves.
    share: Option<u64>,
}

impl ReplayGate {
    /// Waits until a read of about `bytes` may begin. Readers have turns, whatever each of them asks for.
    pub async fn pass(self: &Arc<Self>, reader: ReaderId, bytes: u64) -> Passage {
        let admitted = bytes.min(GUESS_MAX);
        if self.is_bounded() {
            self.wait(reader, admitted).await;
        }
        Passage { gate: self.clone(), admitted, moved: 0 }
    }

    async fn wait(&self, reader: ReaderId, bytes: u64) {
        let place = self.line.enter(reader);
        loop {
            if !place.is_first() {
                place.changed().await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.limit.admit(bytes) => break,
                // Another one that had no turn for longer may have come.
                () = place.changed() => {}
            }
        }
        place.had_turn();
    }

    /// Sets what the hot path leaves, in bytes a second; `None` for all.
    pub fn set_share(&self, share: Option<u64>) {
        self.change(|rates| rates.share = share);
    }

    /// Sets what people allow, in bytes a second; `None` for all.
    pub fn set_ceiling(&self, ceiling: Option<u64>) {
        self.change(|rates| rates.ceiling = ceiling);
    }

    /// Bytes a second of all replays together; `None` for all there is.
    pub fn rate(&self) -> Option<u64> {
        self.limit.get()
    }

    /// Whether there is a rate at all.
    pub fn is_bounded(&self) -> bool {
        self.rate().is_some()
    }

    /// Until when a read that comes now has to wait at least; `None` if it need not.
    pub fn busy_until(&self) -> Option<Instant> {
        self.limit.busy_until()
    }

    /// The bytes that passed since the start.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Rates)) {
        let mut rates = self.rates.lock();
        change(&mut rates);
        let rate = match (rates.ceiling, rates.share) {
            (Some(ceiling), Some(share)) => Some(ceiling.min(share)),
            (ceiling, share) => ceiling.or(share),
        };
        if rate != self.limit.get() {
            self.limit.set(rate);
        }
    }
}

/// A read that was let in.
#[derive(Debug)]
pub struct Passage {
    gate: Arc<ReplayGate>,
    admitted: u64,
    moved: u64,
}

impl Passage {
    /// The read is over and gave so many bytes.
    pub fn moved(mut self, bytes: u64) {
        self.moved = bytes;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.gate.limit.correct(self.admitted, self.moved);
        self.gate.moved.fetch_add(self.moved, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hundred_readers_whose_clients_soon_turn_away_have_the_rate_among_them() {
        let gate = Arc::new(ReplayGate::default());
        gate.set_share(Some(10 << 20));
        let began = Instant::now();
        let readers = (0..100).map(|reader| {
            let gate = gate.clone();
            tokio::spawn(async move {
                while began.elapsed() < Duration::from_secs(20) {
                    let pass = gate.pass(ReaderId(reader), 1 << 20);
                    let passage = timeout(Duration::from_millis(500), pass).await;
                    if let Ok(passage) = passage {
                        passage.moved(1 << 19);
                    }
                }
            })
        });
        join_all(readers).await;
        let rate = gate.moved() / 20;
        assert!((9 << 20..=11 << 20).contains(&rate), "{rate} bytes a second");
    }

    #[tokio::test(start_paused = true)]
    async fn the_lower_of_two_rates_counts_and_a_failed_read_costs_nothing() {
        let (gate, began) = (Arc::new(ReplayGate::default()), Instant::now());
        gate.set_ceiling(Some(1000));
        gate.set_share(Some(100));
        let reader = ReaderId(1);
        drop(gate.pass(reader, 700).await);
        gate.pass(reader, 700).await.moved(300);
        gate.pass(reader, 1).await.moved(1);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        gate.set_share(None);
        gate.pass(reader, 1000).await.moved(1000);
        gate.pass(reader, 1).await.moved(1);
        let took = began.elapsed();
        assert!((4000..4020).contains(&took.as_millis()), "{took:?}");
    }

    /// How often each of some readers is let in within two minutes: they wait for half a second, as the
    /// fetches of a consumer do, and come again.
    async fn turns_of(readers: u64, bytes_per_second: u64) -> Vec<u32> {
        let (gate, began) = (Arc::new(ReplayGate::default()), Instant::now());
        gate.set_ceiling(Some(bytes_per_second));
        let readers = (0..readers).map(|reader| {
            let gate = gate.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(reader * 61)).await;
                let mut turns = 0;
                while began.elapsed() < Duration::from_secs(120) {
                    let pass = gate.pass(ReaderId(reader), 1 << 20);
                    if let Ok(passage) = timeout(Duration::from_millis(500), pass).await {
                        sleep(Duration::from_millis(5)).await;
                        passage.moved(1 << 20);
                        turns += 1;
                    }
                    // The answer, and the next request.
                    sleep(Duration::from_millis(1)).await;
                }
                turns
            })
        });
        let turns = join_all(readers).await;
        turns.into_iter().map(|turns| turns.expect("no panic")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn readers_have_equal_turns_also_when_the_fetches_of_one_are_in_step_with_the_rate() {
        // A turn a second, of which each reader has to find its own: 501 ms are half of it, and a little.
        let turns = turns_of(4, 1 << 20).await;
        assert!(turns.iter().all(|turns| (29..=32).contains(turns)), "{turns:?}");
        // A turn lasts longer than a fetch waits.
        let turns = turns_of(3, 100_000).await;
        assert!(turns.iter().all(|turns| (3..=5).contains(turns)), "{turns:?}");
    }
}

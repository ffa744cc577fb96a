//! How much replays may move while others work: the control law, as arithmetic that is told the
//! time.
//!
//! ```text
//! p99 of produce or tail fetch beside a replay, against the p99 without one (calm):
//!   above what calm allows           -> share = 0.3 to 0.7 of what replays move, by how far above
//!   else, and never cut since calm   -> twice the share
//!   else                             -> share + 4 MiB/s, or an eighth more if that is more
//!   share twice of what they move    -> it binds nobody: no bound any more
//!   too few requests to tell, or none for two seconds
//!                                    -> nobody is there to be slowed down: no bound
//! what calm allows: calm * (1 + slowdown), but at least 100 µs and twice its usual deviation more
//! ```
//! So the share falls fast and rises slowly, as TCP's window does, and begins as cautiously: a replay
//! that comes while others work has 32 MiB/s at first. It is judged every second, or as soon after as
//! there are 200 requests. *Calm* is what the hot path takes while replays move next to nothing: the
//! median of the last stretches, so that a minute in which somebody wrote in bulk does not count as it.
//! Where a replay was there from the start, or runs on and on, it is brought to the least share for a
//! moment every five minutes to measure calm anew. At the least share the hot path counts as calm
//! whatever it takes: then the replay is not what slows it down.
//!
//! Invariant: the share is at least [`SHARE_MIN`], so that every replay comes to its end.

use std::collections::VecDeque;
use std::time::Duration;

use super::latency::Window;

const MIB: f64 = 1_048_576.0;
/// The least share, in bytes a second.
const SHARE_MIN: f64 = 4.0 * MIB;
/// What a replay has at first when others work, in bytes a second.
const SHARE_FIRST: f64 = 32.0 * MIB;
/// Replays that move no more than this are next to nothing, in bytes a second.
const CALM_MAX: f64 = 1.25 * SHARE_MIN;
/// Below this there is no replay, in bytes a second.
const IDLE_MAX: f64 = MIB;
/// What the share gains in one stretch, at least, in bytes a second.
const GAIN_MIN: f64 = 4.0 * MIB;
/// And relative to what it is.
const GAIN: f64 = 0.125;
/// What is left of the share when the hot path is slowed down, at least and at most.
const CUT: (f64, f64) = (0.3, 0.7);
/// How long a stretch is, at least.
const STRETCH_MIN: Duration = Duration::from_millis(900);
/// And at most: with too few requests until then there is nobody to be slowed down.
const STRETCH_MAX: Duration = Duration::from_secs(10);
/// How long without a single request says that nobody is there. A request that a replay holds up is
/// long through by then.
const SILENCE: Duration = Duration::from_secs(2);
/// With fewer times the 99th percentile says nothing.
const TIMES_MIN: u64 = 200;
/// Less than this above calm is not worth a replay's time, in seconds.
const SLACK: f64 = 100e-6;
/// Calm stretches that are remembered.
const CALM_LEN: usize = 15;
/// When calm is measured anew beside a replay that goes on and on.
const CALM_AGE_MAX: Duration = Duration::from_secs(300);

/// What happened in about a second.
#[derive(Clone, Debug)]
pub struct Second {
    /// The time at its end, since whenever.
    pub now: Duration,
    /// Bytes that replays were handed.
    pub replayed: u64,
    /// What the hot path took: produce, tail fetch.
    pub took: [Window; 2],
}

/// Steers the share of replays.
#[derive(Debug, Default)]
pub struct ReplayShare {
    /// By how much the hot path may be slowed down, as a fraction; `None` when nobody looks.
    slowdown_max: Option<f64>,
    /// Bytes a second; `None` without a bound.
    share: Option<f64>,
    /// Whether it was cut since replays last began.
    was_cut: bool,
    calm: [Calm; 2],
    calm_at: Duration,
    /// The share to go back to when calm is measured.
    resume: Option<Option<f64>>,
    stretch: Stretch,
    last: Duration,
}

/// The 99th percentiles without a replay, in seconds, the newest first.
#[derive(Clone, Debug, Default)]
struct Calm(VecDeque<f64>);

impl Calm {
    fn note(&mut self, p99: f64) {
        self.0.truncate(CALM_LEN - 1);
        self.0.push_front(p99);
    }

    /// What is no slowing down yet; `None` when nothing is known.
    fn allows(&self, slowdown_max: f64) -> Option<f64> {
        let calm = median(self.0.iter().copied())?;
        let deviation = median(self.0.iter().map(|p99| (p99 - calm).abs()))?;
        Some(calm + (calm * slowdown_max).max(SLACK).max(2.0 * deviation))
    }
}

fn median(of: impl Iterator<Item = f64>) -> Option<f64> {
    let mut of: Vec<_> = of.collect();
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}

/// Seconds that are judged together.
#[derive(Debug, Default)]
struct Stretch {
    lasted: Duration,
    replayed: f64,
    took: [Window; 2],
    /// Whether it was begun with replays moving next to nothing.
    is_calm: bool,
}

impl Stretch {
    fn rate(&self) -> f64 {
        self.replayed / self.lasted.as_secs_f64().max(1e-3)
    }

    /// The 99th percentiles in seconds, where there are times enough.
    fn p99s(&self) -> [Option<f64>; 2] {
        let enough = |window: &Window| window.count() >= TIMES_MIN;
        let p99 = |window: &Window| window.p99().filter(|_| enough(window));
        self.took.each_ref().map(|window| p99(window).map(|p99| p99.as_secs_f64()))
    }

    fn is_over(&self) -> bool {
        let can_tell = self.p99s().iter().any(Option::is_some);
        let is_silent = self.took.iter().all(|window| window.count() == 0);
        self.lasted >= STRETCH_MAX
            || (self.lasted >= STRETCH_MIN && can_tell)
            || (self.lasted >= SILENCE && is_silent)
    }
}

impl ReplayShare {
    /// By how many percent replays may slow the hot path down; `None` gives them all there is.
    pub fn set_slowdown_max(&mut self, percent: Option<u32>) {
        if percent.is_none() {
            *self = Self { last: self.last, ..Self::default() };
        }
        self.slowdown_max = percent.map(|percent| f64::from(percent) / 100.0);
    }

    /// Takes a second in. The share from now on, in bytes a second; `None` without a bound.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below 2^63")]
    pub fn second(&mut self, second: &Second) -> Option<u64> {
        let lasted = second.now.saturating_sub(self.last);
        self.last = second.now;
        if let Some(slowdown_max) = self.slowdown_max
            && let Some(stretch) = self.stretch_over(second, lasted)
        {
            self.judge(&stretch, slowdown_max);
        }
        self.share.map(|share| share as u64)
    }

    /// Adds a second to its stretch, which it may end.
    #[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
    fn stretch_over(&mut self, second: &Second, lasted: Duration) -> Option<Stretch> {
        let replayed = second.replayed as f64;
        let is_calm = replayed <= CALM_MAX * lasted.as_secs_f64();
        let fresh = Stretch { is_calm, ..Stretch::default() };
        if is_calm != self.stretch.is_calm {
            // What comes over the border belongs to neither side.
            self.stretch = fresh;
            return None;
        }
        self.stretch.lasted += lasted;
        self.stretch.replayed += replayed;
        for (window, more) in self.stretch.took.iter_mut().zip(&second.took) {
            window.add(more);
        }
        self.stretch.is_over().then(|| std::mem::replace(&mut self.stretch, fresh))
    }

    fn judge(&mut self, stretch: &Stretch, slowdown_max: f64) {
        let (p99s, rate) = (stretch.p99s(), stretch.rate());
        let is_alone = p99s.iter().all(Option::is_none);
        if stretch.is_calm {
            self.note_calm(p99s);
        }
        if let (true, Some(share)) = (stretch.is_calm, self.resume.take()) {
            self.share = share;
        } else if is_alone {
            self.share = None;
        } else if rate <= IDLE_MAX {
            (self.share, self.was_cut) = (Some(SHARE_FIRST), false);
        } else if stretch.is_calm {
            self.raise(rate);
        } else if self.must_measure_calm(p99s) {
            self.resume = Some(self.share.or(Some(rate)));
            self.share = Some(SHARE_MIN);
        } else {
            match self.slowed_to(p99s, slowdown_max) {
                1.0.. => self.raise(rate),
                part => self.cut(rate, part),
            }
        }
    }

    fn note_calm(&mut self, p99s: [Option<f64>; 2]) {
        for (calm, p99) in self.calm.iter_mut().zip(p99s) {
            p99.into_iter().for_each(|p99| calm.note(p99));
        }
        self.calm_at = self.last;
    }

    fn must_measure_calm(&self, p99s: [Option<f64>; 2]) -> bool {
        let is_new = |(p99, calm): (&Option<f64>, &Calm)| p99.is_some() && calm.0.is_empty();
        let is_new = p99s.iter().zip(&self.calm).any(is_new);
        is_new || self.last.saturating_sub(self.calm_at) >= CALM_AGE_MAX
    }

    /// What calm allows over what the hot path takes: below 1 it is slowed down.
    fn slowed_to(&self, p99s: [Option<f64>; 2], slowdown_max: f64) -> f64 {
        let parts = p99s
            .iter()
            .zip(&self.calm)
            .filter_map(|(p99, calm)| Some(calm.allows(slowdown_max)? / (*p99)?));
        parts.fold(1.0, f64::min)
    }

    fn cut(&mut self, rate: f64, part: f64) {
        let moved = self.share.map_or(rate, |share| share.min(rate));
        self.share = Some((moved * part.clamp(CUT.0, CUT.1)).max(SHARE_MIN));
        self.was_cut = true;
    }

    fn raise(&mut self, rate: f64) {
        let Some(share) = self.share else { return };
        let binds = share < 2.0 * rate;
        let gain = if self.was_cut { (GAIN * share).max(GAIN_MIN) } else { share };
        self.share = binds.then_some(share + gain);
    }
}

#[cfg(test)]
mod tests {
    use super::super::latency::Recent;
    use super::*;

    const MB: u64 = 1_000_000;

    /// A machine whose hot path slows down with what a replay moves.
    struct Machine {
        share: ReplayShare,
        now: u64,
        /// What the replay would move, in bytes a second.
        replay: u64,
        /// Produce requests a second.
        produces: u32,
        /// What they take without a replay, in microseconds.
        calm_us: u64,
        /// Beyond so many bytes a second the hot path takes twice as long, or more.
        room: u64,
        bound: Option<u64>,
        /// By how much that varies from second to second, in percent.
        varies: u64,
        /// The slowest second and what was replayed, of those that were asked for.
        worst_us: u64,
        replayed: u64,
    }

    impl Machine {
        fn new(replay: u64, room: u64) -> Self {
            let mut share = ReplayShare::default();
            share.set_slowdown_max(Some(20));
            Self {
                share,
                now: 0,
                replay,
                produces: 1000,
                calm_us: 2000,
                room,
                bound: None,
                varies: 0,
                worst_us: 0,
                replayed: 0,
            }
        }

        fn run(&mut self, seconds: u64) {
            (self.worst_us, self.replayed) = (0, 0);
            for _ in 0..seconds {
                self.now += 1;
                let moved = self.bound.map_or(self.replay, |bound| self.replay.min(bound));
                let beyond = moved.saturating_sub(self.room);
                let varied = 100 + self.now * 7919 % 101 * self.varies / 100;
                let took = (self.calm_us + self.calm_us * beyond / self.room) * varied / 100;
                let recent = Recent::default();
                for _ in 0..self.produces {
                    recent.note(Duration::from_micros(took));
                }
                let now = Duration::from_secs(self.now);
                let took_all = [recent.take(), Window::default()];
                self.bound = self.share.second(&Second { now, replayed: moved, took: took_all });
                self.worst_us = self.worst_us.max(took);
                self.replayed += moved;
            }
        }

        fn rate(&self, seconds: u64) -> u64 {
            self.replayed / seconds
        }
    }

    #[test]
    fn a_replay_that_slows_producers_down_is_brought_to_what_they_leave() {
        let mut machine = Machine::new(0, 100 * MB);
        machine.run(10);
        machine.replay = 800 * MB;
        machine.run(30);
        machine.run(200);
        // 20 % above calm is reached at 120 MB/s.
        let rate = machine.rate(200);
        assert!((80 * MB..130 * MB).contains(&rate), "{rate} bytes a second");
        assert!(machine.worst_us <= machine.calm_us * 14 / 10, "{} µs", machine.worst_us);
    }

    #[test]
    fn a_replay_that_nobody_feels_has_all_there_is() {
        let mut machine = Machine::new(0, 1000 * MB);
        machine.run(10);
        machine.replay = 800 * MB;
        machine.run(20);
        assert!(machine.rate(20) > 400 * MB, "{} bytes a second", machine.rate(20));
        machine.run(250);
        assert_eq!((machine.bound, machine.rate(250)), (None, 800 * MB));
    }

    #[test]
    fn a_replay_begins_cautiously_while_others_work() {
        let mut machine = Machine::new(0, 100 * MB);
        machine.run(10);
        machine.replay = 800 * MB;
        machine.run(1);
        assert!(machine.rate(1) < 40 * MB, "{} bytes a second", machine.rate(1));
    }

    #[test]
    fn a_replay_without_anybody_beside_it_has_all_there_is() {
        let mut machine = Machine::new(800 * MB, 10 * MB);
        machine.produces = 3;
        machine.run(600);
        assert_eq!((machine.bound, machine.rate(600)), (None, 800 * MB));
    }

    #[test]
    fn a_replay_that_was_there_first_stands_back_for_a_moment_to_let_calm_be_measured() {
        let mut machine = Machine::new(800 * MB, 100 * MB);
        machine.run(60);
        machine.run(100);
        let rate = machine.rate(100);
        assert!((80 * MB..130 * MB).contains(&rate), "{rate} bytes a second");
    }

    #[test]
    fn a_hot_path_that_became_slow_by_itself_is_not_held_against_the_replay() {
        let mut machine = Machine::new(0, 200 * MB);
        machine.run(10);
        machine.replay = 150 * MB;
        machine.run(60);
        assert_eq!(machine.bound, None);
        machine.calm_us *= 10;
        machine.run(60);
        machine.run(200);
        let rate = machine.rate(200);
        assert!(rate > 120 * MB, "{rate} bytes a second");
    }

    #[test]
    fn a_hot_path_that_varies_by_itself_is_not_held_against_the_replay() {
        let mut machine = Machine::new(0, 1000 * MB);
        machine.varies = 80;
        machine.run(60);
        machine.replay = 800 * MB;
        machine.run(30);
        machine.run(200);
        assert!(machine.rate(200) > 600 * MB, "{} bytes a second", machine.rate(200));
    }

    #[test]
    fn a_load_in_bulk_is_not_taken_for_calm() {
        let mut machine = Machine::new(0, 100 * MB);
        machine.calm_us = 65_000;
        machine.run(30);
        machine.calm_us = 2000;
        machine.run(10);
        machine.replay = 800 * MB;
        machine.run(30);
        machine.run(60);
        let rate = machine.rate(60);
        assert!((80 * MB..130 * MB).contains(&rate), "{rate} bytes a second");
    }

    #[test]
    fn when_producers_leave_the_replay_is_let_go() {
        let mut machine = Machine::new(0, 20 * MB);
        machine.run(10);
        machine.replay = 800 * MB;
        machine.run(60);
        assert!(machine.bound.is_some_and(|bound| bound < 40 * MB));
        machine.produces = 0;
        machine.run(3);
        assert_eq!(machine.bound, None, "after three seconds");
    }

    #[test]
    fn turned_off_it_bounds_nothing() {
        let mut machine = Machine::new(800 * MB, MB);
        machine.run(60);
        assert!(machine.bound.is_some());
        machine.share.set_slowdown_max(None);
        machine.run(60);
        assert_eq!((machine.bound, machine.rate(60) > 780 * MB), (None, true));
    }
}

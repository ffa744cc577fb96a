//! A circuit breaker: a store that does not answer is left alone for a while.
//!
//! ```text
//! closed --FAILURES in a row--> open --its pause is over--> one call tries --it fails--> open, longer
//!    ^                                                            |
//!    +------------------- any call is answered -------------------+
//! ```
//! Pure: it is told what happens and when, and does nothing by itself. Only failures of the store
//! as such count (busy, out of reach, no answer in time). A store that says no answers.
//!
//! Invariant: while open, at most one call for each pause reaches the store; a trial that is slow or
//! was dropped does not keep the next one from trying.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, Dice};

/// Failures in a row, without any answer between them, that open the circuit.
const FAILURES: u32 = 5;
/// Between the trials while it is open.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
/// A trial that takes longer lets another one go beside it: it may be a long upload.
const TRIAL: Duration = Duration::from_secs(5);

/// Whether the store is asked at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// It is.
    Answering,
    /// It failed again and again, and is asked only now and then whether it is back.
    LeftAlone {
        /// For how long by now.
        since: Duration,
        /// Until it is tried next; zero when the next call does, or one is trying now.
        next_try: Duration,
        /// Calls that were not made meanwhile.
        held_back: u64,
        /// The failure that was one too many.
        error: String,
    },
}

#[derive(Debug)]
struct Open {
    opened: Instant,
    try_at: Instant,
    /// Trials that failed, and the failures that opened it, which count as one.
    failed_trials: u32,
    held_back: u64,
    error: String,
}

/// A call that may be made; how it went is told to [`Circuit::answered`] or [`Circuit::failed`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    trial: bool,
}

impl Admitted {
    /// For what goes on with a call that was answered before.
    pub(super) fn before() -> Self {
        Self { trial: false }
    }
}

/// The circuit closed: the store is back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// How long it was open.
    pub(super) after: Duration,
    /// Calls that were not made meanwhile.
    pub(super) held_back: u64,
}

#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    open: Option<Open>,
}

impl Circuit {
    /// Whether a call may be made; else how long until the next trial.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Admitted, Duration> {
        let Some(open) = &mut self.open else { return Ok(Admitted { trial: false }) };
        if now < open.try_at {
            open.held_back += 1;
            return Err(open.try_at - now);
        }
        open.try_at = now + PAUSES.whole(open.failed_trials).max(TRIAL);
        Ok(Admitted { trial: true })
    }

    /// The store answered, whatever it said.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Closed> {
        self.failures = 0;
        let open = self.open.take()?;
        Some(Closed { after: now - open.opened, held_back: open.held_back })
    }

    /// The store failed. Whether this opened the circuit. The dice spread the trials of many.
    pub(super) fn failed(
        &mut self,
        admitted: Admitted,
        now: Instant,
        dice: Dice,
        error: impl FnOnce() -> String,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            Some(open) if admitted.trial => {
                open.failed_trials = open.failed_trials.saturating_add(1);
                open.try_at = now + PAUSES.spread(open.failed_trials, dice);
                false
            }
            // Begun before the circuit opened: that it fails is no news.
            Some(_) => false,
            None if self.failures < FAILURES => false,
            None => {
                let try_at = now + PAUSES.spread(1, dice);
                let (failed_trials, held_back, error) = (1, 0, error());
                self.open = Some(Open { opened: now, try_at, failed_trials, held_back, error });
                true
            }
        }
    }

    /// The call was dropped before it ended: another one may try.
    pub(super) fn dropped(&mut self, admitted: Admitted, now: Instant) {
        if let Some(open) = &mut self.open
            && admitted.trial
        {
            open.try_at = open.try_at.min(now);
        }
    }

    pub(super) fn state(&self, now: Instant) -> StoreState {
        match &self.open {
            None => StoreState::Answering,
            Some(open) => StoreState::LeftAlone {
                since: now - open.opened,
                next_try: open.try_at.saturating_duration_since(now),
                held_back: open.held_back,
                error: open.error.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A circuit and the moment that it lives in.
    struct Life {
        circuit: Circuit,
        now: Instant,
    }

    impl Life {
        fn new() -> Self {
            Self { circuit: Circuit::default(), now: Instant::now() }
        }

        fn opened() -> Self {
            let mut life = Self::new();
            for _ in 0..FAILURES {
                life.fail();
            }
            life
        }

        fn admit(&mut self) -> Result<Admitted, Duration> {
            self.circuit.admit(self.now)
        }

        fn fail(&mut self) -> bool {
            let admitted = self.admit().unwrap();
            self.circuit.failed(admitted, self.now, Dice::NOTHING, || "down".into())
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_an_answer_between_them_does_not_let_them() {
        let mut life = Life::new();
        for _ in 0..3 {
            (1..FAILURES).for_each(|_| assert!(!life.fail()));
            assert_eq!(life.circuit.answered(life.now), None, "it was never open");
        }
        (1..FAILURES).for_each(|_| assert!(!life.fail()));
        assert!(life.fail(), "told once");
        assert_eq!(life.admit(), Err(SECOND));
    }

    #[test]
    fn one_call_tries_after_each_pause_and_the_pauses_grow_to_their_bound() {
        let mut life = Life::opened();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let pause = life.admit().unwrap_err();
            pauses.push(pause.as_secs());
            life.now += pause;
            assert!(!life.fail(), "an open circuit is not told again");
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn while_one_tries_the_others_are_held_back_unless_it_is_slow() {
        let mut life = Life::opened();
        life.now += SECOND;
        let slow = life.admit().unwrap();
        assert_eq!(life.admit(), Err(TRIAL));
        life.now += TRIAL;
        let other = life.admit().unwrap();
        assert_eq!(other, Admitted { trial: true });
        let closed = life.circuit.answered(life.now).unwrap();
        assert_eq!(closed, Closed { after: SECOND + TRIAL, held_back: 1 });
        assert!(!life.circuit.failed(slow, life.now, Dice::NOTHING, || "late".into()));
        assert_eq!(life.circuit.state(life.now), StoreState::Answering);
    }

    #[test]
    fn a_trial_that_is_dropped_leaves_its_turn_to_the_next_call() {
        let mut life = Life::opened();
        life.now += SECOND;
        let trial = life.admit().unwrap();
        life.circuit.dropped(trial, life.now);
        assert!(life.admit().is_ok());
    }

    #[test]
    fn what_began_before_it_opened_neither_lengthens_a_pause_nor_opens_it_again() {
        let mut life = Life::new();
        let early: Vec<_> = (0..20).map(|_| life.admit().unwrap()).collect();
        let told = early
            .into_iter()
            .map(|admitted| life.circuit.failed(admitted, life.now, Dice::ALL, String::new))
            .filter(|opened| *opened);
        assert_eq!(told.count(), 1);
        assert_eq!(life.admit(), Err(SECOND * 3 / 4));
    }

    #[test]
    fn a_late_answer_of_a_call_from_before_closes_it() {
        let mut life = Life::opened();
        assert!(life.circuit.answered(life.now).is_some());
        assert!(life.admit().is_ok());
    }

    #[test]
    fn its_state_tells_for_how_long_and_how_many_were_held_back() {
        let mut life = Life::opened();
        life.admit().unwrap_err();
        life.now += SECOND / 2;
        let expected = StoreState::LeftAlone {
            since: SECOND / 2,
            next_try: SECOND / 2,
            held_back: 1,
            error: "down".into(),
        };
        assert_eq!(life.circuit.state(life.now), expected);
    }
}

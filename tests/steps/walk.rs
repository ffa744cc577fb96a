//! From step to step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::broker::Death;
use super::life::live;

/// Deaths of the ordinary run.
const SAMPLE: usize = 40;
/// Lives at a time: they mostly wait for the disk and for each other's turn.
const LIVES_AT_ONCE: usize = 2;
/// Every so-many-th life dies again after its death.
const AGAIN_EVERY: usize = 3;
/// About as many steps as a start after a death takes, with the collection and the end.
const STEPS_AFTER: usize = 240;

#[test]
fn whatever_was_acked_survives_a_death_at_any_step_and_nothing_else_is_left() {
    let steps = live(Death::Never, None).steps;
    let every = number("ICECORE_STEPS_EVERY").unwrap_or(steps.len() / SAMPLE).max(1);
    let from = number("ICECORE_STEPS_FROM").unwrap_or_else(any) % every;
    let deaths: Vec<_> = (0..steps.len()).skip(from).step_by(every).collect();
    println!(
        "{} steps, {} deaths: ICECORE_STEPS_EVERY={every} ICECORE_STEPS_FROM={from}",
        steps.len(),
        deaths.len()
    );
    let (next, walked) = (AtomicUsize::new(0), Mutex::new(Walked::default()));
    std::thread::scope(|scope| {
        for _ in 0..LIVES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&at) = deaths.get(place) else { return };
                    // Of the few hundred steps after a death, another one each time.
                    let again = (place % AGAIN_EVERY == 0).then_some(at * 7 % STEPS_AFTER);
                    die(at, &steps[at], again, &walked);
                }
            });
        }
    });
    let walked = walked.into_inner();
    println!(
        "{} died there, {} of them once more after it; {} never came there; {} findings",
        walked.died,
        walked.died_again,
        walked.not_reached,
        walked.findings.len()
    );
    assert!(walked.findings.is_empty(), "{:#?}", walked.findings);
    assert!(walked.died * 2 > deaths.len(), "most lives reach the step that they are to die at");
}

/// What came of the deaths.
#[derive(Default)]
struct Walked {
    died: usize,
    /// In the life after it as well.
    died_again: usize,
    /// Of steps that depend on who was faster.
    not_reached: usize,
    findings: Vec<String>,
}

fn die(at: usize, (step, nth): &(String, usize), again: Option<usize>, walked: &Mutex<Walked>) {
    let lived = catch_unwind(AssertUnwindSafe(|| live(Death::At(step.clone(), *nth), again)));
    let mut walked = walked.lock();
    match lived {
        Ok(lived) => {
            walked.died += usize::from(lived.died_at.is_some());
            walked.not_reached += usize::from(lived.died_at.is_none());
            walked.died_again += usize::from(lived.died_again_at.is_some());
        }
        Err(panic) => {
            let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            walked.findings.push(format!("step {at}: {step} ({nth}), again {again:?}: {why}"));
        }
    }
}

/// A number that may be given.
fn number(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Another one in each run.
fn any() -> usize {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a time after 1970");
    now.subsec_nanos() as usize / 1000
}

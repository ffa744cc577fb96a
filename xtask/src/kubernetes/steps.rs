//! What was tried, told as it happens, each step with its time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(250);

/// A run: it ends with the first step that fails.
pub(super) struct Steps {
    began: Instant,
    passed: Cell<usize>,
}

impl Steps {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), passed: Cell::new(0) }
    }

    /// Begins a part of the run.
    pub(super) fn part(&self, what: &str) {
        println!("\n{what} ({} s)", self.began.elapsed().as_secs());
    }

    /// Does one thing, and tells how long it took.
    pub(super) fn step<T>(&self, what: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let done = act().with_context(|| format!("FAILED  {what}"))?;
        println!("  ok    {what} ({:.1} s)", began.elapsed().as_secs_f64());
        self.passed.set(self.passed.get() + 1);
        Ok(done)
    }

    /// The same, with something to tell of what came of it.
    pub(super) fn tell(&self, what: &str, act: impl FnOnce() -> Result<String>) -> Result<()> {
        let told = self.step(what, act)?;
        told.lines().for_each(|line| println!("        {line}"));
        Ok(())
    }

    /// Says how it ended.
    pub(super) fn end(&self) {
        let (passed, seconds) = (self.passed.get(), self.began.elapsed().as_secs());
        println!("\n{passed} steps passed in {seconds} s");
    }
}

/// Waits until `holds`; an error of it counts as "not yet", and is told when time is up.
pub(super) fn eventually(
    patience: Duration,
    what: &str,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let began = Instant::now();
    loop {
        let looked = holds();
        if matches!(looked, Ok(true)) {
            return Ok(());
        }
        if began.elapsed() > patience {
            looked.with_context(|| format!("{what} did not come within {patience:?}"))?;
            bail!("{what} did not come within {patience:?}");
        }
        std::thread::sleep(LOOK);
    }
}

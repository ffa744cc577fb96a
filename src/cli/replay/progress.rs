//! How far a job is: a bar on a terminal, else a line every few seconds. On standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const BAR_INTERVAL: Duration = Duration::from_millis(100);
const LINE_INTERVAL: Duration = Duration::from_secs(5);
const BAR: &str = "{prefix} {bar:30.cyan/blue} {percent:>3}% {wide_msg} {eta_precise}";

/// Shows how much of `total` is done.
pub(super) struct Progress {
    what: &'static str,
    total: u64,
    /// Where it was when this process began.
    first: u64,
    began: Instant,
    shown: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For so much of whatever is counted.
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let style = ProgressStyle::with_template(BAR)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("█▌ ");
        let bar = || ProgressBar::new(total).with_style(style).with_prefix(what);
        let bar = std::io::stderr().is_terminal().then(bar);
        Self { what, total, first: 0, began: Instant::now(), shown: None, bar }
    }

    /// So much was done before: it took no time of this process.
    pub(super) fn begin_at(&mut self, done: u64) {
        (self.first, self.began) = (done, Instant::now());
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.reset_eta();
        }
    }

    /// So much is done, in all; `told` says more, and is asked only when it is shown.
    pub(super) fn update(&mut self, done: u64, told: impl FnOnce() -> String) {
        let interval = if self.bar.is_some() { BAR_INTERVAL } else { LINE_INTERVAL };
        if self.shown.is_some_and(|shown| shown.elapsed() < interval) {
            return;
        }
        let is_first = self.shown.replace(Instant::now()).is_none();
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(told());
            }
            None if is_first => {}
            None => {
                eprintln!("{} {}%, {}{}", self.what, self.percent(done), told(), self.left(done))
            }
        }
    }

    fn percent(&self, done: u64) -> u64 {
        done.saturating_mul(100).checked_div(self.total).unwrap_or(100)
    }

    fn left(&self, done: u64) -> String {
        let (mine, left) = (done.saturating_sub(self.first), self.total.saturating_sub(done));
        if mine == 0 {
            return String::new();
        }
        let seconds = self.began.elapsed().as_secs_f64() * left as f64 / mine as f64;
        let left = Duration::from_secs(seconds.clamp(0.0, 1e15) as u64);
        format!(", {} to go", humantime::format_duration(left))
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

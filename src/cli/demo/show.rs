//! How the tiers fill: bars on a terminal, else a line a second.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::output;
use crate::http::PartitionStatus;

const LINE_INTERVAL: Duration = Duration::from_secs(1);
const BAR: &str = "  {prefix:<15}{bar:40.cyan/blue} {binary_bytes:>11}{msg}";

/// Bytes in each place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    produced: u64,
    stored: u64,
    local: u64,
}

impl Progress {
    pub(super) fn of(produced: u64, partitions: &[PartitionStatus]) -> Self {
        Self {
            produced,
            stored: partitions.iter().map(|partition| partition.remote.bytes).sum(),
            local: partitions.iter().map(|partition| partition.local.bytes).sum(),
        }
    }
}

/// Shows it on standard error.
pub(super) enum Show {
    Bars([ProgressBar; 4]),
    Lines { last: Instant },
}

impl Show {
    /// For `total` bytes.
    pub(super) fn new(total: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: Instant::now() };
        }
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template(BAR)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("█▌ ");
        let bar = |prefix: &'static str| {
            let bar = ProgressBar::new(total).with_style(style.clone()).with_prefix(prefix);
            all.add(bar)
        };
        let bars = [bar("produced"), bar("object store"), bar("local disk"), bar("replayed")];
        Self::Bars(bars)
    }

    /// Where the bytes are now.
    pub(super) fn update(&mut self, progress: Progress) {
        let Progress { produced, stored, local } = progress;
        match self {
            Self::Bars([of_produced, of_stored, of_local, _]) => {
                of_produced.set_position(produced);
                of_stored.set_position(stored);
                of_local.set_position(local);
            }
            Self::Lines { last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                eprintln!(
                    "produced {}, in the object store {}, on the local disk {}",
                    output::bytes(produced),
                    output::bytes(stored),
                    output::bytes(local),
                );
            }
            Self::Lines { .. } => {}
        }
    }

    /// How much came back so far.
    pub(super) fn replayed(&mut self, bytes: u64) {
        match self {
            Self::Bars([.., replayed]) => replayed.set_position(bytes),
            Self::Lines { last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                eprintln!("replayed {}", output::bytes(bytes));
            }
            Self::Lines { .. } => {}
        }
    }

    /// Leaves the last state on the screen.
    pub(super) fn finish(&mut self) {
        if let Self::Bars(bars) = self {
            bars.iter().for_each(ProgressBar::abandon);
        }
    }
}

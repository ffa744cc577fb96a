//! Measured numbers, by name.

use super::client::{Latency, Run};

/// One measured number.
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) value: f64,
}

pub(super) fn figure(name: &str, unit: &'static str, value: f64) -> Figure {
    Figure { name: name.to_owned(), unit, value }
}

pub(super) fn of_run(name: &str, run: &Run) -> [Figure; 2] {
    [
        figure(name, "MB/s", run.mb_per_s),
        figure(&format!("{name}, broker CPU"), "s/GiB", run.cpu_s_per_gib),
    ]
}

pub(super) fn of_latency(name: &str, latency: &Latency) -> [Figure; 2] {
    [
        figure(&format!("{name}, p50"), "ms", latency.p50),
        figure(&format!("{name}, p99"), "ms", latency.p99),
    ]
}

//! The process itself, read from the kernel at each scrape, under the names that every
//! Prometheus client library uses. What cannot be read is left out.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};

#[derive(Debug)]
pub(super) struct Process;

/// In the order in which they are shown.
pub(super) const METRICS: [(&str, MetricType, &str); 5] = [
    ("process_cpu_seconds", MetricType::Counter, "User and system time"),
    ("process_resident_memory_bytes", MetricType::Gauge, "Resident set"),
    ("process_open_fds", MetricType::Gauge, "Open files"),
    ("process_max_fds", MetricType::Gauge, "Files that may be open"),
    ("process_start_time_seconds", MetricType::Gauge, "When it began, in seconds since 1970"),
];

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let stat = Stat::read();
        let open = fs::read_dir("/proc/self/fd").ok();
        let open = open.map(|open| i64::try_from(open.count()).unwrap_or(i64::MAX));
        let max = getrlimit(Resource::Nofile).current;
        let max = max.map(|max| i64::try_from(max).unwrap_or(i64::MAX));
        let began = stat.as_ref().and_then(|stat| Some(boot_seconds()? + stat.started_seconds));
        let values = [
            stat.as_ref().map(|stat| stat.cpu_seconds),
            stat.as_ref().map(|stat| stat.resident_bytes as f64),
            open.map(|open| open as f64),
            max.map(|max| max as f64),
            began,
        ];
        for ((name, kind, help), value) in METRICS.into_iter().zip(values) {
            let Some(value) = value else { continue };
            let line = encoder.encode_descriptor(name, help, None, kind)?;
            match kind {
                MetricType::Counter => ConstCounter::new(value).encode(line)?,
                _ => ConstGauge::new(value).encode(line)?,
            }
        }
        Ok(())
    }
}

/// When the machine was started, in seconds since 1970.
fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

struct Stat {
    cpu_seconds: f64,
    resident_bytes: i64,
    /// Since the machine was started.
    started_seconds: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The fields after the command's closing parenthesis, counted as in proc(5): utime is 14,
    /// stime 15, starttime 22, rss 24.
    fn parse(line: &str) -> Option<Self> {
        let (_, after) = line.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks_per_second,
            resident_bytes: (field(24)? * rustix::param::page_size() as f64) as i64,
            started_seconds: field(22)? / ticks_per_second,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn this_process_has_memory_and_a_name_with_parentheses_does_not_confuse() {
        assert!(Stat::read().unwrap().resident_bytes > 1 << 20);
        let line = "1 (a) b) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 5 4096000 100 1 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat.cpu_seconds, 300.0 / rustix::param::clock_ticks_per_second() as f64);
        assert_eq!(stat.resident_bytes, 100 * rustix::param::page_size() as i64);
        assert!(Stat::parse("1 (a) S 1").is_none());
    }
}

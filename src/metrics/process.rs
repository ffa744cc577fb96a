//! The process itself, read from the kernel at each scrape, under the names that every
//! Prometheus client library uses. What cannot be read is left out.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Some(stat) = Stat::read() {
            let name = "process_cpu_seconds";
            let help = "User and system time";
            let line = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(stat.cpu_seconds).encode(line)?;
            let name = "process_resident_memory_bytes";
            let line = encoder.encode_descriptor(name, "Resident set", None, MetricType::Gauge)?;
            ConstGauge::new(stat.resident_bytes).encode(line)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let open = i64::try_from(open.count()).unwrap_or(i64::MAX);
            let name = "process_open_fds";
            let line = encoder.encode_descriptor(name, "Open files", None, MetricType::Gauge)?;
            ConstGauge::new(open).encode(line)?;
        }
        Ok(())
    }
}

struct Stat {
    cpu_seconds: f64,
    resident_bytes: i64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The fields after the command's closing parenthesis, counted as in proc(5): utime is 14,
    /// stime 15, rss 24.
    fn parse(line: &str) -> Option<Self> {
        let (_, after) = line.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks_per_second,
            resident_bytes: (field(24)? * rustix::param::page_size() as f64) as i64,
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

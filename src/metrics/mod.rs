//! Counters, gauges and histograms, as typed handles.
//!
//! Whoever counts holds a handle: no name is looked up and nothing is hashed on a hot path. Every
//! label has a bounded set of values: API keys and error codes are the protocol's, topics beyond
//! [`TopicMetrics::TOPICS_MAX`] share one line, readers beyond [`ReplayMetrics::READERS_MAX`] and
//! groups' partitions beyond [`GroupMetrics::LAGS_MAX`] have none.
//!
//! Names follow the usual export of Kafka's MBeans where dashboards know one, so that they keep
//! working; what Kafka does not have is called `icecore_...`. Counters end in `_total` when shown.
//! `docs/METRICS.md` lists them all; it is made of [`Metrics::list`].

mod broker;
mod disk;
mod groups;
mod page;
mod partitions;
mod process;
mod replays;
mod requests;
mod sockets;
mod store;
#[cfg(test)]
mod table_test;
mod tiering;
mod topics;

use prometheus_client::encoding::text;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub use broker::BrokerMetrics;
pub use disk::DiskMetrics;
pub use groups::{GroupMetrics, GroupState, LagLabels};
pub use page::Listed;
pub use partitions::{PartitionCounts, PartitionMetrics, TopicSizes};
pub use prometheus_client::metrics::counter::Counter;
pub use replays::{ReaderAt, ReaderLabels, ReplayMetrics};
pub use requests::{ApiMetrics, Delayed, RequestMetrics, Waits};
pub use sockets::SocketMetrics;
pub use store::{StoreFailure, StoreMetrics};
pub use tiering::TieringMetrics;
pub use topics::{TopicHandle, TopicMetrics};

use page::Page;

/// Everything that one process counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    list: Vec<Listed>,
    /// The broker as a whole.
    pub broker: BrokerMetrics,
    /// Connections, frames, bytes on the wire.
    pub sockets: SocketMetrics,
    /// Requests by API.
    pub requests: RequestMetrics,
    /// Produce and fetch by topic.
    pub topics: TopicMetrics,
    /// How many partitions there are, how they are, how large.
    pub partitions: PartitionMetrics,
    /// Consumer groups.
    pub groups: GroupMetrics,
    /// The remote tier.
    pub tiering: TieringMetrics,
    /// Calls to the object store.
    pub store: StoreMetrics,
    /// Who reads the remote tier.
    pub replays: ReplayMetrics,
    /// The local disk.
    pub disk: DiskMetrics,
}

impl Metrics {
    /// All metrics at zero, registered under their names.
    #[must_use]
    pub fn new() -> Self {
        let mut page = Page::default();
        let broker = BrokerMetrics::registered(&mut page);
        let sockets = SocketMetrics::registered(&mut page);
        let requests = RequestMetrics::registered(&mut page);
        let topics = TopicMetrics::registered(&mut page);
        let partitions = PartitionMetrics::registered(&mut page);
        let groups = GroupMetrics::registered(&mut page);
        let tiering = TieringMetrics::registered(&mut page);
        let store = StoreMetrics::registered(&mut page);
        let replays = ReplayMetrics::registered(&mut page);
        let disk = DiskMetrics::registered(&mut page);
        page.collector(Box::new(process::Process), &process::METRICS);
        let Page { registry, list } = page;
        Self {
            registry,
            list,
            broker,
            sockets,
            requests,
            topics,
            partitions,
            groups,
            tiering,
            store,
            replays,
            disk,
        }
    }

    /// Every metric that can stand on the page.
    #[must_use]
    pub fn list(&self) -> &[Listed] {
        &self.list
    }

    /// The OpenMetrics text of this moment.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        // Writing into a String cannot fail; a collector of ours that did would show an empty page.
        match text::encode(&mut page, &self.registry) {
            Ok(()) => page,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be encoded");
                String::new()
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// 50 µs to about 26 s in steps of two.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(50e-6, 2.0, 20))
}

/// A number for a gauge.
fn gauged(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn a_fresh_page_has_kafkas_names_and_ends_as_open_metrics_asks() {
        let page = Metrics::new().encode();
        for name in [
            "kafka_server_brokertopicmetrics_remotecopybytes_total 0",
            "kafka_server_socket_server_metrics_connection_count 0",
            "icecore_sendfile_bytes_total 0",
            "process_resident_memory_bytes",
        ] {
            assert!(page.contains(name), "{name} is missing in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }
}

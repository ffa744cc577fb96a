//! Counters, gauges and histograms, as typed handles.
//!
//! Whoever counts holds a handle: no name is looked up and nothing is hashed on a hot path. Every
//! label has a bounded set of values: API keys and error codes are the protocol's, topics beyond
//! [`TopicMetrics::TOPICS_MAX`] share one line, readers beyond [`ReplayMetrics::READERS_MAX`] have none.
//!
//! Names follow the usual export of Kafka's MBeans where dashboards know one, so that they keep
//! working; what Kafka does not have is called `icecore_...`. Counters end in `_total` when shown.
//!
//! | name | labels | Kafka's MBean |
//! |---|---|---|
//! | `kafka_server_brokertopicmetrics_{bytesin,bytesout,messagesin,totalproducerequests,totalfetchrequests,failedproducerequests,failedfetchrequests}_total` | `topic` | `kafka.server:type=BrokerTopicMetrics` |
//! | `kafka_server_brokertopicmetrics_remote{fetchbytes,fetchrequests,fetcherrors,copybytes,copyrequests,copyerrors,deleterequests,deleteerrors}_total` | | the same (KIP-405) |
//! | `kafka_server_brokertopicmetrics_remote{copylagbytes,copylagsegments,deletelagbytes,deletelagsegments,logsizebytes,logmetadatacount}` | | the same (KIP-405, KIP-963) |
//! | `kafka_network_requestmetrics_requests_total` | `request` | `kafka.network:type=RequestMetrics,name=RequestsPerSec` |
//! | `kafka_network_requestmetrics_errors_total` | `request`, `error` | `...,name=ErrorsPerSec` |
//! | `kafka_server_socket_server_metrics_connection_count` | | `kafka.server:type=socket-server-metrics` |
//! | `kafka_server_socket_server_metrics_connection_{creation,close}_total` | close: `reason` | the same |
//! | `icecore_request_seconds` | `request` | (`TotalTimeMs`, which is quantiles there) |
//! | `icecore_connections_refused_total` | | |
//! | `icecore_network_{received,sent}_bytes_total`, `icecore_sendfile_bytes_total`, `icecore_file_copied_bytes_total` | | |
//! | `icecore_cold_reads_total`, `icecore_cold_read_bytes_total`, `icecore_cold_read_seconds`, `icecore_cold_reads_waiting` | | |
//! | `icecore_request_memory_bytes`, `icecore_request_memory_waits_total` | | |
//! | `icecore_cache_{hits,misses,fills,evictions,wrong_chunks}_total`, `icecore_cache_bytes` | | |
//! | `icecore_cache_{shared_hits,shared_flights,fallbacks,refused_guests}_total`, `icecore_cache_{guests,is_guest}` | | |
//! | `icecore_replay_gets_total` | `object` | |
//! | `icecore_replay_fetched_bytes_total`, `icecore_replay_readers` | | |
//! | `icecore_replay_{behind_offsets,bytes_per_second,time_seconds}` | `reader`, `topic`, `partition` | |
//! | `icecore_meta_uploads_total`, `icecore_meta_upload_failures_total`, `icecore_meta_age_seconds` | | |
//! | `icecore_view_age_seconds`, `icecore_follow_failures_total` | | |
//! | `icecore_replayed_bytes_total`, `icecore_replay_share_bytes_per_second` | | |
//! | `icecore_disk_{total,free}_bytes`, `icecore_disk_full_state` | | |
//! | `icecore_disk_refused_batches_total`, `icecore_disk_dropped_{segments,bytes}_total` | | |
//! | `process_*` | | |

mod disk;
mod process;
mod replays;
mod requests;
mod sockets;
mod tiering;
mod topics;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

pub use disk::DiskMetrics;
pub use replays::{ReaderAt, ReaderLabels, ReplayMetrics};
pub use requests::{ApiMetrics, RequestMetrics};
pub use sockets::SocketMetrics;
pub use tiering::{StoreFailure, TieringMetrics};
pub use topics::{TopicHandle, TopicMetrics};

/// Everything that one process counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Connections, frames, bytes on the wire.
    pub sockets: SocketMetrics,
    /// Requests by API.
    pub requests: RequestMetrics,
    /// Produce and fetch by topic.
    pub topics: TopicMetrics,
    /// The remote tier.
    pub tiering: TieringMetrics,
    /// Who reads it.
    pub replays: ReplayMetrics,
    /// The local disk.
    pub disk: DiskMetrics,
}

impl Metrics {
    /// All metrics at zero, registered under their names.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let sockets = SocketMetrics::registered(&mut registry);
        let requests = RequestMetrics::registered(&mut registry);
        let topics = TopicMetrics::registered(&mut registry);
        let tiering = TieringMetrics::registered(&mut registry);
        let replays = ReplayMetrics::registered(&mut registry);
        let disk = DiskMetrics::registered(&mut registry);
        registry.register_collector(Box::new(process::Process));
        Self { registry, sockets, requests, topics, tiering, replays, disk }
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

/// Registers a metric and gives its handle back.
fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    register(registry, name, help, Counter::default())
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    register(registry, name, help, Gauge::default())
}

/// 50 µs to about 26 s in steps of two.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(50e-6, 2.0, 20))
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

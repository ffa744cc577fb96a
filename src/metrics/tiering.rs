//! The remote tier. The tiering part knows nothing of this page: whoever wires it fills these.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::page::Page;

/// What happens between the disk and the object store. A clone counts into the same numbers.
#[derive(Clone, Debug)]
pub struct TieringMetrics {
    /// Bytes served from the remote tier.
    pub fetch_bytes: Counter,
    /// Reads of the remote tier.
    pub fetch_requests: Counter,
    /// Reads that failed.
    pub fetch_errors: Counter,
    /// Bytes of segments uploaded.
    pub copy_bytes: Counter,
    /// Segments that were uploaded.
    pub copy_requests: Counter,
    /// Uploads that failed.
    pub copy_errors: Counter,
    /// Segments whose deletion was tried.
    pub delete_requests: Counter,
    /// Segments whose deletion failed, and is tried again.
    pub delete_errors: Counter,
    /// Bytes that wait for their upload.
    pub copy_lag_bytes: Gauge,
    /// Segments that wait for their upload.
    pub copy_lag_segments: Gauge,
    /// For how long the oldest of them has waited.
    pub copy_lag_seconds: Gauge,
    /// Bytes of tiered partitions that only this disk has.
    pub not_uploaded_bytes: Gauge,
    /// Since when, at the earliest, this disk has such bytes.
    pub not_uploaded_age_seconds: Gauge,
    /// Partitions whose last upload or deletion failed.
    pub failing_partitions: Gauge,
    /// Bytes that wait for their deletion.
    pub delete_lag_bytes: Gauge,
    /// Segments that wait for their deletion.
    pub delete_lag_segments: Gauge,
    /// Objects and uploads without an owner that were found.
    pub garbage_found: Counter,
    /// Objects and uploads without an owner that were removed.
    pub garbage_removed: Counter,
    /// Segments whose objects were missed, without a local copy.
    pub missing_segments: Counter,
    /// Chunks that the read cache had.
    pub cache_hits: Counter,
    /// Chunks that it did not have.
    pub cache_misses: Counter,
    /// Chunks written into it.
    pub cache_fills: Counter,
    /// Chunks that it dropped to make room.
    pub cache_evictions: Counter,
    /// Chunks of an earlier run that were wrong, and dropped.
    pub cache_wrong_chunks: Counter,
    /// Chunks that another process of the machine had in the cache.
    pub cache_shared_hits: Counter,
    /// Chunks that were waited for while another process brought them.
    pub cache_shared_flights: Counter,
    /// Chunks that this process fetched or kept by itself because the cache's owner was no help.
    pub cache_fallbacks: Counter,
    /// Guests of the cache that were shown the door.
    pub cache_refused_guests: Counter,
    /// Processes that are guests of this one's cache.
    pub cache_guests: Gauge,
    /// 1 while the cache is another process's, else 0.
    pub cache_is_guest: Gauge,
    /// Bytes that it holds.
    pub cache_bytes: Gauge,
    /// Bytes that it can hold.
    pub cache_size_bytes: Gauge,
    /// Bytes of that which chunks of each class take.
    cache_class_bytes: Family<ClassLabels, Gauge>,
    /// Requests for `.index` objects that readers caused.
    pub replay_index_gets: Counter,
    /// Requests for ranges of `.log` objects that readers caused.
    pub replay_log_gets: Counter,
    /// Bytes that came in answer to both.
    pub replay_fetched_bytes: Counter,
    /// Snapshots of the cluster's metadata that were written into the bucket.
    pub meta_uploads: Counter,
    /// Snapshots that could not be written, and are tried again.
    pub meta_upload_failures: Counter,
    /// Seconds since the bucket was last known to have all of the cluster's metadata.
    pub meta_age_seconds: Gauge,
    /// Seconds since a read-only server saw all that the store has; -1 of other servers.
    pub view_age_seconds: Gauge,
    /// Looks at the store of a read-only server that failed.
    pub follow_failures: Counter,
    /// Bytes of the remote tier that readers were handed.
    pub replayed_bytes: Counter,
    /// What replays may be handed, in bytes a second; -1 without a bound.
    pub replay_share: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    object: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

impl TieringMetrics {
    /// Bytes of the cache's room that chunks of a class take.
    #[must_use]
    pub fn cache_class_bytes(&self, class: &'static str) -> Gauge {
        self.cache_class_bytes.get_or_create_owned(&ClassLabels { class })
    }

    pub(super) fn registered(page: &mut Page) -> Self {
        let p = page;
        let gets: Family<ObjectLabels, Counter> =
            p.family("icecore_replay_gets", &["object"], "GET requests that readers caused");
        let gets_of = |object| gets.get_or_create_owned(&ObjectLabels { object });
        let kafka = |name| format!("kafka_server_brokertopicmetrics_remote{name}");
        Self {
            fetch_bytes: p.counter(&kafka("fetchbytes"), "Bytes served from the remote tier"),
            fetch_requests: p.counter(&kafka("fetchrequests"), "Reads of the remote tier"),
            fetch_errors: p.counter(&kafka("fetcherrors"), "Failed reads of the remote tier"),
            copy_bytes: p.counter(&kafka("copybytes"), "Bytes of segments uploaded"),
            copy_requests: p.counter(&kafka("copyrequests"), "Segments uploaded"),
            copy_errors: p.counter(&kafka("copyerrors"), "Uploads of a segment that failed"),
            delete_requests: p
                .counter(&kafka("deleterequests"), "Segments whose remote deletion was tried"),
            delete_errors: p.counter(
                &kafka("deleteerrors"),
                "Segments whose remote deletion failed, and is tried again",
            ),
            copy_lag_bytes: p.gauge(&kafka("copylagbytes"), "Bytes waiting for upload"),
            copy_lag_segments: p.gauge(&kafka("copylagsegments"), "Segments waiting for upload"),
            copy_lag_seconds: p.gauge(
                "icecore_upload_lag_seconds",
                "For how long the oldest segment that waits for its upload has been sealed",
            ),
            not_uploaded_bytes: p.gauge(
                "icecore_not_uploaded_bytes",
                "Bytes of tiered topics that only this disk has, the active segments included: \
                 what is lost with the disk",
            ),
            not_uploaded_age_seconds: p.gauge(
                "icecore_not_uploaded_age_seconds",
                "Since when, at the earliest, this disk has records that the object store lacks",
            ),
            failing_partitions: p.gauge(
                "icecore_tiering_failing_partitions",
                "Partitions whose last upload or remote deletion failed",
            ),
            delete_lag_bytes: p
                .gauge(&kafka("deletelagbytes"), "Bytes whose remote deletion was begun"),
            delete_lag_segments: p
                .gauge(&kafka("deletelagsegments"), "Segments whose remote deletion was begun"),
            garbage_found: p.counter(
                "icecore_garbage_found",
                "Objects and unfinished uploads without an owner that a collection found",
            ),
            garbage_removed: p.counter("icecore_garbage_removed", "Those that were removed"),
            missing_segments: p.counter(
                "icecore_missing_segments",
                "Segments whose objects a collection missed, without a local copy: counted by each \
                 collection again, so that any increase means a loss",
            ),
            cache_hits: p.counter("icecore_cache_hits", "Chunks the read cache had"),
            cache_misses: p.counter("icecore_cache_misses", "Chunks the read cache lacked"),
            cache_fills: p.counter("icecore_cache_fills", "Chunks written into the cache"),
            cache_evictions: p.counter("icecore_cache_evictions", "Chunks dropped for others"),
            cache_wrong_chunks: p
                .counter("icecore_cache_wrong_chunks", "Chunks of an earlier run that were wrong"),
            cache_shared_hits: p.counter(
                "icecore_cache_shared_hits",
                "Chunks that another process of the machine had in the cache",
            ),
            cache_shared_flights: p.counter(
                "icecore_cache_shared_flights",
                "Waits for chunks that another process was bringing, and brought",
            ),
            cache_fallbacks: p.counter(
                "icecore_cache_fallbacks",
                "Chunks fetched or kept alone because the owner of the cache was no help",
            ),
            cache_refused_guests: p.counter(
                "icecore_cache_refused_guests",
                "Guests of the cache that were shown the door for what they sent",
            ),
            cache_guests: p
                .gauge("icecore_cache_guests", "Processes that are guests of this one's cache"),
            cache_is_guest: p
                .gauge("icecore_cache_is_guest", "1 while the cache is another process's"),
            cache_bytes: p.gauge("icecore_cache_bytes", "Bytes the cache holds"),
            cache_size_bytes: p.gauge("icecore_cache_size_bytes", "Bytes the cache can hold"),
            cache_class_bytes: p.family(
                "icecore_cache_class_bytes",
                &["class"],
                "Bytes of the cache's room that chunks take which stand as tiering.cache.class says; \
                 normal has those of keep beyond its part as well",
            ),
            replay_index_gets: gets_of("index"),
            replay_log_gets: gets_of("log"),
            replay_fetched_bytes: p.counter(
                "icecore_replay_fetched_bytes",
                "Bytes fetched from the object store for readers",
            ),
            replayed_bytes: p
                .counter("icecore_replayed_bytes", "Bytes of the remote tier handed to readers"),
            replay_share: p.gauge(
                "icecore_replay_share_bytes_per_second",
                "What replays may be handed while others work; -1 without a bound",
            ),
            meta_uploads: p.counter("icecore_meta_uploads", "Metadata snapshots uploaded"),
            meta_upload_failures: p.counter(
                "icecore_meta_upload_failures",
                "Metadata snapshots that could not be uploaded",
            ),
            meta_age_seconds: p
                .gauge("icecore_meta_age_seconds", "Seconds since the bucket had all metadata"),
            view_age_seconds: p.gauge(
                "icecore_view_age_seconds",
                "Seconds since a read-only server saw all that the store has; -1 of other servers",
            ),
            follow_failures: p.counter(
                "icecore_follow_failures",
                "Looks at the store of a read-only server that failed",
            ),
        }
    }
}

//! The remote tier. The tiering part knows nothing of this page: whoever wires it fills these.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{counter, gauge, register};

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
    /// Segments of which the upload was begun.
    pub copy_requests: Counter,
    /// Uploads that failed.
    pub copy_errors: Counter,
    /// Segments of which the deletion was begun.
    pub delete_requests: Counter,
    /// Deletions that failed.
    pub delete_errors: Counter,
    /// Bytes that wait for their upload.
    pub copy_lag_bytes: Gauge,
    /// Segments that wait for their upload.
    pub copy_lag_segments: Gauge,
    /// Bytes that wait for their deletion.
    pub delete_lag_bytes: Gauge,
    /// Segments that wait for their deletion.
    pub delete_lag_segments: Gauge,
    /// Bytes in the remote tier.
    pub log_size_bytes: Gauge,
    /// Segments that the manifest knows.
    pub metadata_count: Gauge,
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
    /// Answers of the store that asked for a pause, which it was given.
    pub store_throttled: Counter,
    /// Times that the store failed so often in a row that it was left alone.
    pub store_left_alone: Counter,
    /// Calls to the store that were not made because of that.
    pub store_held_back: Counter,
    /// Calls to the store that took more than half of the time that they may take.
    pub store_slow: Counter,
    /// Objects that a list of the store left out.
    pub store_unlisted: Counter,
    /// 1 while the store is left alone, else 0.
    pub store_is_left_alone: Gauge,
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
    store_failures: Family<FailureLabels, Counter>,
}

/// How a call to the store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailure {
    /// Overloaded, or out of reach.
    Busy,
    /// No answer in time.
    TimedOut,
    /// The credentials do not allow it.
    Denied,
    /// It refused the request for good.
    Refused,
    /// A success whose bytes were short or wrong.
    WrongBytes,
}

impl StoreFailure {
    const fn label(self) -> FailureLabels {
        let kind = match self {
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::WrongBytes => "wrong_bytes",
        };
        FailureLabels { kind }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    object: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: &'static str,
}

impl TieringMetrics {
    /// Handles that no page shows.
    #[must_use]
    pub fn unregistered() -> Self {
        Self::registered(&mut Registry::default())
    }

    /// The counter of calls to the store that failed in one way.
    #[must_use]
    pub fn store_failures(&self, kind: StoreFailure) -> Counter {
        self.store_failures.get_or_create_owned(&kind.label())
    }

    pub(super) fn registered(registry: &mut Registry) -> Self {
        let r = registry;
        let gets: Family<ObjectLabels, Counter> = register(
            r,
            "icecore_replay_gets",
            "GET requests that readers caused",
            Family::default(),
        );
        let gets_of = |object| gets.get_or_create_owned(&ObjectLabels { object });
        let kafka = |name| format!("kafka_server_brokertopicmetrics_remote{name}");
        Self {
            fetch_bytes: counter(r, &kafka("fetchbytes"), "Bytes served from the remote tier"),
            fetch_requests: counter(r, &kafka("fetchrequests"), "Reads of the remote tier"),
            fetch_errors: counter(r, &kafka("fetcherrors"), "Failed reads of the remote tier"),
            copy_bytes: counter(r, &kafka("copybytes"), "Bytes uploaded"),
            copy_requests: counter(r, &kafka("copyrequests"), "Uploads begun"),
            copy_errors: counter(r, &kafka("copyerrors"), "Uploads failed"),
            delete_requests: counter(r, &kafka("deleterequests"), "Remote deletions begun"),
            delete_errors: counter(r, &kafka("deleteerrors"), "Remote deletions failed"),
            copy_lag_bytes: gauge(r, &kafka("copylagbytes"), "Bytes waiting for upload"),
            copy_lag_segments: gauge(r, &kafka("copylagsegments"), "Segments waiting for upload"),
            delete_lag_bytes: gauge(r, &kafka("deletelagbytes"), "Bytes waiting for deletion"),
            delete_lag_segments: gauge(
                r,
                &kafka("deletelagsegments"),
                "Segments waiting for deletion",
            ),
            log_size_bytes: gauge(r, &kafka("logsizebytes"), "Bytes in the remote tier"),
            metadata_count: gauge(r, &kafka("logmetadatacount"), "Segments in the manifest"),
            cache_hits: counter(r, "icecore_cache_hits", "Chunks the read cache had"),
            cache_misses: counter(r, "icecore_cache_misses", "Chunks the read cache lacked"),
            cache_fills: counter(r, "icecore_cache_fills", "Chunks written into the cache"),
            cache_evictions: counter(r, "icecore_cache_evictions", "Chunks dropped for others"),
            cache_wrong_chunks: counter(
                r,
                "icecore_cache_wrong_chunks",
                "Chunks of an earlier run that were wrong",
            ),
            cache_shared_hits: counter(
                r,
                "icecore_cache_shared_hits",
                "Chunks that another process of the machine had in the cache",
            ),
            cache_shared_flights: counter(
                r,
                "icecore_cache_shared_flights",
                "Waits for chunks that another process was bringing, and brought",
            ),
            cache_fallbacks: counter(
                r,
                "icecore_cache_fallbacks",
                "Chunks fetched or kept alone because the owner of the cache was no help",
            ),
            cache_refused_guests: counter(
                r,
                "icecore_cache_refused_guests",
                "Guests of the cache that were shown the door for what they sent",
            ),
            cache_guests: gauge(
                r,
                "icecore_cache_guests",
                "Processes that are guests of this one's cache",
            ),
            cache_is_guest: gauge(
                r,
                "icecore_cache_is_guest",
                "1 while the cache is another process's",
            ),
            cache_bytes: gauge(r, "icecore_cache_bytes", "Bytes the cache holds"),
            store_throttled: counter(
                r,
                "icecore_store_throttled",
                "Answers of the object store that asked for a pause",
            ),
            store_left_alone: counter(
                r,
                "icecore_store_left_alone",
                "Times that the object store failed so often that it was left alone",
            ),
            store_held_back: counter(
                r,
                "icecore_store_held_back",
                "Calls not made while the object store was left alone",
            ),
            store_slow: counter(
                r,
                "icecore_store_slow",
                "Calls to the object store that took more than half of the time that they may take",
            ),
            store_unlisted: counter(
                r,
                "icecore_store_unlisted",
                "Objects that a list of the object store left out, found by their names",
            ),
            store_is_left_alone: gauge(
                r,
                "icecore_store_is_left_alone",
                "1 while the object store is left alone",
            ),
            replay_index_gets: gets_of("index"),
            replay_log_gets: gets_of("log"),
            replay_fetched_bytes: counter(
                r,
                "icecore_replay_fetched_bytes",
                "Bytes fetched from the object store for readers",
            ),
            replayed_bytes: counter(
                r,
                "icecore_replayed_bytes",
                "Bytes of the remote tier handed to readers",
            ),
            replay_share: gauge(
                r,
                "icecore_replay_share_bytes_per_second",
                "What replays may be handed while others work; -1 without a bound",
            ),
            store_failures: register(
                r,
                "icecore_store_failures",
                "Calls to the object store that failed",
                Family::default(),
            ),
            meta_uploads: counter(r, "icecore_meta_uploads", "Metadata snapshots uploaded"),
            meta_upload_failures: counter(
                r,
                "icecore_meta_upload_failures",
                "Metadata snapshots that could not be uploaded",
            ),
            meta_age_seconds: gauge(
                r,
                "icecore_meta_age_seconds",
                "Seconds since the bucket had all metadata",
            ),
            view_age_seconds: gauge(
                r,
                "icecore_view_age_seconds",
                "Seconds since a read-only server saw all that the store has; -1 of other servers",
            ),
            follow_failures: counter(
                r,
                "icecore_follow_failures",
                "Looks at the store of a read-only server that failed",
            ),
        }
    }
}

//! What happened so far, as plain counters that only grow.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// Live counters, shared by every part of the crate.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)+ }

        /// The counters at one moment. All of them only grow.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct CounterValues { $($(#[doc = $doc])+ pub $name: u64,)+ }

        impl Counters {
            pub(crate) fn values(&self) -> CounterValues {
                CounterValues { $($name: self.$name.get(),)+ }
            }
        }
    };
}

/// One counter. Relaxed: no other memory depends on it.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn bump(&self) {
        self.add(1);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    /// Segments that went live.
    uploads,
    /// Bytes of log objects that went live.
    upload_bytes,
    /// Upload attempts that failed.
    upload_errors,
    /// Calls of `read`.
    reads,
    /// Bytes handed out by `read`.
    read_bytes,
    /// Calls of `read` or `index` that failed.
    read_errors,
    /// GET requests sent to the store.
    gets,
    /// Bytes received from the store.
    fetched_bytes,
    /// GET requests for index objects that readers caused.
    index_gets,
    /// GET requests for ranges of log objects that readers caused.
    log_gets,
    /// Bytes that came in answer to both.
    replay_bytes,
    /// Index objects found in memory.
    cache_hits,
    /// Index objects that had to be fetched.
    cache_misses,
    /// Chunks that the read cache had, and gave out.
    chunk_hits,
    /// Chunks that it did not have: each is about to be fetched.
    chunk_misses,
    /// Chunks written into the read cache.
    chunk_fills,
    /// Chunks that gave way for others.
    chunk_evictions,
    /// Chunks that another process of this machine had in the cache, and lent.
    shared_hits,
    /// Waits for a chunk that another process, or another download, was bringing, and brought.
    shared_flights,
    /// Chunks that a guest of the cache fetched or kept by itself, because their owner was silent,
    /// gone or had no room, or that were waited for too long.
    guest_fallbacks,
    /// Guests of the cache that were shown the door for what they sent.
    guest_refusals,
    /// Chunks of an earlier run, or of another process, that were not what they should be, and were
    /// dropped.
    wrong_chunks,
    /// Bodies from the store that were short or failed their checksum.
    wrong_bytes,
    /// Calls to the store that met their deadline.
    timeouts,
    /// Calls to the store that found it busy or out of reach.
    busy,
    /// Calls that the credentials do not allow.
    denied,
    /// Calls that the store refused for good.
    refused,
    /// Calls that were answered, but late: they took more than half of the time that they may take.
    slow,
    /// Objects that a list left out, found by their names.
    unlisted,
    /// Answers that asked to be left in peace for a time (`Retry-After`), which was obeyed.
    throttled,
    /// Times that the store failed so often in a row that it was left alone for a while.
    left_alone,
    /// Calls that were not made because of that.
    held_back,
    /// Objects deleted.
    deletes,
    /// Deletes that failed and will be tried again.
    delete_errors,
    /// Segments whose deletion was tried.
    segment_deletes,
    /// Segments whose deletion failed and is tried again.
    segment_delete_errors,
    /// Objects and uploads without an owner that garbage collection found.
    garbage_found,
    /// Objects and uploads without an owner that garbage collection removed.
    garbage_removed,
    /// Live segments whose objects a garbage collection missed, without a local copy.
    missing_found,
}

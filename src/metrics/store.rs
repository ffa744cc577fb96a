//! Calls to the object store. The tiering part knows nothing of this page: whoever wires it fills
//! these.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::page::Page;
use super::seconds;

/// What is asked of the store, and what it answers. A clone counts into the same numbers.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    calls: Family<CallLabels, Counter>,
    times: Family<OperationLabels, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabels, Counter>,
    /// Answers that asked for a pause, which the store was given.
    pub throttled: Counter,
    /// Times that the store failed so often in a row that it was left alone.
    pub left_alone: Counter,
    /// Calls that were not made because of that.
    pub held_back: Counter,
    /// Calls that took more than half of the time that they may take.
    pub slow: Counter,
    /// Objects that a list left out.
    pub unlisted: Counter,
    /// Objects that were deleted.
    pub deleted: Counter,
    /// Objects that could not be deleted, and are tried again.
    pub delete_failures: Counter,
    /// 1 while the store is left alone, else 0.
    pub is_left_alone: Gauge,
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
struct CallLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: &'static str,
}

impl StoreMetrics {
    /// Counts a call that ended; both words are of a small set.
    pub fn called(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self.calls.get_or_create(&CallLabels { operation, outcome }).inc();
        self.times.get_or_create(&OperationLabels { operation }).observe(took.as_secs_f64());
    }

    /// The counter of calls that failed in one way.
    #[must_use]
    pub fn failures(&self, kind: StoreFailure) -> Counter {
        self.failures.get_or_create_owned(&kind.label())
    }

    pub(super) fn registered(page: &mut Page) -> Self {
        let times = Family::new_with_constructor(seconds as fn() -> Histogram);
        Self {
            calls: page.family(
                "icecore_store_requests",
                &["operation", "outcome"],
                "Calls to the object store that ended; a list or a batch of deletions is one call, \
                 and so is a call with the client library's retries",
            ),
            times: page.add(
                "icecore_store_request_seconds",
                &["operation"],
                "How long a call waited for the object store, with the client library's retries",
                times,
            ),
            failures: page.family(
                "icecore_store_failures",
                &["kind"],
                "Calls to the object store that failed",
            ),
            throttled: page.counter(
                "icecore_store_throttled",
                "Answers of the object store that asked for a pause",
            ),
            left_alone: page.counter(
                "icecore_store_left_alone",
                "Times that the object store failed so often that it was left alone",
            ),
            held_back: page.counter(
                "icecore_store_held_back",
                "Calls not made while the object store was left alone",
            ),
            slow: page.counter(
                "icecore_store_slow",
                "Calls to the object store that took more than half of the time that they may take",
            ),
            unlisted: page.counter(
                "icecore_store_unlisted",
                "Objects that a list of the object store left out, found by their names",
            ),
            deleted: page.counter("icecore_store_objects_deleted", "Objects deleted"),
            delete_failures: page.counter(
                "icecore_store_object_delete_failures",
                "Objects that could not be deleted, and are tried again",
            ),
            is_left_alone: page
                .gauge("icecore_store_is_left_alone", "1 while the object store is left alone"),
        }
    }
}

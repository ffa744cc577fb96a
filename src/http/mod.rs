//! The HTTP port: metrics, health, where each partition's bytes lie and who reads them, how much room
//! the disk has, tiering policies, and long work on the object store. No answer waits for that work: it is
//! begun, and asked for again.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | OpenMetrics text, for Prometheus |
//! | `/livez` | 200 as long as the process answers at all |
//! | `/readyz` | 200 and what is amiss all the same, or 503, the reason, and how far it is |
//! | `/v1/server` | a JSON object, [`ServerStatus`] |
//! | `/v1/partitions` | a JSON array of [`PartitionStatus`] |
//! | `/v1/replays` | a JSON object, [`ReplaysStatus`] |
//! | `/v1/replay-plan` | a JSON object, [`ReplayPlan`]; the query is [`PlanAsk`] |
//! | `/v1/replay-warm` | POST; a JSON object, [`Warmed`]; the query is [`WarmAsk`] |
//! | `/v1/disk` | a JSON object, [`DiskStatus`] |
//! | `/v1/policies` | a JSON array of [`PolicyStatus`] |
//! | PUT, DELETE `/v1/policies/NAME` | sets or deletes one: a JSON object, [`PolicyOutcome`]; the query is [`ChangeQuery`], the body [`PolicyBody`] |
//! | `/v1/topic-settings` | a JSON object, [`Explained`]; the query is [`ExplainQuery`] |
//! | POST `/v1/tier/jobs` | begins a [`JobRequest`]: 202 and its [`JobStatus`], or 409 |
//! | `/v1/tier/jobs/ID` | its [`JobStatus`]; DELETE breaks it off |
//!
//! Neither many clients nor slow ones cost the broker more than [`Limits`] says.

mod disk;
mod jobs;
mod listener;
mod observed;
mod policies;
mod replay_plan;
mod replays;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::listener::GuardedListener;
use crate::metrics::Metrics;

pub use self::disk::{DiskState, DiskStatus};
pub use self::jobs::{
    CheckOutcome, Collected, Found, JobEnd, JobProgress, JobRefused, JobRequest, JobResult,
    JobState, JobStatus, NamedObjects, TierJobs, Verified, VerifiedPartition,
};
pub use self::observed::{ObserveError, Observed, PartitionStatus, ServerStatus, TierStatus};
pub use self::policies::{
    ChangeQuery, ChangedSetting, ChangedTopic, ExplainQuery, Explained, ExplainedSetting,
    OverruledSetting, OverruledStatus, PolicyBody, PolicyFrom, PolicyMatch, PolicyOutcome,
    PolicyStatus, SettingFrom, TierPolicies, ValueFrom,
};
pub use self::replay_plan::{
    AskError, PartitionPlan, PlanAsk, RateBound, ReplayPlan, WarmAsk, Warmed,
};
pub use self::replays::{ConsumerStatus, ReplayStatus, ReplaysStatus};

/// Bounds of the HTTP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; further ones wait to be accepted.
    pub connections_max: usize,
    /// Requests that are being answered; one more gets 503.
    pub requests_max: usize,
    /// How long an answer may take; then the client gets 503.
    pub request_timeout: Duration,
    /// A connection on which for so long nothing could be sent is closed, whether it is silent,
    /// sends its request byte by byte or does not take its answer.
    pub idle_timeout: Duration,
    /// How long answers in flight may take at shutdown.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            requests_max: 16,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// Serves a bound listener until `shutdown`, then answers what is in flight.
pub async fn run<O: Observed + TierJobs + TierPolicies>(
    listener: TcpListener,
    observed: Arc<O>,
    metrics: Arc<Metrics>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let router = routes::router(observed, metrics, &limits);
    let guarded = GuardedListener::new(listener, &limits);
    let stop = shutdown.clone();
    let serve = axum::serve(guarded, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .into_future();
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(limits.drain_timeout).await;
    };
    tokio::select! {
        result = serve => if let Err(error) = result {
            tracing::error!(%error, "the http port failed");
        },
        () = overdue => {
            let timeout = limits.drain_timeout;
            tracing::warn!("http connections are aborted: not done within {timeout:?}");
        }
    }
}

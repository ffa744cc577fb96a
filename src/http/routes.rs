//! The paths, and the limits around them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use tokio::sync::Semaphore;

use super::{
    AskError, ChangeQuery, ExplainQuery, JobRefused, JobRequest, JobStatus, Limits, ObserveError,
    Observed, PlanAsk, PolicyBody, TierJobs, TierPolicies, WarmAsk,
};
use crate::config::PolicyText;
use crate::metrics::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Gate {
    requests: Arc<Semaphore>,
    timeout: Duration,
}

pub(super) fn router<O: Observed + TierJobs + TierPolicies>(
    observed: Arc<O>,
    metrics: Arc<Metrics>,
    limits: &Limits,
) -> Router {
    let requests = Arc::new(Semaphore::new(limits.requests_max));
    let gate = Gate { requests, timeout: limits.request_timeout };
    let health = Router::new()
        .route("/readyz", get(ready::<O>))
        .route("/v1/server", get(server::<O>))
        .route("/v1/partitions", get(partitions::<O>))
        .route("/v1/replays", get(replays::<O>))
        .route("/v1/disk", get(disk::<O>))
        .route("/v1/policies", get(policies::<O>))
        .route("/v1/policies/{name}", put(set_policy::<O>).delete(delete_policy::<O>))
        .route("/v1/topic-settings", get(explain::<O>))
        .route("/v1/replay-plan", get(replay_plan::<O>))
        .route("/v1/replay-warm", post(warm::<O>))
        .route("/v1/tier/jobs", post(begin::<O>))
        .route("/v1/tier/jobs/{id}", get(job::<O>).delete(cancel::<O>))
        .with_state(observed);
    Router::new()
        .route("/metrics", get(page))
        .with_state(metrics)
        .merge(health)
        .layer(middleware::from_fn_with_state(gate, limited))
        // Outside the gate: a broker that is busy is still alive.
        .route("/livez", get(async || "alive\n"))
        .fallback(async || (StatusCode::NOT_FOUND, "no such page\n"))
}

async fn limited(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Ok(_permit) = gate.requests.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n").into_response();
    };
    let path = request.uri().path().to_owned();
    match tokio::time::timeout(gate.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(path, "http request not answered within {:?}", gate.timeout);
            (StatusCode::SERVICE_UNAVAILABLE, "not answered in time\n").into_response()
        }
    }
}

/// Some thousand lines take a millisecond to write, which is long for a network thread.
async fn page(State(metrics): State<Arc<Metrics>>) -> Response {
    match tokio::task::spawn_blocking(move || metrics.encode()).await {
        Ok(page) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(error) => failed(&error),
    }
}

async fn ready<O: Observed>(State(observed): State<Arc<O>>) -> Response {
    match observed.ready() {
        Ok(()) => {
            let lines = std::iter::once("ready".to_owned()).chain(observed.remarks());
            lines.map(|line| line + "\n").collect::<String>().into_response()
        }
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
        }
    }
}

async fn partitions<O: Observed>(State(observed): State<Arc<O>>) -> Response {
    looked_at(observed.partitions().await)
}

async fn server<O: Observed>(State(observed): State<Arc<O>>) -> Response {
    match observed.server() {
        Ok(server) => Json(server).into_response(),
        Err(error) => failed(&*error),
    }
}

async fn replays<O: Observed>(State(observed): State<Arc<O>>) -> Response {
    looked_at(observed.replays())
}

async fn disk<O: Observed>(State(observed): State<Arc<O>>) -> Response {
    looked_at(observed.disk())
}

async fn policies<O: TierPolicies>(State(policies): State<Arc<O>>) -> Response {
    looked_at(policies.policies())
}

async fn explain<O: TierPolicies>(
    State(policies): State<Arc<O>>,
    Query(ExplainQuery { topic }): Query<ExplainQuery>,
) -> Response {
    looked_at(policies.explain(&topic))
}

async fn set_policy<O: TierPolicies>(
    State(policies): State<Arc<O>>,
    Path(name): Path<String>,
    Query(ChangeQuery { dry_run }): Query<ChangeQuery>,
    Json(PolicyBody { topics, priority, settings }): Json<PolicyBody>,
) -> Response {
    let policy = PolicyText { name, topics, priority, settings };
    answered(policies.set_policy(policy, dry_run).await)
}

async fn delete_policy<O: TierPolicies>(
    State(policies): State<Arc<O>>,
    Path(name): Path<String>,
    Query(ChangeQuery { dry_run }): Query<ChangeQuery>,
) -> Response {
    answered(policies.delete_policy(name, dry_run).await)
}

fn looked_at<T: serde::Serialize>(found: Result<T, ObserveError>) -> Response {
    match found {
        Ok(found) => Json(found).into_response(),
        Err(error) => failed(&*error),
    }
}

async fn replay_plan<O: Observed>(
    State(observed): State<Arc<O>>,
    Query(ask): Query<PlanAsk>,
) -> Response {
    answered(observed.replay_plan(ask).await)
}

async fn warm<O: Observed>(State(observed): State<Arc<O>>, Query(ask): Query<WarmAsk>) -> Response {
    answered(observed.warm(ask).await)
}

fn answered<T: serde::Serialize>(answer: Result<T, AskError>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(AskError::NotFound(what)) => (StatusCode::NOT_FOUND, what + "\n").into_response(),
        Err(AskError::Refused(why)) => (StatusCode::BAD_REQUEST, why + "\n").into_response(),
        Err(AskError::Failed(error)) => failed(&*error),
    }
}

async fn begin<O: TierJobs>(
    State(jobs): State<Arc<O>>,
    Json(request): Json<JobRequest>,
) -> Response {
    match jobs.begin(request) {
        Ok(status) => (StatusCode::ACCEPTED, Json(status)).into_response(),
        Err(refused) => {
            let code = match refused {
                JobRefused::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
                JobRefused::NoRemoteTier | JobRefused::ReadOnly | JobRefused::Busy(_) => {
                    StatusCode::CONFLICT
                }
            };
            (code, format!("{refused}\n")).into_response()
        }
    }
}

async fn job<O: TierJobs>(State(jobs): State<Arc<O>>, Path(id): Path<String>) -> Response {
    told(jobs.job(&id))
}

async fn cancel<O: TierJobs>(State(jobs): State<Arc<O>>, Path(id): Path<String>) -> Response {
    told(jobs.cancel(&id))
}

fn told(status: Option<JobStatus>) -> Response {
    match status {
        Some(status) => Json(status).into_response(),
        None => (StatusCode::NOT_FOUND, "no such job is known any more\n").into_response(),
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "http request failed");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

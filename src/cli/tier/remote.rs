//! Asks a broker that runs to work on its store, and waits for the end.

use std::time::Duration;

use anyhow::bail;
use reqwest::{Method, RequestBuilder};

use crate::cli::status;
use crate::http::{JobEnd, JobProgress, JobRequest, JobState, JobStatus};

/// How often the job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Begins the job and returns when it ended. Ctrl-C breaks it off.
pub(super) async fn run(
    address: &str,
    request: &JobRequest,
    told: &(dyn Fn(JobProgress) + Send + Sync),
) -> anyhow::Result<JobEnd> {
    let body = serde_json::to_vec(request)?;
    let mut status = ask(address, Method::POST, "/v1/tier/jobs", |asked| {
        asked.header("content-type", "application/json").body(body)
    })
    .await?;
    let path = format!("/v1/tier/jobs/{}", status.id);
    while status.state == JobState::Running {
        told(status.progress);
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = tokio::signal::ctrl_c() => {
                ask(address, Method::DELETE, &path, |asked| asked).await?;
                bail!("the broker at {address} was told to break the job off");
            }
        }
        status = ask(address, Method::GET, &path, |asked| asked).await?;
    }
    Ok(status.end)
}

async fn ask(
    address: &str,
    method: Method,
    path: &str,
    with: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> anyhow::Result<JobStatus> {
    status::ask(address, |client| with(client.request(method, format!("http://{address}{path}"))))
        .await
}

//! What a broker tells over HTTP.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;

use crate::http::PartitionStatus;

const TIMEOUT: Duration = Duration::from_secs(15);
/// Half a million partitions take less.
const PAGE_BYTES_MAX: usize = 256 << 20;

/// Where each partition's bytes lie, by the broker whose HTTP port is at `address`.
pub(super) async fn partitions(address: &str) -> anyhow::Result<Vec<PartitionStatus>> {
    ask(address, |client| client.get(format!("http://{address}/v1/partitions"))).await
}

/// What the broker whose HTTP port is at `address` answers to a request.
pub(super) async fn ask<T: DeserializeOwned>(
    address: &str,
    request: impl FnOnce(&Client) -> RequestBuilder,
) -> anyhow::Result<T> {
    let client = Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let sent = request(&client).send().await.map_err(reqwest::Error::without_url);
    let mut answer = sent.with_context(|| {
        format!(
            "no broker answers over HTTP at {address}: start one with `icecore serve`, or give \
             --http HOST:PORT"
        )
    })?;
    let mut page = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if page.len() + bytes.len() > PAGE_BYTES_MAX {
            bail!("{address} sends more than {PAGE_BYTES_MAX} bytes");
        }
        page.extend_from_slice(&bytes);
    }
    if !answer.status().is_success() {
        bail!("{address} answers {}: {}", answer.status(), String::from_utf8_lossy(&page).trim());
    }
    serde_json::from_slice(&page)
        .with_context(|| format!("{address} does not answer as an icecore broker does"))
}

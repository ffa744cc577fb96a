//! What a broker tells over HTTP.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::http::{
    ChangeQuery, DiskStatus, ExplainQuery, Explained, PartitionStatus, PlanAsk, PolicyBody,
    PolicyOutcome, PolicyStatus, ReplayPlan, ReplaysStatus, ServerStatus, WarmAsk, Warmed,
};

const TIMEOUT: Duration = Duration::from_secs(15);
/// Half a million partitions take less.
const PAGE_BYTES_MAX: usize = 256 << 20;

/// `--http`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct HttpArgs {
    /// The HTTP address of a broker (serve --http).
    #[arg(long, value_name = "HOST:PORT", env = "ICECORE_HTTP", default_value = "127.0.0.1:9600",
        value_parser = callable)]
    pub(super) http: String,
}

/// An address that can be called. A server that listens on all addresses of its machine, whose environment says
/// so to this command as well, is called on this one: nobody can do anything with 0.0.0.0 that he is told.
pub(super) fn callable(text: &str) -> Result<String, Infallible> {
    let address = match text.parse::<SocketAddr>() {
        Ok(SocketAddr::V4(all)) if all.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, all.port())).to_string()
        }
        Ok(SocketAddr::V6(all)) if all.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, all.port())).to_string()
        }
        _ => text.to_owned(),
    };
    Ok(address)
}

impl HttpArgs {
    /// Where each partition's bytes lie.
    pub(super) async fn partitions(&self) -> anyhow::Result<Vec<PartitionStatus>> {
        partitions(&self.http).await
    }

    /// What the server is.
    pub(super) async fn server(&self) -> anyhow::Result<ServerStatus> {
        ask_for(Method::GET, &self.http, "/v1/server", &()).await
    }

    /// Who reads the remote tier.
    pub(super) async fn replays(&self) -> anyhow::Result<ReplaysStatus> {
        ask_for(Method::GET, &self.http, "/v1/replays", &()).await
    }

    /// How much room the broker's disk has.
    pub(super) async fn disk(&self) -> anyhow::Result<DiskStatus> {
        ask_for(Method::GET, &self.http, "/v1/disk", &()).await
    }

    /// The policies in force.
    pub(super) async fn policies(&self) -> anyhow::Result<Vec<PolicyStatus>> {
        ask_for(Method::GET, &self.http, "/v1/policies", &()).await
    }

    /// Sets a policy, or is told what that would do.
    pub(super) async fn set_policy(
        &self,
        name: &str,
        body: &PolicyBody,
        dry_run: bool,
    ) -> anyhow::Result<PolicyOutcome> {
        let (url, body) = (self.policy(name, dry_run)?, serde_json::to_vec(body)?);
        let put =
            |client: &Client| client.put(url).header("content-type", "application/json").body(body);
        ask(&self.http, put).await
    }

    /// Deletes a policy, or is told what that would do.
    pub(super) async fn delete_policy(
        &self,
        name: &str,
        dry_run: bool,
    ) -> anyhow::Result<PolicyOutcome> {
        let url = self.policy(name, dry_run)?;
        ask(&self.http, |client| client.delete(url)).await
    }

    /// Where a topic's settings come from.
    pub(super) async fn explain(&self, topic: &str) -> anyhow::Result<Explained> {
        let query = ExplainQuery { topic: topic.to_owned() };
        ask_for(Method::GET, &self.http, "/v1/topic-settings", &query).await
    }

    fn policy(&self, name: &str, dry_run: bool) -> anyhow::Result<Url> {
        let mut url = url(&self.http, "/v1/policies", &ChangeQuery { dry_run })?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(name);
        }
        Ok(url)
    }

    /// What a replay will read and ask of the store.
    pub(super) async fn replay_plan(&self, what: &PlanAsk) -> anyhow::Result<ReplayPlan> {
        ask_for(Method::GET, &self.http, "/v1/replay-plan", what).await
    }

    /// Brings a part of a range into the read cache.
    pub(super) async fn warm(&self, what: &WarmAsk) -> anyhow::Result<Warmed> {
        ask_for(Method::POST, &self.http, "/v1/replay-warm", what).await
    }
}

/// Where each partition's bytes lie, by the broker whose HTTP port is at `address`.
pub(super) async fn partitions(address: &str) -> anyhow::Result<Vec<PartitionStatus>> {
    ask(address, |client| client.get(format!("http://{address}/v1/partitions"))).await
}

async fn ask_for<T: DeserializeOwned>(
    method: Method,
    address: &str,
    path: &str,
    query: &impl Serialize,
) -> anyhow::Result<T> {
    let url = url(address, path, query)?;
    ask(address, |client| client.request(method, url)).await
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
    let words = || String::from_utf8_lossy(&page).trim().to_owned();
    match answer.status() {
        status if status.is_success() => {}
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => bail!("{}", words()),
        status => bail!("{address} answers {status}: {}", words()),
    }
    serde_json::from_slice(&page)
        .with_context(|| format!("{address} does not answer as an icecore broker does"))
}

/// The fields of a question become its query; those without a value are left out.
fn url(address: &str, path: &str, query: &impl Serialize) -> anyhow::Result<Url> {
    let url = Url::parse(&format!("http://{address}{path}"));
    let mut url = url.with_context(|| format!("--http {address:?} is not HOST:PORT"))?;
    if let Value::Object(fields) = serde_json::to_value(query)? {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in fields {
            pairs.append_pair(&name, value.as_str().unwrap_or(&value.to_string()));
        }
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_on_all_addresses_is_called_on_this_machine() {
        for (given, called) in [
            ("0.0.0.0:9600", "127.0.0.1:9600"),
            ("[::]:9600", "[::1]:9600"),
            ("10.0.0.7:9600", "10.0.0.7:9600"),
            ("broker:9600", "broker:9600"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(callable(given).as_deref(), Ok(called));
        }
    }

    #[test]
    fn a_question_is_written_as_a_query() {
        let what = PlanAsk {
            topic: "snow & ice".to_owned(),
            from: "17ms".parse().ok(),
            to: None,
            partitions: "0,2-4".parse().ok(),
            bytes_per_second: Some(5),
            parallel: None,
        };
        let url = url("h:1", "/p", &what).expect("a url");
        let wanted =
            "http://h:1/p?bytes_per_second=5&from=17ms&partitions=0%2C2-4&topic=snow+%26+ice";
        let (mut got, mut wanted): (Vec<_>, Vec<_>) =
            (url.as_str().split(['?', '&']).collect(), wanted.split(['?', '&']).collect());
        got.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(got, wanted);
    }
}

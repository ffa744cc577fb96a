//! Requests to the store and its answers back, spoiled where an order says so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use futures::stream::{self, StreamExt as _};

use super::orders::{Fault, Orders};

/// The largest body that is passed on.
const BODY_BYTES_MAX: usize = 256 << 20;
/// How often a trickle drips.
const DRIP: Duration = Duration::from_millis(100);
const PAGE: &str = "<html><body>Please log in to the network</body></html>";

pub(super) struct Proxy {
    upstream: String,
    client: reqwest::Client,
    orders: Arc<Orders>,
}

/// A whole answer of the store.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Proxy {
    pub(super) fn new(upstream: String) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { upstream, client, orders: Arc::default() })
    }

    pub(super) fn orders(&self) -> Arc<Orders> {
        Arc::clone(&self.orders)
    }

    async fn forward(&self, request: Request) -> Result<Answer> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{path}", self.upstream);
        let mut headers = parts.headers;
        headers.remove(header::CONNECTION);
        let sent = self.client.request(parts.method, url).headers(headers).body(body).send();
        let answer = sent.await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for own in [header::CONNECTION, header::TRANSFER_ENCODING] {
            headers.remove(own);
        }
        Ok(Answer { status, headers, body: answer.bytes().await? })
    }
}

/// Any request that is not for the proxy itself.
pub(super) async fn pass(State(proxy): State<Arc<Proxy>>, request: Request) -> Response<Body> {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let fault = proxy.orders.meets(request.method().as_str(), path);
    match &fault {
        Some(Fault::Status { status, retry_after_s }) => return refuse(*status, *retry_after_s),
        Some(Fault::Page) => return page(),
        Some(Fault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(*ms)).await,
        _ => {}
    }
    let whole = request.method() != "HEAD";
    match proxy.forward(request).await {
        Ok(_) if matches!(fault, Some(Fault::FailAfterwards)) => refuse(500, None),
        Ok(answer) => spoiled(answer, fault.filter(|_| whole)),
        Err(error) => answer(StatusCode::BAD_GATEWAY, format!("{error:#}\n").into()),
    }
}

fn answer(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn refuse(status: u16, retry_after_s: Option<u32>) -> Response<Body> {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = "<Error><Code>Ordered</Code><Message>as ordered</Message></Error>";
    let mut response = answer(code, body.into());
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn page() -> Response<Body> {
    let mut response = answer(StatusCode::OK, PAGE.into());
    let html = header::HeaderValue::from_static("text/html");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

fn spoiled(found: Answer, fault: Option<Fault>) -> Response<Body> {
    let Answer { status, mut headers, body } = found;
    let half = body.slice(..body.len() / 2);
    let body = match fault {
        // A body that ends early: the server has no other way out than to close the connection.
        Some(Fault::Cut) => Body::from_stream(then_broken(half)),
        Some(Fault::Short) => {
            headers.insert(header::CONTENT_LENGTH, half.len().into());
            half.into()
        }
        Some(Fault::WrongByte) => {
            let mut wrong = body.to_vec();
            let middle = wrong.len() / 2;
            if let Some(byte) = wrong.get_mut(middle) {
                *byte ^= 0x10;
            }
            wrong.into()
        }
        Some(Fault::Trickle { bytes_per_s }) => Body::from_stream(trickle(body, bytes_per_s)),
        _ => body.into(),
    };
    let mut response = answer(status, body);
    *response.headers_mut() = headers;
    response
}

fn then_broken(bytes: Bytes) -> impl futures::Stream<Item = io::Result<Bytes>> {
    stream::iter([Ok(bytes), Err(io::Error::from(io::ErrorKind::ConnectionAborted))])
}

fn trickle(body: Bytes, bytes_per_s: u32) -> impl futures::Stream<Item = io::Result<Bytes>> {
    let drop_bytes = (bytes_per_s as usize / 10).max(1);
    let starts: Vec<usize> = (0..body.len()).step_by(drop_bytes).collect();
    stream::iter(starts).then(move |start| {
        let drop = body.slice(start..body.len().min(start + drop_bytes));
        async move {
            tokio::time::sleep(DRIP).await;
            Ok(drop)
        }
    })
}

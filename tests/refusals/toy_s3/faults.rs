//! What the toy does wrong on order, and to which requests.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use futures::stream::{self, StreamExt as _};

/// How often a narrow pipe gives some bytes.
const DRIP: Duration = Duration::from_millis(50);

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done, and this status is answered.
    Status(u16),
    /// Nothing is done, and a 503 asks for a pause of so many seconds.
    Busy(u32),
    /// Nothing is done, and nothing answered.
    Silence,
    /// Nothing is done, and success is answered.
    Pretend,
    /// A list is answered as it was when [`super::ToyS3::remember`] was called.
    Outdated,
    /// It is done after so long.
    Late(Duration),
    /// It is done, and 500 is answered.
    FailAfterwards,
    /// The body of the answer comes at so many bytes a second.
    Narrow(usize),
    /// The body of the answer stops in the middle, and neither goes on nor ends.
    Stall,
    /// The connection is closed in the middle of the body.
    Cut,
    /// The body is half as long, and says so.
    Short,
    /// One byte of the body is another one.
    WrongByte,
}

/// The next `times` requests of a method, whose path or query has these parts, meet `fault`.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) method: Method,
    pub(crate) parts: [&'static str; 2],
    pub(crate) fault: Fault,
    pub(crate) times: usize,
}

#[derive(Debug, Default)]
pub(super) struct Script(Vec<Order>);

impl Script {
    pub(super) fn add(&mut self, order: Order) {
        self.0.push(order);
    }

    /// The fault that a request meets; an order is used up by it.
    pub(super) fn meets(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let meets = |order: &&mut Order| {
            order.method == *method
                && order.parts.iter().all(|part| path.contains(part))
                && order.times > 0
        };
        let order = self.0.iter_mut().find(meets)?;
        order.times -= 1;
        Some(order.fault)
    }

    /// Requests that are still to meet a fault.
    pub(super) fn left(&self) -> usize {
        self.0.iter().map(|order| order.times).sum()
    }
}

/// What comes before the work: an answer without it, or a wait.
pub(super) async fn before(fault: Fault) -> Option<Response<Body>> {
    match fault {
        Fault::Status(status) => Some(empty(status)),
        Fault::Busy(seconds) => {
            let mut response = empty(503);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            Some(response)
        }
        Fault::Silence => std::future::pending().await,
        Fault::Pretend => {
            let mut response = empty(200);
            response.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"e\""));
            Some(response)
        }
        Fault::Late(by) => {
            tokio::time::sleep(by).await;
            None
        }
        _ => None,
    }
}

/// What becomes of the answer.
pub(super) async fn after(fault: Fault, answer: Response<Body>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body of our own");
    let (length, half) = (body.len(), body.slice(..body.len() / 2));
    let spoiled = match fault {
        Fault::FailAfterwards => return empty(500),
        Fault::Short => half.into(),
        Fault::WrongByte => wrong(body),
        Fault::Cut => promised(half, stream::iter([Err(cut())])),
        Fault::Stall => promised(half, stream::pending()),
        Fault::Narrow(bytes_per_s) => narrow(body, bytes_per_s),
        _ => body.into(),
    };
    let mut response = Response::from_parts(head, spoiled);
    if !matches!(fault, Fault::Short) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

fn empty(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn wrong(body: Bytes) -> Body {
    let mut wrong = body.to_vec();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 0x10;
    wrong.into()
}

fn cut() -> std::io::Error {
    std::io::ErrorKind::ConnectionAborted.into()
}

/// Some bytes, and then something else than the rest.
fn promised(
    bytes: Bytes,
    then: impl stream::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> Body {
    Body::from_stream(stream::iter([Ok(bytes)]).chain(then))
}

fn narrow(body: Bytes, bytes_per_s: usize) -> Body {
    let drop_bytes = (bytes_per_s / 20).max(1);
    let starts: Vec<usize> = (0..body.len()).step_by(drop_bytes).collect();
    let drops = stream::iter(starts).then(move |start| {
        let drop = body.slice(start..body.len().min(start + drop_bytes));
        async move {
            tokio::time::sleep(DRIP).await;
            std::io::Result::Ok(drop)
        }
    });
    Body::from_stream(drops)
}

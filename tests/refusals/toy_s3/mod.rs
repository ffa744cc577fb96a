//! As much of S3 as a broker needs, in this process, with a switch, and with faults on order.

mod answers;
mod faults;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use answers::{get, list};
pub(crate) use faults::Fault;
use faults::{Order, Script};

/// The bucket `bucket`.
#[derive(Default)]
pub(crate) struct ToyS3 {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// What an outdated list shows.
    remembered: Mutex<BTreeMap<String, Bytes>>,
    script: Mutex<Script>,
    down: AtomicBool,
    refused: AtomicU64,
}

impl ToyS3 {
    /// Serves until the test ends, and names itself `s3` in the configuration in `dir`.
    pub(crate) async fn start(dir: &Path) -> Arc<Self> {
        let toy = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().fallback(answer).with_state(toy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        crate::store::configure_s3(dir, port);
        toy
    }

    /// From now on it answers 503, or what is asked.
    pub(crate) fn switch(&self, up: bool) {
        self.down.store(!up, Ordering::SeqCst);
    }

    /// The next `times` requests of a method, whose path or query has these parts, meet `fault`.
    pub(crate) fn order(
        &self,
        method: Method,
        parts: [&'static str; 2],
        fault: Fault,
        times: usize,
    ) {
        self.script.lock().add(Order { method, parts, fault, times });
    }

    /// Requests that are still to meet a fault.
    pub(crate) fn unmet(&self) -> usize {
        self.script.lock().left()
    }

    /// From now on an outdated list shows what there is now.
    pub(crate) fn remember(&self) {
        *self.remembered.lock() = self.objects.lock().clone();
    }

    /// Whether there is an object whose name has this part.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.objects.lock().keys().any(|name| name.contains(part))
    }

    /// Requests that the switch refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }
}

async fn answer(
    State(toy): State<Arc<ToyS3>>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if toy.down.load(Ordering::SeqCst) {
        toy.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let asked = uri.path_and_query().map_or("", |asked| asked.as_str());
    let fault = toy.script.lock().meets(&method, asked);
    let request = Asked { method, uri, query, headers, body };
    let Some(fault) = fault else { return toy.serve(request, false) };
    match faults::before(fault).await {
        Some(instead) => instead,
        None => faults::after(fault, toy.serve(request, fault == Fault::Outdated)).await,
    }
}

/// A request, taken apart.
struct Asked {
    method: Method,
    uri: Uri,
    query: HashMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl ToyS3 {
    fn serve(&self, asked: Asked, outdated: bool) -> Response<Body> {
        let Asked { method, uri, query, headers, body } = asked;
        let key = uri.path().trim_start_matches("/bucket").trim_start_matches('/').to_owned();
        let mut objects = self.objects.lock();
        match (method, key.as_str()) {
            (Method::HEAD, "") => StatusCode::OK.into_response(),
            (Method::GET, "") if query.contains_key("list-type") => match outdated {
                true => list(sizes(&self.remembered.lock()), &query),
                false => list(sizes(&objects), &query),
            },
            (Method::GET, "") if query.contains_key("uploads") => {
                "<ListMultipartUploadsResult></ListMultipartUploadsResult>".into_response()
            }
            (Method::GET, "") => StatusCode::NOT_FOUND.into_response(),
            (Method::POST, "") => {
                delete(&mut objects, &String::from_utf8_lossy(&body)).into_response()
            }
            (Method::PUT, _)
                if headers.contains_key("if-none-match") && objects.contains_key(&key) =>
            {
                StatusCode::PRECONDITION_FAILED.into_response()
            }
            (Method::PUT, _) => {
                objects.insert(key, body);
                [(header::ETAG, "\"e\"")].into_response()
            }
            (Method::GET | Method::HEAD, _) => match objects.get(&key) {
                Some(bytes) => get(bytes.clone(), &headers),
                None => StatusCode::NOT_FOUND.into_response(),
            },
            (Method::DELETE, _) => {
                objects.remove(&key);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }
}

/// What a list tells of objects.
fn sizes(objects: &BTreeMap<String, Bytes>) -> impl Iterator<Item = (String, usize)> {
    objects.iter().map(|(key, bytes)| (key.clone(), bytes.len()))
}

/// Every key that a bulk delete names.
fn delete(objects: &mut BTreeMap<String, Bytes>, request: &str) -> String {
    let mut xml = String::from("<DeleteResult>");
    for key in request.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
        objects.remove(key);
        write!(xml, "<Deleted><Key>{key}</Key></Deleted>").expect("text");
    }
    xml + "</DeleteResult>"
}

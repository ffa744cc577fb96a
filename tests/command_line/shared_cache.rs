//! Two read-only servers of one machine with one cache folder, as people run them beside a broker.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::broker::{Broker, files, wait_for};

const SMALL_AND_OFTEN: &[&str] = &[
    "num.partitions=1",
    "log.segment.bytes=1MiB",
    "log.retention.check.interval.ms=50",
    "remote.log.manager.task.interval.ms=50",
    "tiering.meta.upload.interval.ms=100",
];
const TIME: &str = "2024-01-01T00:00:00.000Z";

/// A broker's store folder as a bucket of S3 that can be read.
struct Bucket {
    folder: PathBuf,
    /// Requests for bytes of logs.
    log_gets: AtomicU64,
}

impl Bucket {
    /// Serves as long as the runtime lives; the port.
    fn serve(runtime: &Runtime, folder: PathBuf) -> (Arc<Self>, u16) {
        let bucket = Arc::new(Self { folder, log_gets: AtomicU64::new(0) });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().fallback(answer).with_state(bucket.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        (bucket, port)
    }

    fn log_gets(&self) -> u64 {
        self.log_gets.load(Ordering::SeqCst)
    }

    fn list(&self, query: &HashMap<String, String>) -> Response {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let (mut xml, mut folders) = (String::from("<ListBucketResult>"), Vec::new());
        for path in files(&self.folder, "") {
            let key = path.strip_prefix(&self.folder).expect("below").display().to_string();
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            match rest.split_once('/').filter(|_| query.contains_key("delimiter")) {
                Some((folder, _)) => folders.push(format!("{prefix}{folder}/")),
                None => write!(
                    xml,
                    "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>{TIME}</LastModified>\
                     <ETag>e</ETag></Contents>",
                    path.metadata().map_or(0, |found| found.len())
                )
                .expect("text"),
            }
        }
        folders.dedup();
        for folder in folders {
            write!(xml, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>")
                .expect("text");
        }
        (xml + "</ListBucketResult>").into_response()
    }

    fn get(&self, key: &str, headers: &HeaderMap) -> Response {
        let Ok(bytes) = std::fs::read(self.folder.join(key)).map(Bytes::from) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let known =
            [(header::ETAG, "\"e\""), (header::LAST_MODIFIED, "Mon, 01 Jan 2024 00:00:00 GMT")];
        let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((start, last)) = range else { return (known, bytes).into_response() };
        let start: usize = start.parse().expect("a start");
        let end = last.parse::<usize>().map_or(bytes.len(), |last| bytes.len().min(last + 1));
        let told = format!("bytes {start}-{}/{}", end - 1, bytes.len());
        let part = bytes.slice(start..end);
        (StatusCode::PARTIAL_CONTENT, known, [(header::CONTENT_RANGE, told)], part).into_response()
    }
}

async fn answer(
    State(bucket): State<Arc<Bucket>>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let key = uri.path().trim_start_matches("/bucket").trim_start_matches('/');
    match (method, key) {
        (Method::HEAD, "") => StatusCode::OK.into_response(),
        (Method::GET, "") if query.contains_key("list-type") => bucket.list(&query),
        (Method::GET, "") => StatusCode::NOT_FOUND.into_response(),
        (Method::GET, key) => {
            bucket.log_gets.fetch_add(u64::from(key.ends_with(".log")), Ordering::SeqCst);
            bucket.get(key, &headers)
        }
        (Method::HEAD, key) => bucket.get(key, &headers),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn reader(port: u16, cache_dir: &Path) -> Broker {
    let dir = tempfile::tempdir().expect("dir");
    let text = format!(
        "[stores.s3]\nurl = \"s3://bucket\"\nendpoint = \"http://127.0.0.1:{port}\"\n\
         region = \"us-east-1\"\naccess_key_id = \"k\"\nsecret_access_key = \"s\"\n"
    );
    std::fs::write(dir.path().join("icecore.toml"), text).expect("written");
    let cache_dir = format!("cache.dir={}", cache_dir.display());
    let settings =
        ["tiering.follow.interval.ms=100", "offsets.topic.num.partitions=3", "cache.bytes=64MiB"];
    let settings = [&settings[..], &[cache_dir.as_str()]].concat();
    Broker::read_in(dir, "s3", &settings)
}

fn metric(server: &Broker, name: &str) -> u64 {
    let page = server.text("/metrics");
    let line = page.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} in\n{page}"))
}

#[test]
fn two_servers_share_one_cache_and_the_guest_goes_on_with_it_when_the_owner_is_killed() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t");
    let lines: Vec<_> = (0..400_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.produce("t", &lines.concat());
    let store = broker.store();
    // Most of the eleven or so: more than half of the lines.
    wait_for("uploads", || (files(&store, ".log").len() >= 8).then_some(()));
    // From here on the store does not change.
    let folder = broker.stop();
    let runtime = Runtime::new().expect("threads");
    let (bucket, port) = Bucket::serve(&runtime, folder.path().join("data/store"));

    let shared = tempfile::tempdir().expect("dir");
    let owner = reader(port, &shared.path().join("cache"));
    let guest = reader(port, &shared.path().join("cache"));
    let end = wait_for("some history", || {
        let ends = [&owner, &guest].map(|server| {
            server.json("tier status")[0]["log_end_offset"].as_u64().filter(|end| *end > 200_000)
        });
        ends[0].filter(|end| ends[1] == Some(*end))
    });
    let history = lines[..usize::try_from(end).expect("a count")].concat();
    assert!(owner.run("consume t --to end") == history);
    assert!(bucket.log_gets() > 0);
    let gets = bucket.log_gets();
    assert!(guest.run("consume t --to end") == history);
    wait_for("the guest's counters", || {
        let shows = metric(&guest, "icecore_cache_is_guest") == 1
            && metric(&guest, "icecore_cache_shared_hits_total") > 10;
        shows.then_some(())
    });
    wait_for("the owner's gauge", || (metric(&owner, "icecore_cache_guests") == 1).then_some(()));
    // On a machine that is very busy an owner may be passed over: then the guest says so.
    let alone = metric(&guest, "icecore_cache_fallbacks_total");
    assert!(bucket.log_gets() == gets || alone > 0, "{} GETs", bucket.log_gets() - gets);

    // What the guest kept for itself then, the owner has as well from now on.
    assert!(owner.run("consume t --to end") == history);
    drop(owner.kill());
    assert!(guest.run("consume t --to end") == history, "in whatever role");
    wait_for("a next owner", || (metric(&guest, "icecore_cache_is_guest") == 0).then_some(()));
    let gets = bucket.log_gets();
    assert!(guest.run("consume t --to end") == history);
    assert_eq!(bucket.log_gets(), gets, "all of it is in the cache");
}

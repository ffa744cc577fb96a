//! Two read-only servers of one machine with one cache folder, as people run them beside a broker.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::broker::{Broker, files, wait_for};
use crate::read_only::SMALL_AND_OFTEN;
use crate::s3_answers as answers;

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
        let objects = files(&self.folder, "").into_iter().map(|path| {
            let key = path.strip_prefix(&self.folder).expect("below").display().to_string();
            (key, path.metadata().map_or(0, |found| found.len() as usize))
        });
        answers::list(objects, query)
    }

    fn get(&self, key: &str, headers: &HeaderMap) -> Response {
        match std::fs::read(self.folder.join(key)) {
            Ok(bytes) => answers::get(bytes.into(), headers),
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        }
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

/// Stops a broker whose topic `t` has so much in the store, and serves that as a bucket. Gives what the
/// topic has.
fn history(
    broker: Broker,
    runtime: &Runtime,
) -> (Vec<String>, tempfile::TempDir, Arc<Bucket>, u16) {
    let lines: Vec<_> = (0..400_000).map(|n| format!("{n} of these lines\n")).collect();
    broker.produce("t", &lines.concat());
    let store = broker.store();
    // Most of the eleven or so: more than half of the lines.
    wait_for("uploads", || (files(&store, ".log").len() >= 8).then_some(()));
    // From here on the store does not change.
    let folder = broker.stop();
    let (bucket, port) = Bucket::serve(runtime, folder.path().join("data/store"));
    (lines, folder, bucket, port)
}

#[test]
fn two_servers_share_one_cache_and_the_guest_goes_on_with_it_when_the_owner_is_killed() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("topic create t");
    let runtime = Runtime::new().expect("threads");
    let (lines, _folder, bucket, port) = history(broker, &runtime);
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

#[test]
fn a_server_that_only_reads_keeps_what_the_brokers_policy_says_and_so_does_its_guest() {
    let broker = Broker::start(SMALL_AND_OFTEN);
    broker.run("policy set hot --topics t --config tiering.cache.class=keep");
    broker.run("topic create t");
    let runtime = Runtime::new().expect("threads");
    let (_, _folder, _bucket, port) = history(broker, &runtime);
    let shared = tempfile::tempdir().expect("dir");
    let owner = reader(port, &shared.path().join("cache"));
    let guest = reader(port, &shared.path().join("cache"));
    for server in [&owner, &guest] {
        wait_for("some history", || {
            server.json("tier status")[0]["log_end_offset"].as_u64().filter(|end| *end > 200_000)
        });
    }
    let kept = || metric(&owner, "icecore_cache_class_bytes{class=\"keep\"}");
    for (server, words) in [(&guest, "--to 100000"), (&owner, "--from 100000 --to end")] {
        let before = kept();
        server.run(&format!("consume t {words}"));
        wait_for("all of it is kept", || {
            let held = metric(&owner, "icecore_cache_bytes");
            (kept() > before && kept() >= held).then_some(())
        });
    }
    assert_eq!(metric(&owner, "icecore_cache_class_bytes{class=\"pass\"}"), 0);
}

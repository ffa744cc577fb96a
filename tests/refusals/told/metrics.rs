//! Every metric that is listed counts: a broker at work, whose store fails now and then, brings each of
//! them to another value than zero, and shows no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use icecore::metrics::Metrics;
use icecore::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use icecore::wire::messages::find_coordinator::FindCoordinatorRequest;
use icecore::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use icecore::wire::messages::list_groups::ListGroupsRequest;
use icecore::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use icecore::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::broker::{Running, SOON, bound};
use crate::client::{Client, http_get, wanted};
use crate::store::{TIERED, tiered, value};
use crate::toy_s3::{Fault, ToyS3};

/// What this broker does not come to do here, and where it is seen to count instead.
const COUNTED_ELSEWHERE: &[(&str, &str)] = &[
    ("icecore_cache_fallbacks_total", "tiering/src/share"),
    ("icecore_cache_guests", "tests/refusals/cache.rs"),
    ("icecore_cache_is_guest", "tests/refusals/cache.rs"),
    ("icecore_cache_refused_guests_total", "tiering/src/share"),
    ("icecore_cache_shared_flights_total", "tiering/tests/tiering/processes.rs"),
    ("icecore_cache_shared_hits_total", "tiering/tests/tiering/processes.rs"),
    ("icecore_cache_wrong_chunks_total", "the tiering crate's tests of a damaged cache"),
    ("icecore_cold_read_bytes_total", "src/server/cold.rs"),
    ("icecore_cold_read_seconds", "src/server/cold.rs"),
    ("icecore_cold_reads_total", "src/server/cold.rs"),
    ("icecore_cold_reads_waiting", "tests/server_sockets/files.rs"),
    ("icecore_disk_dropped_bytes_total", "tests/refusals/disk.rs"),
    ("icecore_disk_dropped_segments_total", "tests/refusals/disk.rs"),
    ("icecore_disk_full_state", "tests/refusals/disk.rs"),
    ("icecore_disk_refused_batches_total", "tests/refusals/disk.rs"),
    ("icecore_file_copied_bytes_total", "src/server/delivery.rs"),
    ("icecore_follow_failures_total", "only a read-only server follows"),
    ("icecore_request_memory_waits_total", "tests/server_sockets/limits.rs"),
    ("kafka_server_replicamanager_offlinereplicacount", "nothing here makes a sync fail"),
    ("kafka_server_replicamanager_underreplicatedpartitions", "with one replica none can be"),
];

/// Which metrics were seen with another value than zero, by a look after the other.
pub(super) struct Seen {
    names: Arc<Mutex<BTreeSet<String>>>,
    pub(super) looking: JoinHandle<()>,
}

impl Seen {
    pub(super) fn at(broker: &Running) -> Self {
        let (names, address) = (Arc::<Mutex<BTreeSet<String>>>::default(), broker.http);
        let seen = names.clone();
        let listed: BTreeMap<String, BTreeSet<&'static str>> = Metrics::new()
            .list()
            .iter()
            .map(|metric| (metric.name.clone(), metric.labels.iter().copied().collect()))
            .collect();
        let looking = tokio::spawn(async move {
            loop {
                let page = http_get(address, "/metrics").await.1;
                for line in page.lines().filter(|line| !line.starts_with('#')) {
                    if let Some(name) = nonzero(line, &listed) {
                        seen.lock().insert(name);
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { names, looking }
    }

    fn has(&self, name: &str) -> bool {
        assert!(!self.looking.is_finished(), "a line of the page is not as it is listed");
        self.names.lock().contains(name)
    }

    pub(super) async fn wait_for(&self, broker: &Running, name: &str) {
        broker.until(name, async || self.has(name)).await;
    }
}

/// The listed name of a line whose value is not zero. Panics when it is not listed so.
fn nonzero(line: &str, listed: &BTreeMap<String, BTreeSet<&'static str>>) -> Option<String> {
    let (series, number) = line.rsplit_once(' ').expect("a series and a value");
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let whole = ["_bucket", "_count", "_sum"].iter().find_map(|part| {
        let base = name.strip_suffix(part)?;
        listed.contains_key(base).then_some(base)
    });
    let name = whole.unwrap_or(name);
    let known = listed.get(name).unwrap_or_else(|| panic!("{name} is not listed"));
    let labels = labels.trim_end_matches('}').split("\",");
    for label in labels.filter_map(|label| label.split_once('=')) {
        let is_known = known.contains(label.0) || label.0 == "le";
        assert!(is_known, "{name} has no label {}", label.0);
    }
    (number.parse::<f64>().expect("a number") != 0.0).then(|| name.to_owned())
}

/// The store's port, as the configuration names it.
fn port_of(dir: &Path) -> u16 {
    let text = std::fs::read_to_string(dir.join("icecore.toml")).expect("a configuration");
    let port = text.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next());
    port.and_then(|port| port.parse().ok()).expect("a port")
}

/// Puts an object into the bucket that no broker knows of.
async fn put_aside(dir: &Path, name: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port_of(dir))).await.expect("connected");
    let request = format!(
        "PUT /bucket/prefix/{name} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\
         connection: close\r\n\r\nx"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_table_is_counted_by_a_broker_at_work() {
    let dir = tempfile::tempdir().expect("dir");
    let toy = ToyS3::start(dir.path()).await;
    let file = dir.path().join("icecore.toml");
    let quick = "call_timeout = \"2s\"\nrequest_timeout = \"1500ms\"\n";
    let text = std::fs::read_to_string(&file).expect("a configuration") + quick;
    std::fs::write(&file, text).expect("written");
    let settings = [
        ("cluster.id", "told"),
        ("cache.bytes", "4194304"),
        ("max.connections", "8"),
        ("offsets.topic.num.partitions", "1"),
        ("tiering.gc.interval.ms", "1000"),
        ("tiering.gc.min.age.ms", "0"),
        ("tiering.meta.upload.interval.ms", "100"),
        ("tiering.replay.slowdown.max.percent", "20"),
    ];
    let broker = bound(dir.path(), Some("s3"), &settings).await;
    broker.ready().await;
    let seen = Seen::at(&broker);
    toy.remember();
    clients(&broker, &seen).await;
    groups(&broker, &seen).await;
    uploads(&broker, &seen, &toy, dir.path()).await;
    reads(&broker, &seen, &toy).await;
    outage(&broker, &seen, &toy).await;
    losses(&broker, &seen, &toy).await;
    deletions(&broker, &seen, &toy).await;
    let missing = || {
        let metrics = Metrics::new();
        let names = metrics.list().iter().map(|metric| metric.name.clone());
        let elsewhere = |name: &String| COUNTED_ELSEWHERE.iter().any(|(other, _)| other == name);
        names.filter(|name| !seen.has(name) && !elsewhere(name)).collect::<Vec<_>>()
    };
    let until = Instant::now() + SOON;
    while !missing().is_empty() {
        assert!(Instant::now() < until, "never counted: {:?}", missing());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen.looking.abort();
    broker.stop().await;
}

/// Good requests and bad ones, and too many connections.
async fn clients(broker: &Running, seen: &Seen) {
    let mut client = broker.client().await;
    tiered(broker, &mut client, "told").await;
    let two = [("min.insync.replicas", "2")];
    assert_eq!(client.create("two", &two).await.0, 0);
    assert_ne!(
        client.produce("told", b"no batch at all, but long enough to be looked at").await.error,
        0
    );
    assert_ne!(client.fetch("told", wanted(1 << 40)).await.error, 0);
    // A fetch that waits for records: a request in memory, in its purgatory.
    let mut waiting = broker.client().await;
    let end = i64::from(TIERED) + 1;
    let waits = tokio::spawn(async move { waiting.wait_at("told", end, 1_000).await });
    seen.wait_for(broker, "kafka_server_delayedoperationpurgatory_purgatorysize").await;
    assert_eq!(waits.await.expect("a wait"), 0);
    let mut many = Vec::new();
    for _ in 0..16 {
        many.push(Client::connect(broker.address).await);
    }
    seen.wait_for(broker, "icecore_connections_refused_total").await;
    drop(many);
    let open = "kafka_server_socket_server_metrics_connection_count 1\n";
    broker.until("closed", async || broker.get("/metrics").await.1.contains(open)).await;
}

/// A group that has a member and an offset, through all its states.
async fn groups(broker: &Running, seen: &Seen) {
    let kafka = |state: &str| format!("kafka_coordinator_group_groupmetadatamanager_{state}");
    let mut client = broker.client().await;
    let find = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    assert_eq!(client.call(4, &find, |answer| answer.coordinators[0].error_code).await, 0);
    let list = ListGroupsRequest::default();
    broker
        .until("read back", async || {
            broker.client().await.call(5, &list, |answer| answer.error_code).await == 0
        })
        .await;
    commit(&mut client, 1).await;
    seen.wait_for(broker, &kafka("numgroupsempty")).await;
    seen.wait_for(broker, "kafka_consumergroup_lag").await;
    let join = JoinGroupRequest {
        group_id: "members".into(),
        session_timeout_ms: 20_000,
        rebalance_timeout_ms: 20_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: b"m"[..].into(),
        }],
        ..Default::default()
    };
    let joined = client.call(3, &join, |answer| {
        assert_eq!(answer.error_code, 0);
        (answer.member_id.into_owned(), answer.generation_id)
    });
    let (member, generation) = joined.await;
    seen.wait_for(broker, &kafka("numgroupspreparingrebalance")).await;
    seen.wait_for(broker, &kafka("numgroupscompletingrebalance")).await;
    let assignment = SyncGroupRequestAssignment {
        member_id: member.clone().into(),
        assignment: b"a"[..].into(),
    };
    let sync = SyncGroupRequest {
        group_id: "members".into(),
        generation_id: generation,
        member_id: member.into(),
        assignments: vec![assignment],
        ..Default::default()
    };
    assert_eq!(client.call(3, &sync, |answer| answer.error_code).await, 0);
    seen.wait_for(broker, &kafka("numgroupsstable")).await;
}

const LOG: [&str; 2] = ["/told.", ".log"];

/// An upload that is refused, a slow one, snapshots that are refused, and an object without an owner.
async fn uploads(broker: &Running, seen: &Seen, toy: &ToyS3, dir: &Path) {
    let mut client = broker.client().await;
    put_aside(dir, "told/meta/probe-of-nobody").await;
    toy.order(Method::PUT, LOG, Fault::Status(403), 2);
    toy.order(Method::PUT, ["/meta/groups/", ""], Fault::Status(403), 2);
    toy.order(Method::HEAD, LOG, Fault::Late(Duration::from_millis(1_200)), 1);
    toy.order(Method::PUT, ["/meta/cluster/", ""], Fault::Busy(1), 1);
    for number in TIERED + 1..=2 * TIERED {
        client.acked("told", &value(number)).await;
    }
    assert_eq!(client.create("another", &[]).await.0, 0);
    for name in [
        "kafka_server_brokertopicmetrics_remotecopyerrors_total",
        "icecore_tiering_failing_partitions",
        "icecore_upload_lag_seconds",
        "icecore_not_uploaded_age_seconds",
        "icecore_store_slow_total",
        "icecore_store_throttled_total",
        "icecore_garbage_removed_total",
    ] {
        seen.wait_for(broker, name).await;
    }
    // A commit is what makes a snapshot of the groups due.
    commit(&mut client, 2).await;
    seen.wait_for(broker, "icecore_meta_upload_failures_total").await;
    let end = i64::from(2 * TIERED);
    broker
        .until("uploaded", async || broker.status("told").await["local_log_start_offset"] == end)
        .await;
}

/// Commits an offset of `told` for the group `g`.
async fn commit(client: &mut Client, offset: i64) {
    let partitions = vec![OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        ..Default::default()
    }];
    let topics =
        vec![OffsetCommitRequestTopic { name: "told".into(), partitions, ..Default::default() }];
    let commit = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics,
        ..Default::default()
    };
    let code = client.call(8, &commit, |answer| answer.topics[0].partitions[0].error_code).await;
    assert_eq!(code, 0);
}

/// Reads of the remote tier, a refused one among them.
async fn reads(broker: &Running, seen: &Seen, toy: &ToyS3) {
    let mut client = broker.client().await;
    let everything: Vec<_> = (0..=2 * TIERED).map(value).collect();
    assert!(client.values_at_last("told", 0).await == everything);
    toy.order(Method::GET, LOG, Fault::Status(403), 2);
    assert!(client.values_at_last("told", 0).await == everything, "the cache has no room for all");
    for name in [
        "kafka_server_brokertopicmetrics_remotefetcherrors_total",
        "icecore_cache_hits_total",
        "icecore_cache_evictions_total",
        "icecore_replay_behind_offsets",
        "icecore_replay_bytes_per_second",
    ] {
        seen.wait_for(broker, name).await;
    }
}

/// The store is down until it is left alone.
async fn outage(broker: &Running, seen: &Seen, toy: &ToyS3) {
    toy.switch(false);
    let mut client = broker.client().await;
    commit(&mut client, 3).await;
    let until = Instant::now() + SOON;
    while !seen.has("icecore_store_is_left_alone") || !seen.has("icecore_store_held_back_total") {
        assert!(Instant::now() < until, "not left alone in time");
        drop(client.fetch("told", wanted(0)).await);
    }
    seen.wait_for(broker, "icecore_meta_age_seconds").await;
    toy.switch(true);
    broker.until("well", async || broker.get("/readyz").await.1 == "ready\n").await;
}

/// Lists that show nothing, and one object that is not there.
async fn losses(broker: &Running, seen: &Seen, toy: &ToyS3) {
    toy.order(Method::HEAD, ["/told.", ".log"], Fault::Status(404), 1);
    toy.order(Method::GET, ["list-type", ""], Fault::Outdated, 20);
    seen.wait_for(broker, "icecore_missing_segments_total").await;
    seen.wait_for(broker, "icecore_store_unlisted_total").await;
}

/// Deletions, of which the first are refused.
async fn deletions(broker: &Running, seen: &Seen, toy: &ToyS3) {
    toy.order(Method::POST, ["delete", ""], Fault::Status(403), 6);
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: i64::from(TIERED) }];
    let topics = vec![DeleteRecordsTopic { name: "told".into(), partitions }];
    let request = DeleteRecordsRequest { topics, timeout_ms: 5_000 };
    let mut client = broker.client().await;
    let code = client.call(2, &request, |answer| answer.topics[0].partitions[0].error_code).await;
    assert_eq!(code, 0);
    for name in [
        "kafka_server_brokertopicmetrics_remotedeleteerrors_total",
        "kafka_server_brokertopicmetrics_remotedeletelagbytes",
        "icecore_store_objects_deleted_total",
    ] {
        seen.wait_for(broker, name).await;
    }
}

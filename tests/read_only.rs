//! A read-only server beside the cluster's broker, or after its end: the same records from the same
//! store, and nothing in the store that is any different for it.

#[cfg(test)]
mod client;
#[cfg(test)]
#[path = "client/follower.rs"]
mod follower;
#[cfg(test)]
#[path = "client/history.rs"]
mod history;
#[cfg(test)]
#[path = "client/topics.rs"]
mod topics;

#[cfg(test)]
mod read_only {
    use std::borrow::Cow;
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use icecore::app::Bound;
    use icecore::wire::Records;
    use icecore::wire::messages::delete_records::{
        DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
    };
    use icecore::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
    use icecore::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
    use icecore::wire::messages::find_coordinator::FindCoordinatorRequest;
    use icecore::wire::messages::metadata::{MetadataRequest, MetadataResponseTopic};
    use icecore::wire::messages::offset_commit::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use icecore::wire::messages::offset_fetch::{
        OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
    };
    use icecore::wire::messages::offset_for_leader_epoch::{
        OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
    };

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_util::sync::CancellationToken;

    use super::client::{Broker, Client};
    use super::follower::read_only;
    use super::history::{list_offset, produce, replay};
    use super::topics::creation;

    /// No test waits longer for what must happen.
    const SOON: Duration = Duration::from_secs(60);
    /// A broker that uploads and tells at once.
    const OFTEN: [(&str, &str); 3] = [
        ("log.retention.check.interval.ms", "50"),
        ("remote.log.manager.task.interval.ms", "50"),
        ("tiering.meta.upload.interval.ms", "100"),
    ];
    const FOLLOWING: (&str, &str) = ("tiering.follow.interval.ms", "100");
    /// Only what readers run into is looked at again.
    const NEVER_FOLLOWING: (&str, &str) = ("tiering.follow.interval.ms", "3600000");
    const TIERED: [(&str, &str); 3] =
        [("segment.bytes", "1048576"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
    const EARLIEST: i64 = -2;
    const LATEST: i64 = -1;
    /// The last offset in the remote tier (KIP-1005).
    const LATEST_TIERED: i64 = -5;
    const OFFSET_OUT_OF_RANGE: i16 = 1;
    const UNKNOWN_TOPIC: i16 = 3;
    const STORAGE_ERROR: i16 = 56;

    async fn create(client: &mut Client, name: &'static str) {
        let request = creation(name, 2, &TIERED);
        assert_eq!(client.ask(7, &request).await.topics[0].error_code, 0);
    }

    async fn delete(client: &mut Client, name: &'static str) {
        let state = DeleteTopicState { name: Some(name.into()), ..Default::default() };
        let request =
            DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
        assert_eq!(client.ask(6, &request).await.responses[0].error_code, 0);
    }

    async fn delete_records(client: &mut Client, topic: &'static str, below: i64) {
        let partition = DeleteRecordsPartition { offset: below, ..Default::default() };
        let topic = DeleteRecordsTopic { name: topic.into(), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000 };
        assert_eq!(client.ask(2, &request).await.topics[0].partitions[0].error_code, 0);
    }

    /// Waits until something holds.
    async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
        let (mut holds, deadline) = (holds, Instant::now() + SOON);
        while !holds().await {
            assert!(Instant::now() < deadline, "{what} in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the remote tier has more than `wanted`, and returns the offset after the last there.
    async fn tiered(client: &mut Client, topic: &'static str, wanted: i64) -> i64 {
        let mut last = -1;
        until("it is uploaded", async || {
            last = list_offset(client, topic, LATEST_TIERED).await;
            last >= wanted
        })
        .await;
        last + 1
    }

    /// Waits until a server knows of a topic up to an offset.
    async fn knows(client: &mut Client, topic: &'static str, end: i64) {
        until("it is followed", async || {
            described(client, topic).await.is_some()
                && list_offset(client, topic, LATEST).await == end
        })
        .await;
    }

    async fn described(
        client: &mut Client,
        topic: &'static str,
    ) -> Option<MetadataResponseTopic<'static>> {
        let request = MetadataRequest { topics: None, ..Default::default() };
        let topics = client.ask(12, &request).await.topics;
        topics.into_iter().find(|found| found.name.as_deref() == Some(topic))
    }

    /// What one fetch by name from partition 0 is answered: an error, 0 with records, `None` without.
    async fn fetched(client: &mut Client, topic: &'static str, from: i64) -> Option<i16> {
        let partition =
            FetchPartition { fetch_offset: from, partition_max_bytes: 1, ..Default::default() };
        let topic =
            FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let answer = client.ask(11, &request).await;
        let answer = &answer.responses[0].partitions[0];
        let has_records = matches!(&answer.records, Records::Inline(bytes) if !bytes.is_empty());
        (answer.error_code != 0 || has_records).then_some(answer.error_code)
    }

    /// Every file and folder of a store. What goes meanwhile is left out.
    fn names(store: &Path) -> Vec<PathBuf> {
        let (mut open, mut found) = (vec![store.to_owned()], Vec::new());
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        found
    }

    /// Whether any object of a store has that in its name.
    fn has(store: &Path, part: &str) -> bool {
        names(store).iter().any(|name| name.is_file() && name.to_string_lossy().contains(part))
    }

    /// Every file and folder of a store with what is in it.
    fn contents(store: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let read = |name: PathBuf| {
            let bytes = name.is_file().then(|| std::fs::read(&name).expect("a file"));
            (name, bytes)
        };
        names(store).into_iter().map(read).collect()
    }

    /// The broker with `ice` in the store up to the offset that is given, and a client of it.
    async fn with_ice(data_dir: &Path, records: i64) -> (Broker, Client, i64) {
        let broker = Broker::start(data_dir, &OFTEN).await;
        let mut client = Client::connect(broker.address).await;
        create(&mut client, "ice").await;
        produce(&mut client, "ice", 0..records).await;
        let end = tiered(&mut client, "ice", records - 1_200).await;
        (broker, client, end)
    }

    /// What a server plans for the records from one time to another, and whether it is sure.
    async fn planned(http: SocketAddr, from_ms: i64, to_ms: i64) -> (i64, i64, bool) {
        let ask = format!("topic=ice&partitions=0&from={from_ms}ms&to={to_ms}ms");
        let ask = format!("GET /v1/replay-plan?{ask} HTTP/1.0\r\nHost: server\r\n\r\n");
        let mut stream = TcpStream::connect(http).await.expect("a connection");
        stream.write_all(ask.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let plan: serde_json::Value = serde_json::from_str(body).expect(body);
        let plan = &plan["partitions"][0];
        let offset = |name: &str| plan[name].as_i64().expect(name);
        (offset("from_offset"), offset("to_offset"), plan["exact"] == true)
    }

    /// A client whose server has read its groups back.
    async fn with_groups(server: &Broker) -> Client {
        let mut client = Client::connect(server.address).await;
        let keys = vec![Cow::Borrowed("g")];
        let find = FindCoordinatorRequest { coordinator_keys: keys, ..Default::default() };
        assert_eq!(client.ask(4, &find).await.coordinators[0].error_code, 0);
        client
    }

    async fn commit(client: &mut Client, group: &'static str, offset: i64) {
        until("the groups are read back", async || {
            let partition = OffsetCommitRequestPartition {
                committed_offset: offset,
                committed_metadata: Some("".into()),
                ..Default::default()
            };
            let topic = OffsetCommitRequestTopic {
                name: "ice".into(),
                partitions: vec![partition],
                ..Default::default()
            };
            let request = OffsetCommitRequest {
                group_id: group.into(),
                generation_id_or_member_epoch: -1,
                topics: vec![topic],
                ..Default::default()
            };
            client.ask(8, &request).await.topics[0].partitions[0].error_code == 0
        })
        .await;
    }

    /// The committed offset, -1 when there is none.
    async fn committed(client: &mut Client, group: &'static str) -> i64 {
        let mut found = -1;
        until("the groups are read back", async || {
            let topic = OffsetFetchRequestTopics {
                name: "ice".into(),
                partition_indexes: vec![0],
                ..Default::default()
            };
            let group = OffsetFetchRequestGroup {
                group_id: group.into(),
                topics: Some(vec![topic]),
                ..Default::default()
            };
            let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
            let answer = client.ask(8, &request).await;
            let is_told = answer.groups[0].error_code == 0;
            if is_told {
                found = answer.groups[0].topics[0].partitions[0].committed_offset;
            }
            is_told
        })
        .await;
        found
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_replay_between_two_times_is_planned_by_a_server_that_knows_segments_by_their_names()
    {
        let (dir, beside) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let (broker, _, end) = with_ice(dir.path(), 4_000).await;
        let config = read_only(beside.path(), &dir.path().join("store"), &[FOLLOWING]);
        let bound = Bound::bind(config).await.expect("free ports");
        let (address, http) = bound.addresses().expect("bound addresses");
        let stop = CancellationToken::new();
        let running = tokio::spawn(bound.run(stop.clone()));
        knows(&mut Client::connect(address).await, "ice", end).await;

        // A record's time is its offset; a segment has about a thousand of them.
        for (from_ms, to_ms) in [(100, 200), (1_300, 1_400), (2_100, 2_200), (1_500, 2_500)] {
            let (from, to, is_exact) = planned(http, from_ms, to_ms).await;
            let off = (from - from_ms).abs().max((to - to_ms).abs());
            assert!(off < 60 && !is_exact, "{from}..{to} for {from_ms}..{to_ms}");
        }
        stop.cancel();
        running.await.expect("no panic").expect("no error");
        broker.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_beside_the_broker_reads_the_same_records_and_goes_along_with_it() {
        let (dir, beside) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let (broker, mut of_broker, end) = with_ice(dir.path(), 3_000).await;
        let config = read_only(beside.path(), &dir.path().join("store"), &[FOLLOWING]);
        let reader = Broker::over(config).await;
        let mut client = Client::connect(reader.address).await;
        knows(&mut client, "ice", end).await;
        assert_eq!(list_offset(&mut client, "ice", EARLIEST).await, 0);
        assert_eq!(list_offset(&mut client, "ice", 1_234).await, 1_234, "by its time");
        replay(&mut client, "ice", 0..end).await;
        let (shown, led) =
            (described(&mut client, "ice").await, described(&mut of_broker, "ice").await);
        let id =
            |topic: &Option<MetadataResponseTopic<'_>>| topic.as_ref().map(|topic| topic.topic_id);
        assert_eq!(id(&shown), id(&led), "it is the same topic");

        // Whoever waits at the end gets what is uploaded while it waits, and the next topic is seen too.
        let mut waiting = Client::connect(reader.address).await;
        let waits = async {
            until("records come", async || fetched(&mut waiting, "ice", end).await == Some(0))
                .await;
        };
        let uploads = async {
            create(&mut of_broker, "snow").await;
            produce(&mut of_broker, "snow", 0..2_000).await;
            produce(&mut of_broker, "ice", 3_000..6_000).await;
            let of_ice = tiered(&mut of_broker, "ice", 4_800).await;
            (of_ice, tiered(&mut of_broker, "snow", 900).await)
        };
        let ((), (end, of_snow)) = tokio::join!(waits, uploads);
        knows(&mut client, "ice", end).await;
        knows(&mut client, "snow", of_snow).await;
        replay(&mut client, "ice", 2_900..end).await;
        replay(&mut client, "snow", 0..of_snow).await;

        // A restart raises every leader epoch: a client that has seen one must never see a lower one.
        broker.end().await;
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut of_broker = Client::connect(broker.address).await;
        produce(&mut of_broker, "ice", 6_000..9_000).await;
        let end = tiered(&mut of_broker, "ice", 7_800).await;
        knows(&mut client, "ice", end).await;
        replay(&mut client, "ice", 5_900..end).await;
        let epoch = |topic: Option<MetadataResponseTopic<'_>>| {
            topic.expect("the topic").partitions[0].leader_epoch
        };
        let led = epoch(described(&mut of_broker, "ice").await);
        until("the epoch is followed", async || epoch(described(&mut client, "ice").await) == led)
            .await;
        for (asked, ends) in [(led, end), (led - 1, 6_000)] {
            let partition = OffsetForLeaderPartition {
                current_leader_epoch: led,
                leader_epoch: asked,
                ..Default::default()
            };
            let topic = OffsetForLeaderTopic { topic: "ice".into(), partitions: vec![partition] };
            let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
            let answer = client.ask(4, &request).await;
            let answer = &answer.topics[0].partitions[0];
            assert_eq!((answer.leader_epoch, answer.end_offset), (asked, ends));
        }
        reader.end().await;
        broker.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_servers_at_one_store_change_nothing_in_it_and_share_no_offsets() {
        let dir = tempfile::tempdir().expect("dir");
        let dirs = [0, 1].map(|_| tempfile::tempdir().expect("dir"));
        let (broker, mut of_broker, end) = with_ice(dir.path(), 3_000).await;
        with_groups(&broker).await;
        commit(&mut of_broker, "of-the-cluster", 77).await;
        broker.end().await;
        let store = dir.path().join("store");
        let before = contents(&store);
        assert!(before.len() > 10, "{:?}", names(&store));

        let mut servers = Vec::new();
        for dir in &dirs {
            servers.push(Broker::over(read_only(dir.path(), &store, &[FOLLOWING])).await);
        }
        for (server, offset) in servers.iter().zip([111, 222]) {
            let mut client = with_groups(server).await;
            knows(&mut client, "ice", end).await;
            replay(&mut client, "ice", 0..end).await;
            assert_eq!(committed(&mut client, "of-the-cluster").await, -1, "the cluster's own");
            commit(&mut client, "readers", offset).await;
        }
        for server in servers {
            server.end().await;
        }
        for (dir, offset) in dirs.iter().zip([111, 222]) {
            let server = Broker::over(read_only(dir.path(), &store, &[FOLLOWING])).await;
            let mut client = with_groups(&server).await;
            assert_eq!(committed(&mut client, "readers").await, offset, "it outlives the server");
            replay(&mut client, "ice", end - 100..end).await;
            server.end().await;
        }
        let all: Vec<_> = before.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names(&store), all);
        assert!(contents(&store) == before, "the same bytes");

        // And its owner goes on as if nobody had been there.
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut of_broker = with_groups(&broker).await;
        assert_eq!(committed(&mut of_broker, "of-the-cluster").await, 77);
        replay(&mut of_broker, "ice", 0..3_000).await;
        broker.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_retention_ended_is_out_of_range_as_soon_as_a_reader_runs_into_it() {
        let (dir, beside) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let (broker, mut of_broker, end) = with_ice(dir.path(), 6_000).await;
        let store = dir.path().join("store");
        let reader = Broker::over(read_only(beside.path(), &store, &[NEVER_FOLLOWING])).await;
        let mut client = Client::connect(reader.address).await;
        knows(&mut client, "ice", end).await;
        delete_records(&mut of_broker, "ice", 2_500).await;
        let first = format!("/{:020}-", 0);
        until("the first objects are deleted", async || !has(&store, &first)).await;
        let mut answer = None;
        until("the fetch is answered", async || {
            answer = fetched(&mut client, "ice", 0).await;
            answer.is_some_and(|code| code != STORAGE_ERROR)
        })
        .await;
        assert_eq!(answer, Some(OFFSET_OUT_OF_RANGE));
        let start = list_offset(&mut client, "ice", EARLIEST).await;
        assert!((1..=2_500).contains(&start), "{start}");
        replay(&mut client, "ice", 2_500..end).await;

        // The next one knows from the start where the log begins.
        reader.end().await;
        let reader = Broker::over(read_only(beside.path(), &store, &[NEVER_FOLLOWING])).await;
        let mut client = Client::connect(reader.address).await;
        knows(&mut client, "ice", tiered(&mut of_broker, "ice", end - 1).await).await;
        assert_eq!(list_offset(&mut client, "ice", EARLIEST).await, 2_500);
        assert_eq!(fetched(&mut client, "ice", 2_499).await, Some(OFFSET_OUT_OF_RANGE));
        reader.end().await;
        broker.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_that_is_deleted_is_gone_for_readers_and_one_of_its_name_is_another() {
        let (dir, beside) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let (broker, mut of_broker, end) = with_ice(dir.path(), 3_000).await;
        let store = dir.path().join("store");
        let reader = Broker::over(read_only(beside.path(), &store, &[FOLLOWING])).await;
        let mut client = with_groups(&reader).await;
        knows(&mut client, "ice", end).await;
        replay(&mut client, "ice", 0..end).await;
        commit(&mut client, "readers", 5).await;
        let first = described(&mut client, "ice").await.expect("the topic").topic_id;
        delete(&mut of_broker, "ice").await;
        until("it is gone", async || described(&mut client, "ice").await.is_none()).await;
        assert_eq!(fetched(&mut client, "ice", 0).await, Some(UNKNOWN_TOPIC));

        create(&mut of_broker, "ice").await;
        produce(&mut of_broker, "ice", 0..2_000).await;
        let end = tiered(&mut of_broker, "ice", 900).await;
        knows(&mut client, "ice", end).await;
        assert_ne!(described(&mut client, "ice").await.expect("the topic").topic_id, first);
        replay(&mut client, "ice", 0..end).await;
        assert_eq!(committed(&mut client, "readers").await, -1, "it was an offset of the old one");
        let folders = std::fs::read_dir(beside.path().join("log")).expect("log folder");
        let of_ice = folders.map(|entry| entry.expect("entry").file_name());
        let mut of_ice: Vec<_> =
            of_ice.filter(|name| name.to_string_lossy().starts_with("ice-")).collect();
        of_ice.sort();
        assert_eq!(of_ice, ["ice-0", "ice-1"], "nothing of the old one is left");

        // Gone and there again while no server runs.
        reader.end().await;
        delete(&mut of_broker, "ice").await;
        create(&mut of_broker, "ice").await;
        produce(&mut of_broker, "ice", 0..3_000).await;
        let end = tiered(&mut of_broker, "ice", 1_800).await;
        let reader = Broker::over(read_only(beside.path(), &store, &[FOLLOWING])).await;
        let mut client = Client::connect(reader.address).await;
        knows(&mut client, "ice", end).await;
        replay(&mut client, "ice", 0..end).await;
        reader.end().await;
        broker.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_fetch_of_a_topic_that_is_gone_ends_in_the_right_error_without_a_look_by_the_clock() {
        let (dir, beside) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let (broker, mut of_broker, end) = with_ice(dir.path(), 3_000).await;
        let store = dir.path().join("store");
        let reader = Broker::over(read_only(beside.path(), &store, &[NEVER_FOLLOWING])).await;
        let mut client = Client::connect(reader.address).await;
        knows(&mut client, "ice", end).await;
        delete(&mut of_broker, "ice").await;
        until("its objects are deleted", async || !has(&store, "/ice.")).await;
        // At its end the broker has told all.
        broker.end().await;
        until("it is answered so", async || {
            let answer = fetched(&mut client, "ice", 0).await;
            let fits = [None, Some(STORAGE_ERROR), Some(UNKNOWN_TOPIC)].contains(&answer);
            assert!(fits, "{answer:?}");
            answer == Some(UNKNOWN_TOPIC)
        })
        .await;
        reader.end().await;
    }
}

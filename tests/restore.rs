//! A broker whose disk is wiped comes back from its store.

#[cfg(test)]
mod client;
#[cfg(test)]
#[path = "client/history.rs"]
mod history;
#[cfg(test)]
#[path = "client/settings.rs"]
mod settings;
#[cfg(test)]
#[path = "client/topics.rs"]
mod topics;

#[cfg(test)]
mod restore {
    use std::borrow::Cow;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use icecore::app::{
        Bound, RestoreOptions, RestoreProgress, RestoreReport, RestoreStep, RestoreWatch,
        Unwatched, restore as restore_from,
    };
    use icecore::config::{BrokerConfig, Places, Sources};
    use icecore::wire::messages::delete_records::{
        DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
    };
    use icecore::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
    use icecore::wire::messages::find_coordinator::FindCoordinatorRequest;
    use icecore::wire::messages::metadata::{MetadataRequest, MetadataResponse};
    use icecore::wire::messages::offset_commit::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use icecore::wire::messages::offset_fetch::{
        OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
    };

    use icecore_tiering::TakeOver;

    use super::client::{Broker, Client};
    use super::history::{list_offset, produce, replay};
    use super::settings::{BROKER, Described, alter, described};
    use super::topics::creation;

    /// No test waits longer for what must happen.
    const SOON: Duration = Duration::from_secs(60);
    const OFTEN: [(&str, &str); 4] = [
        ("log.retention.check.interval.ms", "50"),
        ("remote.log.manager.task.interval.ms", "50"),
        ("tiering.meta.upload.interval.ms", "100"),
        ("offsets.topic.num.partitions", "3"),
    ];
    const TIERED: [(&str, &str); 3] =
        [("segment.bytes", "1048576"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
    /// The kind of topics.
    const TOPIC: i8 = 2;
    const THIS_BROKER: (i8, &str) = (BROKER, "0");
    const EARLIEST: i64 = -2;
    const LATEST: i64 = -1;
    /// The last offset in the remote tier (KIP-1005).
    const LATEST_TIERED: i64 = -5;

    async fn create(client: &mut Client, name: &str, settings: &[(&str, &str)]) {
        let request = creation(name, 2, settings);
        assert_eq!(client.ask(7, &request).await.topics[0].error_code, 0);
    }

    async fn delete(client: &mut Client, name: &'static str) {
        let state = DeleteTopicState { name: Some(name.into()), ..Default::default() };
        let request =
            DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
        assert_eq!(client.ask(6, &request).await.responses[0].error_code, 0);
    }

    /// Waits until the remote tier has more than `wanted`, and returns the last offset there.
    async fn tiered(client: &mut Client, topic: &'static str, wanted: i64) -> i64 {
        let deadline = Instant::now() + SOON;
        loop {
            let last = list_offset(client, topic, LATEST_TIERED).await;
            if last >= wanted {
                return last;
            }
            assert!(Instant::now() < deadline, "{topic} is uploaded up to {wanted}, not {last}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn delete_records(client: &mut Client, topic: &'static str, below: i64) {
        let partition = DeleteRecordsPartition { offset: below, ..Default::default() };
        let topic = DeleteRecordsTopic { name: topic.into(), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000 };
        assert_eq!(client.ask(2, &request).await.topics[0].partitions[0].error_code, 0);
    }

    /// A client whose broker has read its groups back.
    async fn client(broker: &Broker) -> Client {
        let mut client = Client::connect(broker.address).await;
        let keys = vec![Cow::Borrowed("g")];
        let find = FindCoordinatorRequest { coordinator_keys: keys, ..Default::default() };
        assert_eq!(client.ask(4, &find).await.coordinators[0].error_code, 0);
        client
    }

    async fn commit(client: &mut Client, group: &str, topic: &str, offset: i64) {
        let deadline = Instant::now() + SOON;
        loop {
            let partition = OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                committed_metadata: Some(format!("words of {group}").into()),
                ..Default::default()
            };
            let topic = OffsetCommitRequestTopic {
                name: topic.to_owned().into(),
                partitions: vec![partition],
                ..Default::default()
            };
            let request = OffsetCommitRequest {
                group_id: group.to_owned().into(),
                generation_id_or_member_epoch: -1,
                topics: vec![topic],
                ..Default::default()
            };
            let answer = client.ask(8, &request).await;
            match answer.topics[0].partitions[0].error_code {
                0 => return,
                // The groups are being read back.
                14 => assert!(Instant::now() < deadline, "the groups are read back"),
                other => panic!("commit: {other}"),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn committed(client: &mut Client, group: &str, topic: &str) -> (i64, String) {
        let deadline = Instant::now() + SOON;
        loop {
            let topic = OffsetFetchRequestTopics {
                name: topic.to_owned().into(),
                partition_indexes: vec![0],
                ..Default::default()
            };
            let group = OffsetFetchRequestGroup {
                group_id: group.to_owned().into(),
                topics: Some(vec![topic]),
                ..Default::default()
            };
            let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
            let answer = client.ask(8, &request).await;
            match answer.groups[0].error_code {
                0 => {
                    let partition = &answer.groups[0].topics[0].partitions[0];
                    let words = partition.metadata.as_deref().unwrap_or_default().to_owned();
                    return (partition.committed_offset, words);
                }
                14 => assert!(Instant::now() < deadline, "the groups are read back"),
                other => panic!("fetch of offsets: {other}"),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn metadata(client: &mut Client) -> MetadataResponse<'static> {
        client.ask(12, &MetadataRequest { topics: None, ..Default::default() }).await
    }

    /// Names, ids and partitions of all topics.
    fn topics(metadata: &MetadataResponse<'_>) -> Vec<(String, String, usize)> {
        let of = |topic: &icecore::wire::messages::metadata::MetadataResponseTopic<'_>| {
            let name = topic.name.as_deref().unwrap_or_default().to_owned();
            (name, topic.topic_id.to_string(), topic.partitions.len())
        };
        metadata.topics.iter().map(of).collect()
    }

    fn epoch(metadata: &MetadataResponse<'_>, topic: &str) -> i32 {
        let found = metadata.topics.iter().find(|found| found.name.as_deref() == Some(topic));
        found.expect("the topic").partitions[0].leader_epoch
    }

    /// What was given at runtime for a topic or a broker.
    async fn given(client: &mut Client, whose: (i8, &'static str)) -> Vec<Described> {
        let (of_topic, of_all_brokers) = (1, 3);
        let mut given = described(client, whose, None).await;
        given.retain(|setting| (of_topic..=of_all_brokers).contains(&setting.source));
        given.sort();
        given
    }

    /// Removes all but the store.
    fn wipe(data_dir: &Path) {
        for entry in std::fs::read_dir(data_dir).expect("data directory") {
            let path = entry.expect("entry").path();
            match path.is_dir() {
                _ if path.ends_with("store") => {}
                true => std::fs::remove_dir_all(path).expect("a folder goes"),
                false => std::fs::remove_file(path).expect("a file goes"),
            }
        }
    }

    fn config(data_dir: &Path) -> BrokerConfig {
        let any_port = || Some("127.0.0.1:0".to_owned());
        let places = Places {
            data_dir: Some(data_dir.to_owned()),
            listen: any_port(),
            http: any_port(),
            ..Places::default()
        };
        let config = BrokerConfig::load(&Sources { file: None, places, settings: Vec::new() });
        config.expect("good settings")
    }

    /// The broker that had the disk ended in order: nobody is waited for.
    const WHEN_FREE: RestoreOptions =
        RestoreOptions { cluster_id: None, take_over: TakeOver::WhenFree };

    async fn restore(data_dir: &Path) -> RestoreReport {
        restore_from(&config(data_dir), &WHEN_FREE, &Unwatched).await.expect("restored")
    }

    /// Ends the restore at a step.
    struct DieAt(RestoreStep);

    impl RestoreWatch for DieAt {
        fn reached(&self, step: RestoreStep) -> bool {
            step != self.0
        }

        fn progress(&self, _progress: RestoreProgress) {}
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wiped_disk_comes_back_with_topics_records_groups_and_log_starts() {
        let dir = tempfile::tempdir().expect("dir");
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client(&broker).await;
        create(&mut client, "ice", &TIERED).await;
        create(&mut client, "kept", &[("retention.bytes", "123456"), ("segment.ms", "4000")]).await;
        create(&mut client, "gone", &TIERED).await;
        produce(&mut client, "ice", 0..4_000).await;
        produce(&mut client, "gone", 0..2_000).await;
        // A segment holds a thousand of them; the last one is never uploaded.
        let last = tiered(&mut client, "ice", 2_999).await;
        let end = list_offset(&mut client, "ice", LATEST).await;
        assert_eq!((last, end), (2_999, 4_000));
        delete_records(&mut client, "ice", 123).await;
        delete(&mut client, "gone").await;
        commit(&mut client, "inside", "ice", 1_000).await;
        commit(&mut client, "beyond", "ice", end).await;
        commit(&mut client, "empty", "kept", 0).await;
        let before = metadata(&mut client).await;
        let rate = ("remote.log.manager.copy.max.bytes.per.second", Some("987654321"));
        assert_eq!(alter(&mut client, THIS_BROKER, rate, false).await, 0);
        let kept = given(&mut client, (TOPIC, "kept")).await;
        let of_broker = given(&mut client, THIS_BROKER).await;
        assert_eq!((kept.len(), of_broker.len()), (2, 1));
        broker.end().await;

        wipe(dir.path());
        let report = restore(dir.path()).await;
        assert_eq!((report.committed_offsets, report.cut_offsets), (3, 1), "{report:?}");
        assert!(report.damaged.is_empty() && report.left.is_empty(), "{report:?}");
        let told: Vec<_> = report.topics.iter().map(|topic| topic.name.as_str()).collect();
        assert_eq!(told, ["__consumer_offsets", "ice", "kept"]);

        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client_of(&broker).await;
        let after = metadata(&mut client).await;
        assert_eq!(topics(&after), topics(&before));
        assert_eq!(after.cluster_id, before.cluster_id);
        assert!(epoch(&after, "ice") > epoch(&before, "ice") + 1, "above all that ever were");
        assert_eq!(given(&mut client, (TOPIC, "kept")).await, kept);
        assert_eq!(given(&mut client, THIS_BROKER).await, of_broker);
        assert_eq!(list_offset(&mut client, "ice", EARLIEST).await, 123);
        assert_eq!(list_offset(&mut client, "ice", LATEST).await, last + 1);
        replay(&mut client, "ice", 123..last + 1).await;
        assert_eq!(
            committed(&mut client, "inside", "ice").await,
            (1_000, "words of inside".into())
        );
        let cut = (last + 1, "words of beyond".to_owned());
        assert_eq!(committed(&mut client, "beyond", "ice").await, cut);
        assert_eq!(committed(&mut client, "empty", "kept").await.0, 0);

        // Life goes on, and a second loss is survived as the first one was.
        produce(&mut client, "ice", last + 1..last + 3_001).await;
        let last = tiered(&mut client, "ice", last + 2_000).await;
        broker.end().await;
        wipe(dir.path());
        restore(dir.path()).await;
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client_of(&broker).await;
        replay(&mut client, "ice", 123..last + 1).await;
        assert_eq!(committed(&mut client, "inside", "ice").await.0, 1_000);
        broker.end().await;
    }

    async fn client_of(broker: &Broker) -> Client {
        Client::connect(broker.address).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_restore_that_dies_at_any_step_is_made_again() {
        let dir = tempfile::tempdir().expect("dir");
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client(&broker).await;
        create(&mut client, "ice", &TIERED).await;
        produce(&mut client, "ice", 0..3_000).await;
        let last = tiered(&mut client, "ice", 1_000).await;
        commit(&mut client, "g", "ice", 700).await;
        broker.end().await;
        wipe(dir.path());
        let config = config(dir.path());
        for step in RestoreStep::ALL {
            let died = restore_from(&config, &WHEN_FREE, &DieAt(step)).await;
            assert!(died.is_err(), "{step:?}");
            let bound = Bound::bind(config.clone()).await.expect("free ports");
            let refused = bound.run(tokio_util::sync::CancellationToken::new()).await;
            let refused = refused.expect_err("no broker starts on it").to_string();
            assert!(refused.contains("was broken off"), "{step:?}: {refused}");
        }
        // A broker that restores by itself makes it again by itself.
        let died = restore_from(&config, &WHEN_FREE, &DieAt(RestoreStep::MetadataWritten)).await;
        assert!(died.is_err());
        let by_itself = [&OFTEN[..], &[("tiering.on.empty.disk", "restore")]].concat();
        let broker = Broker::start(dir.path(), &by_itself).await;
        replay(&mut client_of(&broker).await, "ice", 0..last + 1).await;
        broker.end().await;
        wipe(dir.path());

        let report = restore(dir.path()).await;
        assert_eq!(report.committed_offsets, 1);
        let again =
            restore_from(&config, &WHEN_FREE, &Unwatched).await.expect_err("it is full now");
        assert!(again.to_string().contains("is not empty"), "{again}");
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client_of(&broker).await;
        assert!(list_offset(&mut client, "ice", LATEST).await > last);
        replay(&mut client, "ice", 0..last + 1).await;
        assert_eq!(committed(&mut client, "g", "ice").await.0, 700);
        broker.end().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_bound_on_the_upload_lag_is_the_bound_of_what_a_lost_disk_loses() {
        let dir = tempfile::tempdir().expect("dir");
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client_of(&broker).await;
        create(&mut client, "ice", &[("tiering.max.upload.lag.ms", "300"), ("retention.ms", "-1")])
            .await;
        // Far too little for a segment, and no time-out of its own.
        produce(&mut client, "ice", 0..20).await;
        assert_eq!(tiered(&mut client, "ice", 19).await, 19, "all of it, by the bound alone");
        produce(&mut client, "ice", 20..30).await;
        assert_eq!(tiered(&mut client, "ice", 29).await, 29);
        broker.end().await;
        wipe(dir.path());
        restore(dir.path()).await;
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client_of(&broker).await;
        assert_eq!(list_offset(&mut client, "ice", LATEST).await, 30);
        replay(&mut client, "ice", 0..30).await;
        broker.end().await;
    }

    /// The start of a broker that is refused.
    async fn refused(config: BrokerConfig) -> String {
        let bound = Bound::bind(config).await.expect("free ports");
        let ended = bound.run(tokio_util::sync::CancellationToken::new()).await;
        ended.expect_err("it does not start").to_string()
    }

    fn config_over(data_dir: &Path, store: &Path, settings: &[(&str, &str)]) -> BrokerConfig {
        let any_port = || Some("127.0.0.1:0".to_owned());
        let places = Places {
            data_dir: Some(data_dir.to_owned()),
            listen: any_port(),
            http: any_port(),
            store: Some(format!("file://{}", store.display())),
            ..Places::default()
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = settings.iter().map(owned).collect();
        BrokerConfig::load(&Sources { file: None, places, settings }).expect("good settings")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_empty_disk_takes_nothing_over_unless_it_is_told_to() {
        let (dir, other) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let store = dir.path().join("store");
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client(&broker).await;
        create(&mut client, "ice", &TIERED).await;
        produce(&mut client, "ice", 0..2_000).await;
        let last = tiered(&mut client, "ice", 999).await;
        let cluster = metadata(&mut client).await.cluster_id.expect("an id").into_owned();

        // By mistake, beside a living broker.
        let told = refused(config_over(other.path(), &store, &[])).await;
        assert!(told.contains(&format!("holds cluster {cluster}")), "{told}");
        assert!(told.contains("tiering.on.empty.disk=restore"), "{told}");
        assert!(!other.path().join("metadata.db").exists(), "nothing was begun");
        let options = RestoreOptions { cluster_id: Some("x".into()), take_over: TakeOver::Now };
        let config = config_over(other.path(), &store, &[]);
        let missing = restore_from(&config, &options, &Unwatched).await.expect_err("no cluster x");
        assert!(missing.to_string().contains(&cluster), "{missing}");
        replay(&mut client, "ice", 0..last + 1).await;
        broker.end().await;

        let broker = Broker::over(config_over(
            other.path(),
            &store,
            &[("tiering.on.empty.disk", "restore")],
        ))
        .await;
        let mut client = Client::connect(broker.address).await;
        replay(&mut client, "ice", 0..last + 1).await;
        assert_eq!(metadata(&mut client).await.cluster_id.as_deref(), Some(cluster.as_str()));
        broker.end().await;

        // The disk that was not lost after all is behind, and says so.
        let told = refused(config_over(dir.path(), &store, &[])).await;
        assert!(told.contains("belongs to another broker"), "{told}");
        let third = tempfile::tempdir().expect("dir");
        let beside = config_over(third.path(), &store, &[("tiering.on.empty.disk", "new")]);
        let broker = Broker::over(beside).await;
        let mut client = Client::connect(broker.address).await;
        assert_ne!(metadata(&mut client).await.cluster_id.as_deref(), Some(cluster.as_str()));
        broker.end().await;
    }

    /// The folder of a topic's first partition in the store below the data directory.
    fn partition_in_store(data_dir: &Path, topic: &str) -> PathBuf {
        let folders = |folder: &Path| {
            let entries = std::fs::read_dir(folder).expect("a folder");
            entries.map(|entry| entry.expect("entry").path()).filter(|path| path.is_dir())
        };
        let cluster = folders(&data_dir.join("store")).next().expect("one");
        let named = |path: &PathBuf| path.to_string_lossy().contains(&format!("/{topic}."));
        folders(&cluster.join("topics")).find(named).expect("the topic").join("0")
    }

    /// Gives a folder back once the lists were made.
    struct Appears(PathBuf, PathBuf);

    impl RestoreWatch for Appears {
        fn reached(&self, step: RestoreStep) -> bool {
            if step == RestoreStep::ManifestRebuilt {
                std::fs::rename(&self.0, &self.1).expect("it is back");
            }
            true
        }

        fn progress(&self, _progress: RestoreProgress) {}
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_list_that_hides_what_was_uploaded_restores_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let broker = Broker::start(dir.path(), &OFTEN).await;
        let mut client = client(&broker).await;
        create(&mut client, "ice", &TIERED).await;
        produce(&mut client, "ice", 0..3_000).await;
        let last = tiered(&mut client, "ice", 1_000).await;
        broker.end().await;
        wipe(dir.path());
        let (shown, hidden) = (partition_in_store(dir.path(), "ice"), dir.path().join("store-0"));
        std::fs::rename(&shown, &hidden).expect("hidden");
        let away = dir.path().join("elsewhere");
        let elsewhere = config_over(&away, &dir.path().join("store"), &[]);
        let refused = restore_from(&elsewhere, &WHEN_FREE, &Appears(hidden, shown)).await;
        let refused = refused.expect_err("the log would give its offsets away twice").to_string();
        assert!(refused.contains("lists lack objects that are there"), "{refused}");

        restore_from(&elsewhere, &WHEN_FREE, &Unwatched).await.expect("now they show all");
        let broker = Broker::over(elsewhere).await;
        let mut client = client_of(&broker).await;
        replay(&mut client, "ice", 0..last + 1).await;
        broker.end().await;
    }
}

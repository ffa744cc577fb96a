//! The HTTP port over real sockets.

#[cfg(test)]
mod http_port {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use icecore::config::PolicyText;
    use icecore::http::{
        self, AskError, CheckOutcome, ConsumerStatus, DiskState, DiskStatus, Explained, JobEnd,
        JobProgress, JobRefused, JobRequest, JobResult, JobState, JobStatus, Limits, ObserveError,
        Observed, PartitionStatus, PlanAsk, PolicyFrom, PolicyOutcome, PolicyStatus, ReplayPlan,
        ReplayStatus, ReplaysStatus, ServerStatus, TierJobs, TierPolicies, TierStatus, WarmAsk,
        Warmed,
    };
    use icecore::metrics::Metrics;
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;
    use tokio_util::sync::CancellationToken;

    const SOON: Duration = Duration::from_secs(20);

    #[derive(Default)]
    struct Broker {
        missing: Mutex<Option<String>>,
        remarks: Vec<String>,
        hangs: bool,
        broken: bool,
        job: Mutex<Option<JobStatus>>,
    }

    /// The first job goes on until it is cancelled.
    impl TierJobs for Broker {
        fn begin(&self, request: JobRequest) -> Result<JobStatus, JobRefused> {
            let mut job = self.job.lock();
            if let Some(job) = &*job {
                return Err(JobRefused::Busy(job.id.clone()));
            }
            let status = JobStatus {
                id: "7".to_owned(),
                request,
                state: JobState::Running,
                progress: JobProgress { partitions: 1, of_partitions: 2, ..Default::default() },
                end: JobEnd::default(),
            };
            Ok(job.insert(status).clone())
        }

        fn job(&self, id: &str) -> Option<JobStatus> {
            self.job.lock().clone().filter(|job| job.id == id)
        }

        fn cancel(&self, id: &str) -> Option<JobStatus> {
            let mut job = self.job.lock();
            let job = job.as_mut().filter(|job| job.id == id)?;
            job.state = JobState::Ended;
            let result = Some(JobResult::Fsck(CheckOutcome::default()));
            job.end = JobEnd { error: Some("it was broken off".to_owned()), result };
            Some(job.clone())
        }
    }

    fn partition() -> PartitionStatus {
        PartitionStatus {
            topic: "snow".to_owned(),
            partition: 3,
            log_start_offset: 10,
            local_log_start_offset: 50,
            high_watermark: 99,
            log_end_offset: 100,
            local: TierStatus { segments: 2, bytes: 2000 },
            remote: TierStatus { segments: 4, bytes: 4000 },
            pending: TierStatus { segments: 1, bytes: 900 },
            oldest_timestamp_ms: Some(1_700_000_000_000),
            upload_lag_ms: 12,
        }
    }

    /// Tells what it was asked in the place of topics.
    impl TierPolicies for Broker {
        fn policies(&self) -> Result<Vec<PolicyStatus>, ObserveError> {
            let policy = PolicyText {
                name: "long".to_owned(),
                topics: vec!["snow*".to_owned()],
                priority: 3,
                settings: [("retention.ms".to_owned(), "7".to_owned())].into(),
            };
            let used_by = vec!["snow".to_owned()];
            Ok(vec![PolicyStatus { policy, from: PolicyFrom::File, hides_file: false, used_by }])
        }

        fn set_policy(
            &self,
            policy: PolicyText,
            dry_run: bool,
        ) -> BoxFuture<'_, Result<PolicyOutcome, AskError>> {
            async move {
                if policy.name != "a b" || policy.priority != 0 || policy.topics != ["x*"] {
                    return Err(AskError::Refused(format!("{policy:?}")));
                }
                Ok(PolicyOutcome { dry_run, ..PolicyOutcome::default() })
            }
            .boxed()
        }

        fn delete_policy(
            &self,
            name: String,
            dry_run: bool,
        ) -> BoxFuture<'_, Result<PolicyOutcome, AskError>> {
            async move {
                match name.as_str() {
                    "long" => Ok(PolicyOutcome { dry_run, ..PolicyOutcome::default() }),
                    _ => Err(AskError::NotFound(format!("there is no policy {name}"))),
                }
            }
            .boxed()
        }

        fn explain(&self, topic: &str) -> Result<Explained, ObserveError> {
            Ok(Explained {
                topic: topic.to_owned(),
                exists: false,
                policy: None,
                passed_over: Vec::new(),
                settings: Vec::new(),
            })
        }
    }

    impl Observed for Broker {
        fn ready(&self) -> Result<(), String> {
            self.missing.lock().clone().map_or(Ok(()), Err)
        }

        fn remarks(&self) -> Vec<String> {
            self.remarks.clone()
        }

        fn server(&self) -> Result<ServerStatus, ObserveError> {
            Ok(ServerStatus {
                cluster_id: "c-1".to_owned(),
                read_only: true,
                view_age_ms: Some(1500),
                view_every_ms: Some(10_000),
                view_told_ms: Some(7),
                view_amiss: None,
            })
        }

        fn partitions(&self) -> BoxFuture<'_, Result<Vec<PartitionStatus>, ObserveError>> {
            async {
                if self.hangs {
                    std::future::pending::<()>().await;
                }
                if self.broken { Err("the manifest is gone".into()) } else { Ok(vec![partition()]) }
            }
            .boxed()
        }

        fn replays(&self) -> Result<ReplaysStatus, ObserveError> {
            let reader = ReplayStatus {
                topic: "snow".to_owned(),
                partition: 3,
                segment_base_offset: 20,
                segment_position: 7000,
                bytes_per_second: 80_000_000,
                waits_for_store: true,
                window_bytes: 1 << 25,
                requests: 4,
            };
            let consumer = ConsumerStatus {
                group: Some("drill".to_owned()),
                client_id: "rdkafka".to_owned(),
                client_host: "10.0.0.7".to_owned(),
                topic: "snow".to_owned(),
                partition: 3,
                offset: 20,
                end_offset: 90,
                time_ms: Some(1_700_000_000_000),
                bytes: 7000,
                bytes_per_second: 500,
                since_ms: 1_800_000_000_000,
            };
            Ok(ReplaysStatus {
                first_byte_ms: 50,
                log_gets: 5,
                consumers: vec![consumer],
                readers: vec![reader],
                ..Default::default()
            })
        }

        fn disk(&self) -> Result<DiskStatus, ObserveError> {
            Ok(DiskStatus {
                state: DiskState::Short,
                total_bytes: 100,
                free_bytes: 4,
                low_bytes: 5,
                high_bytes: 10,
                refused_batches: 1,
                dropped_segments: 2,
                dropped_bytes: 3,
            })
        }

        fn replay_plan(&self, ask: PlanAsk) -> BoxFuture<'_, Result<ReplayPlan, AskError>> {
            async move {
                match (ask.topic.as_str(), ask.from) {
                    ("snow", None) => Ok(ReplayPlan {
                        topic: format!("{:?} {:?}", ask.partitions, ask.to),
                        partitions: Vec::new(),
                        measured_bytes_per_second: 1,
                        cache_bytes: 2,
                        reads_in_place: false,
                        rates: Vec::new(),
                    }),
                    ("snow", Some(_)) => Err(AskError::Refused("not there".to_owned())),
                    _ => Err(AskError::NotFound("no such topic".to_owned())),
                }
            }
            .boxed()
        }

        fn warm(&self, ask: WarmAsk) -> BoxFuture<'_, Result<Warmed, AskError>> {
            let next_offset = Some(ask.from_offset + 1);
            async move { Ok(Warmed { next_offset, next_position: ask.position, bytes: 9 }) }.boxed()
        }
    }

    struct Running {
        address: SocketAddr,
        broker: Arc<Broker>,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn start(broker: Broker, limits: Limits) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (broker, metrics) = (Arc::new(broker), Arc::new(Metrics::new()));
        let shutdown = CancellationToken::new();
        let run = http::run(
            listener,
            Arc::clone(&broker),
            Arc::clone(&metrics),
            limits,
            shutdown.clone(),
        );
        Running { address, broker, metrics, shutdown, task: tokio::spawn(run) }
    }

    impl Running {
        /// Status and everything after the status line.
        async fn get(&self, path: &str) -> (u16, String) {
            self.ask("GET", path, "").await
        }

        /// The same with another method and a body of JSON.
        async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let length = body.len();
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            let read = stream.read_to_string(&mut text);
            tokio::time::timeout(SOON, read).await.expect("an answer in time").unwrap();
            let (status, rest) = text.split_once("\r\n").unwrap();
            (status.split(' ').nth(1).unwrap().parse().unwrap(), rest.to_owned())
        }
    }

    #[tokio::test]
    async fn readiness_says_what_is_missing_and_liveness_does_not_care() {
        let server = start(Broker::default(), Limits::default()).await;
        assert_eq!(server.get("/readyz").await.0, 200);
        *server.broker.missing.lock() = Some("recovering 3 of 2000 partitions".to_owned());
        let (status, text) = server.get("/readyz").await;
        assert_eq!(status, 503);
        assert!(text.ends_with("not ready: recovering 3 of 2000 partitions\n"), "{text}");
        assert_eq!(server.get("/livez").await.0, 200);
        assert_eq!(server.get("/other").await.0, 404);
    }

    #[tokio::test]
    async fn what_is_amiss_stands_below_ready_and_does_not_make_the_broker_unready() {
        let remarks = vec!["the object store is left alone".to_owned()];
        let server = start(Broker { remarks, ..Broker::default() }, Limits::default()).await;
        let (status, text) = server.get("/readyz").await;
        assert_eq!(status, 200);
        assert!(text.ends_with("\r\n\r\nready\nthe object store is left alone\n"), "{text}");
    }

    #[tokio::test]
    async fn what_a_server_is_comes_as_json_with_the_promised_fields() {
        let server = start(Broker::default(), Limits::default()).await;
        let (status, text) = server.get("/v1/server").await;
        assert_eq!(status, 200);
        let body = text.split_once("\r\n\r\n").unwrap().1;
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        let expected = serde_json::json!({
            "cluster_id": "c-1", "read_only": true, "view_age_ms": 1500, "view_every_ms": 10_000,
            "view_told_ms": 7, "view_amiss": null,
        });
        assert_eq!(json, expected);
    }

    #[tokio::test]
    async fn replays_come_as_json_with_the_promised_fields() {
        let server = start(Broker::default(), Limits::default()).await;
        let (status, text) = server.get("/v1/replays").await;
        assert_eq!(status, 200);
        let body = text.split_once("\r\n\r\n").unwrap().1;
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        let expected = serde_json::json!({
            "first_byte_ms": 50, "request_bytes_per_second": 0, "total_bytes_per_second": 0,
            "index_gets": 0, "log_gets": 5, "fetched_bytes": 0,
            "consumers": [{
                "group": "drill", "client_id": "rdkafka", "client_host": "10.0.0.7",
                "topic": "snow", "partition": 3, "offset": 20, "end_offset": 90,
                "time_ms": 1_700_000_000_000_i64, "bytes": 7000, "bytes_per_second": 500,
                "since_ms": 1_800_000_000_000_i64,
            }],
            "readers": [{
                "topic": "snow", "partition": 3, "segment_base_offset": 20,
                "segment_position": 7000, "bytes_per_second": 80_000_000, "waits_for_store": true,
                "window_bytes": 33_554_432, "requests": 4,
            }],
        });
        assert_eq!(json, expected);
    }

    #[tokio::test]
    async fn a_plan_is_asked_for_in_the_query_and_what_is_wrong_with_it_is_said() {
        let server = start(Broker::default(), Limits::default()).await;
        let plan = server.get("/v1/replay-plan?topic=snow&to=17ms&partitions=0,2-4").await;
        assert_eq!(plan.0, 200, "{}", plan.1);
        assert!(plan.1.contains("[0..=0, 2..=4]") && plan.1.contains("Time(17)"), "{}", plan.1);
        for (query, status, words) in [
            ("topic=snow&from=end", 400, "not there"),
            ("topic=other", 404, "no such topic"),
            ("topic=snow&from=nowhere", 400, "is no place"),
            ("topic=snow&partitions=x", 400, "such as 0,1,4-7"),
            ("", 400, "topic"),
        ] {
            let (got, text) = server.get(&format!("/v1/replay-plan?{query}")).await;
            assert!(got == status && text.contains(words), "{query}: {text}");
        }
        assert_eq!(server.get("/v1/replay-warm?topic=snow").await.0, 405, "it is no look");
    }

    #[tokio::test]
    async fn partitions_come_as_json_with_the_promised_fields() {
        let server = start(Broker::default(), Limits::default()).await;
        let (status, text) = server.get("/v1/partitions").await;
        assert_eq!(status, 200);
        let body = text.split_once("\r\n\r\n").unwrap().1;
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        let expected = serde_json::json!([{
            "topic": "snow", "partition": 3, "log_start_offset": 10,
            "local_log_start_offset": 50, "high_watermark": 99, "log_end_offset": 100,
            "local": {"segments": 2, "bytes": 2000}, "remote": {"segments": 4, "bytes": 4000},
            "pending": {"segments": 1, "bytes": 900},
            "oldest_timestamp_ms": 1_700_000_000_000_i64, "upload_lag_ms": 12,
        }]);
        assert_eq!(json, expected);
    }

    #[tokio::test]
    async fn a_job_is_begun_looked_at_and_broken_off_and_no_second_one_begins_beside_it() {
        let server = start(Broker::default(), Limits::default()).await;
        let (jobs, gc) = ("/v1/tier/jobs", r#"{"job": "gc", "dry_run": true}"#);
        let (status, text) = server.ask("POST", jobs, gc).await;
        let json = |text: &str| -> serde_json::Value {
            serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
        };
        assert_eq!((status, &json(&text)["state"]), (202, &"running".into()), "{text}");
        assert_eq!(
            json(&text)["request"],
            serde_json::json!({
                "job": "gc", "dry_run": true, "min_age_ms": null
            })
        );
        let (status, text) = server.ask("POST", jobs, gc).await;
        assert!(status == 409 && text.contains("job 7 is still going on"), "{status} {text}");
        let (status, text) = server.get("/v1/tier/jobs/7").await;
        assert_eq!((status, &json(&text)["progress"]["of_partitions"]), (200, &2.into()));
        let (status, text) = server.ask("DELETE", "/v1/tier/jobs/7", "").await;
        assert_eq!((status, &json(&text)["state"]), (200, &"ended".into()));
        assert_eq!(json(&text)["result"]["fsck"]["findings"], 0);
        assert_eq!(server.get("/v1/tier/jobs/8").await.0, 404);
        for wrong in ["", "{}", r#"{"job": "rm"}"#] {
            let status = server.ask("POST", jobs, wrong).await.0;
            assert!((400..500).contains(&status), "{wrong:?}: {status}");
        }
    }

    #[tokio::test]
    async fn policies_are_listed_set_deleted_and_explained() {
        let server = start(Broker::default(), Limits::default()).await;
        let json = |text: &str| -> serde_json::Value {
            serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
        };
        let expected = serde_json::json!([{
            "name": "long", "topics": ["snow*"], "priority": 3, "settings": {"retention.ms": "7"},
            "from": "file", "hides_file": false, "used_by": ["snow"],
        }]);
        assert_eq!(json(&server.get("/v1/policies").await.1), expected);
        let body = r#"{"topics": ["x*"], "settings": {"retention.ms": "7d"}}"#;
        for (query, dry_run) in [("", false), ("?dry_run=false", false), ("?dry_run=true", true)] {
            let (status, text) =
                server.ask("PUT", &format!("/v1/policies/a%20b{query}"), body).await;
            assert_eq!((status, &json(&text)["dry_run"]), (200, &dry_run.into()), "{text}");
            let (status, text) =
                server.ask("DELETE", &format!("/v1/policies/long{query}"), "").await;
            assert_eq!((status, &json(&text)["dry_run"]), (200, &dry_run.into()), "{text}");
        }
        assert_eq!(server.ask("PUT", "/v1/policies/other", body).await.0, 400);
        assert_eq!(server.ask("DELETE", "/v1/policies/other", "").await.0, 404);
        for wrong in ["", "{}", r#"{"topics": [], "settings": {}, "prio": 1}"#] {
            let status = server.ask("PUT", "/v1/policies/a%20b", wrong).await.0;
            assert!((400..500).contains(&status), "{wrong:?}: {status}");
        }
        let (status, text) = server.get("/v1/topic-settings?topic=snow").await;
        assert_eq!((status, &json(&text)["topic"]), (200, &"snow".into()), "{text}");
    }

    #[tokio::test]
    async fn the_room_on_the_disk_comes_as_json_with_the_promised_fields() {
        let server = start(Broker::default(), Limits::default()).await;
        let (status, text) = server.get("/v1/disk").await;
        let json: serde_json::Value =
            serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        let expected = serde_json::json!({
            "state": "short", "total_bytes": 100, "free_bytes": 4, "low_bytes": 5,
            "high_bytes": 10, "refused_batches": 1, "dropped_segments": 2, "dropped_bytes": 3,
        });
        assert_eq!((status, json), (200, expected));
    }

    #[tokio::test]
    async fn metrics_show_what_was_counted() {
        let server = start(Broker::default(), Limits::default()).await;
        server.metrics.topics.topic("snow").bytes_in.inc_by(42);
        let (status, text) = server.get("/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("application/openmetrics-text"), "{text}");
        let line = "kafka_server_brokertopicmetrics_bytesin_total{topic=\"snow\"} 42\n";
        assert!(text.contains(line), "{text}");
    }

    #[tokio::test]
    async fn an_answer_that_fails_or_never_comes_is_an_error_and_the_rest_goes_on() {
        let broker = Broker { broken: true, ..Broker::default() };
        let server = start(broker, Limits::default()).await;
        let (status, text) = server.get("/v1/partitions").await;
        assert!(status == 500 && text.ends_with("the manifest is gone\n"), "{status} {text}");

        let request_timeout = Duration::from_millis(50);
        let limits = Limits { request_timeout, requests_max: 1, ..Limits::default() };
        let server = start(Broker { hangs: true, ..Broker::default() }, limits).await;
        let (first, second) =
            tokio::join!(server.get("/v1/partitions"), server.get("/v1/partitions"));
        assert_eq!((first.0, second.0), (503, 503));
        let texts = [first.1, second.1].concat();
        assert!(texts.contains("not answered in time"), "{texts}");
        assert_eq!(server.get("/readyz").await.0, 200);
    }

    #[tokio::test]
    async fn clients_that_send_nothing_or_drip_are_closed_and_make_room() {
        let idle_timeout = Duration::from_millis(150);
        let limits = Limits { connections_max: 2, idle_timeout, ..Limits::default() };
        let server = start(Broker::default(), limits).await;
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        let mut dripping = TcpStream::connect(server.address).await.unwrap();
        let drip = async {
            while dripping.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, drip).await.expect("the dripping client is closed");
        let mut byte = [0];
        let end = tokio::time::timeout(SOON, silent.read(&mut byte)).await;
        assert!(matches!(end.expect("the silent client is closed"), Ok(0) | Err(_)));
        assert_eq!(server.get("/livez").await.0, 200);
    }

    #[tokio::test]
    async fn a_shutdown_is_not_held_up_by_a_connection_that_stays_open() {
        let drain_timeout = Duration::from_millis(50);
        let server = start(Broker::default(), Limits { drain_timeout, ..Limits::default() }).await;
        let mut open = TcpStream::connect(server.address).await.unwrap();
        open.write_all(b"GET /livez HTT").await.unwrap();
        assert_eq!(server.get("/livez").await.0, 200);
        server.shutdown.cancel();
        tokio::time::timeout(SOON, server.task).await.expect("the server stops").unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}

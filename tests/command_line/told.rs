//! What a broker tells of itself: lines of JSON for machines, and traces for a collector.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message as _;
use rustix::process::Signal;
use serde_json::Value;

use crate::broker::{PATIENCE, interrupt};

/// What no line may hold.
const SECRET: &str = "wJalrXUtnFEMI";

/// A broker of which every line is kept.
struct Told {
    child: Child,
    lines: mpsc::Receiver<String>,
    heard: Vec<Value>,
    dir: tempfile::TempDir,
}

impl Told {
    fn start(configuration: &str, settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        std::fs::write(dir.path().join("icecore.toml"), configuration).expect("a configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
        command.current_dir(dir.path()).args(["serve", "--data-dir", "data"]);
        command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args([
            "--set",
            "logging.format=json",
            "--set",
            "logging.filter=info,icecore=debug",
        ]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        command
            .env_remove("ICECORE_LOG")
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("spawn");
        let stderr = BufReader::new(child.stderr.take().expect("stderr"));
        let (heard, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(heard.send(line)));
        });
        Self { child, lines, heard: Vec::new(), dir }
    }

    /// Waits for a line with this message.
    fn hear(&mut self, message: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line =
                line.unwrap_or_else(|_| panic!("nobody said {message:?}: {:#?}", self.heard));
            if self.note(&line)["fields"]["message"] == message {
                return self.heard.last().expect("a line").clone();
            }
        }
    }

    /// The same for a line that may have come before others that were waited for.
    fn has_said(&mut self, message: &str) {
        if !self.heard.iter().any(|line| line["fields"]["message"] == message) {
            self.hear(message);
        }
    }

    /// Every line is an object with what a machine looks for.
    fn note(&mut self, line: &str) -> &Value {
        assert!(!line.contains(SECRET), "a secret: {line}");
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for name in ["timestamp", "level", "target"] {
            assert!(value[name].is_string(), "no {name}: {line}");
        }
        assert!(value["fields"]["message"].is_string(), "nothing happened: {line}");
        self.heard.push(value);
        self.heard.last().expect("a line")
    }

    /// Ends it in order; every line that there was.
    fn end(mut self) -> Vec<Value> {
        interrupt(&self.child, Signal::TERM);
        assert!(self.child.wait().expect("wait").success(), "an orderly end");
        while let Ok(line) = self.lines.recv() {
            self.note(&line);
        }
        std::mem::take(&mut self.heard)
    }

    fn run(&self, kafka: &str, words: &str) -> assert_cmd::assert::Assert {
        self.run_with(kafka, words, String::new())
    }

    fn run_with(&self, kafka: &str, words: &str, input: String) -> assert_cmd::assert::Assert {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
        command.args(words.split_whitespace()).env("ICECORE_BROKER", kafka).timeout(PATIENCE);
        command.write_stdin(input).assert().success()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value["fields"][name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

fn numbered_lines(count: u32) -> String {
    (0..count).map(|n| format!("{n:0>99}\n")).collect()
}

const QUICK: &[&str] = &[
    "num.partitions=1",
    "log.segment.bytes=1MiB",
    "log.local.retention.bytes=1",
    "log.retention.check.interval.ms=50",
    "remote.log.manager.task.interval.ms=50",
];

#[test]
fn a_whole_run_is_told_in_lines_of_json() {
    let mut told = Told::start("", QUICK);
    let starting = told.hear("starting");
    assert_eq!(text(&starting, "version"), env!("CARGO_PKG_VERSION"));
    let ready = told.hear("ready");
    assert_eq!((&ready["level"], &ready["target"]), (&"INFO".into(), &"icecore::app".into()));
    assert!(text(&ready, "store").starts_with("file://") && !text(&ready, "cluster").is_empty());
    assert!(ready["fields"]["partitions"].is_u64() && ready["fields"]["node"] == 0, "{ready}");
    let kafka = text(&ready, "kafka").to_owned();
    told.run(&kafka, "topic create t");
    let created = told.hear("topic created");
    assert_eq!((text(&created, "topic"), &created["fields"]["partitions"]), ("t", &1.into()));
    assert!(text(&created, "by").contains(" at 127.0.0.1:"), "{created}");
    told.run_with(&kafka, "produce t", numbered_lines(30_000));
    let uploaded = told.hear("segment uploaded");
    assert_eq!((text(&uploaded, "partition"), &uploaded["level"]), ("t-0", &"DEBUG".into()));
    told.hear("local segments removed");

    let store = told.dir.path().join("data/store");
    std::fs::rename(&store, told.dir.path().join("aside")).expect("moved away");
    std::fs::write(&store, b"no folder").expect("a file");
    told.run_with(&kafka, "produce t", numbered_lines(30_000));
    let failed = told.hear("tiering failed and is tried again");
    assert_eq!((text(&failed, "partition"), &failed["level"]), ("t-0", &"WARN".into()));
    std::fs::remove_file(&store).expect("the file goes");
    std::fs::rename(told.dir.path().join("aside"), &store).expect("the store is back");
    told.hear("segment uploaded");

    told.run(&kafka, "topic alter t --config retention.bytes=1");
    let altered = told.hear("settings altered");
    assert!(text(&altered, "settings").contains("retention.bytes"), "{altered}");
    let expired = told.hear("retention deleted from the store");
    assert!(expired["fields"]["segments"].as_u64() > Some(0), "{expired}");
    told.run(&kafka, "topic delete t");
    assert_eq!(text(&told.hear("topic deleted"), "topic"), "t");
    let all = told.end();
    let last = &all[all.len() - 1]["fields"]["message"];
    assert_eq!(last, "ended in order", "{all:#?}");
}

#[test]
fn a_start_that_waits_for_its_store_tells_it_without_the_stores_keys() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let mut told = Told::start(
        &format!(
            "store = \"s3\"\n[stores.s3]\nurl = \"s3://bucket/prefix\"\n\
             endpoint = \"http://127.0.0.1:{port}\"\nregion = \"us-east-1\"\n\
             access_key_id = \"AKIA\"\nsecret_access_key = \"{SECRET}\"\ncall_timeout = \"2s\"\n\
             request_timeout = \"1s\"\n"
        ),
        &[],
    );
    let waiting = told.hear("waiting for the object store");
    assert!(text(&waiting, "error").contains("s3://bucket/prefix is out of reach"), "{waiting}");
    assert_eq!(waiting["level"], "ERROR");
    told.end();
}

#[test]
fn a_broker_that_cannot_start_says_why_in_its_last_line_of_json() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
    let dir = tempfile::tempdir().expect("dir");
    command.current_dir(dir.path()).env_remove("ICECORE_LOG").timeout(PATIENCE);
    command.args(["serve", "--listen", &address, "--set", "logging.format=json"]);
    let ended = command.assert().code(1);
    let stderr = String::from_utf8_lossy(&ended.get_output().stderr).into_owned();
    let lines: Vec<Value> =
        stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let last = lines.last().expect("a line");
    assert!(text(last, "error").contains(&format!("cannot listen on {address}")), "{last}");
}

/// A collector: it keeps the spans that it is sent.
struct Collector {
    port: u16,
    spans: mpsc::Receiver<Span>,
    heard: Vec<Span>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (sender, spans) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || take_all(stream, &sender));
            }
        });
        Self { port, spans, heard: Vec::new() }
    }

    /// The first span that is right, once it is there.
    fn span(&mut self, what: &str, is_right: impl Fn(&Span) -> bool) -> Span {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(span) = self.heard.iter().find(|span| is_right(span)) {
                return span.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            let span = self.spans.recv_timeout(left);
            let names = || self.heard.iter().map(|span| span.name.clone()).collect::<Vec<_>>();
            self.heard.push(span.unwrap_or_else(|_| panic!("no {what} among {:?}", names())));
        }
    }

    fn named(&mut self, name: &str) -> Span {
        self.span(name, |span| span.name == name)
    }

    /// A span of that name right beneath one of another name, after it.
    fn beneath_one_of(&mut self, parent: &str, name: &str) -> (Span, Span) {
        let is_right = |span: &Span, all: &[Span]| {
            span.name == name
                && all.iter().any(|it| it.name == parent && it.span_id == span.parent_span_id)
        };
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(span) = self.heard.iter().find(|span| is_right(span, &self.heard)) {
                let span = span.clone();
                let above = self.heard.iter().find(|above| above.span_id == span.parent_span_id);
                return (above.expect("it was found").clone(), span);
            }
            let left = until.saturating_duration_since(Instant::now());
            self.heard.push(self.spans.recv_timeout(left).expect("another span in time"));
        }
    }

    /// The span of that name right beneath another one.
    fn beneath(&mut self, parent: &Span, name: &str) -> Span {
        let right = |span: &Span| span.name == name && span.parent_span_id == parent.span_id;
        self.span(name, right)
    }
}

/// Requests of one connection, each answered with success.
fn take_all(stream: TcpStream, spans: &mpsc::Sender<Span>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).is_ok_and(|len| len > 2) {
            head.push_str(&line.to_lowercase());
            line.clear();
        }
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) else { return };
        assert!(head.starts_with("post /v1/traces ") && head.contains("application/x-protobuf"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let request = ExportTraceServiceRequest::decode(&body[..]).expect("OTLP");
        for resource in request.resource_spans {
            let described = resource.resource.expect("a resource");
            let service = described.attributes.iter().find(|a| a.key == "service.name");
            assert!(service.is_some_and(|service| format!("{service:?}").contains("icecore")));
            let scopes = resource.scope_spans.into_iter();
            scopes.flat_map(|scope| scope.spans).for_each(|span| drop(spans.send(span)));
        }
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).expect("answered");
    }
}

fn attributes(span: &Span) -> BTreeMap<&str, AnyValue> {
    let value = |attribute: &opentelemetry_proto::tonic::common::v1::KeyValue| {
        attribute.value.clone().and_then(|value| value.value)
    };
    let all = span.attributes.iter();
    all.filter_map(|attribute| Some((attribute.key.as_str(), value(attribute)?))).collect()
}

fn number(span: &Span, name: &str) -> i64 {
    match attributes(span).get(name) {
        Some(AnyValue::IntValue(number)) => *number,
        other => panic!("{name} of {} is {other:?}", span.name),
    }
}

fn word(span: &Span, name: &str) -> String {
    match attributes(span).remove(name) {
        Some(AnyValue::StringValue(word)) => word,
        other => panic!("{name} of {} is {other:?}", span.name),
    }
}

#[test]
fn requests_uploads_remote_reads_and_the_start_are_traced_to_a_collector() {
    let mut collector = Collector::start();
    let endpoint = format!("tracing.otlp.endpoint=http://127.0.0.1:{}", collector.port);
    let settings = [QUICK, &[&endpoint, "tracing.request.ratio=1"]].concat();
    let mut told = Told::start("store = \"memory://\"\n", &settings);
    let kafka = text(&told.hear("ready"), "kafka").to_owned();
    told.run(&kafka, "topic create t");
    told.run_with(&kafka, "produce t", numbered_lines(30_000));
    told.hear("local segments removed");
    told.run(&kafka, "consume t --to end");

    let start = collector.named("start");
    collector.beneath(&start, "open logs");
    let produce = collector.named("Produce");
    assert_eq!(produce.kind, SpanKind::Server as i32);
    assert!(produce.parent_span_id.is_empty(), "a request is a trace of its own");
    assert!(number(&produce, "version") >= 9 && number(&produce, "request_bytes") > 1000);
    assert_eq!((number(&produce, "topics"), number(&produce, "partitions")), (1, 1));
    assert!(!word(&produce, "client_id").is_empty());
    let upload = collector.named("upload");
    assert_eq!((word(&upload, "topic"), number(&upload, "partition")), ("t".into(), 0));
    let put = collector.beneath(&upload, "store put");
    assert_eq!((put.kind, word(&put, "outcome")), (SpanKind::Client as i32, "ok".into()));
    let (parent, get) = collector.beneath_one_of("remote fetch", "store get");
    assert!(number(&parent, "bytes") > 0 && number(&parent, "offset") >= 0);
    let request = collector.span("its request", |span| span.span_id == parent.parent_span_id);
    assert_eq!((&request.name[..], request.trace_id), ("Fetch", get.trace_id));
    told.end();
}

#[test]
fn a_collector_that_is_away_is_told_of_once_and_costs_nothing_else() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    let endpoint = format!("tracing.otlp.endpoint=http://127.0.0.1:{port}");
    let mut told = Told::start("", &[&endpoint, "tracing.request.ratio=1"]);
    let kafka = text(&told.hear("ready"), "kafka").to_owned();
    told.run(&kafka, "topic create t");
    told.run_with(&kafka, "produce t", numbered_lines(1000));
    // Perhaps while it started.
    told.has_said("the collector takes no traces: they are dropped");
    told.run_with(&kafka, "produce t", numbered_lines(1000));
    let ending = Instant::now();
    let all = told.end();
    assert!(ending.elapsed() < Duration::from_secs(20), "the end does not wait for it");
    let dropped = all.iter().filter(|line| {
        line["fields"]["message"]
            .as_str()
            .is_some_and(|said| said.starts_with("the collector takes no traces"))
    });
    assert_eq!(dropped.count(), 1);
}

#[test]
fn an_endpoint_that_is_no_address_is_refused_with_what_one_looks_like() {
    let dir = tempfile::tempdir().expect("dir");
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.current_dir(dir.path()).timeout(PATIENCE);
    command.args(["serve", "--set", "tracing.otlp.endpoint=collector:4318"]);
    let ended = command.assert().code(1);
    let stderr = String::from_utf8_lossy(&ended.get_output().stderr).into_owned();
    assert!(stderr.contains("give http://HOST:PORT of a collector"), "{stderr}");
}

//! A broker's process: started, asked, ended, killed, started again on the same ports.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;

use super::http::request;
use super::{Place, Remote, Running, run, until};

/// How long a start or an end may take.
const SOON: Duration = Duration::from_secs(60);
/// Below the ports that the system gives to outgoing connections: none of them takes the place of
/// a broker that is down for a moment.
const FIRST_PORT: u16 = 23_000;
const LAST_PORT: u16 = 23_999;

static NEXT_PORT: AtomicU16 = AtomicU16::new(FIRST_PORT);

pub(crate) fn free_port() -> u16 {
    loop {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        assert!(port <= LAST_PORT, "no free port between {FIRST_PORT} and {LAST_PORT}");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// One partition, as /v1/partitions tells of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) partition: usize,
    pub(crate) log_start_offset: i64,
    pub(crate) local_log_start_offset: i64,
    pub(crate) high_watermark: i64,
    pub(crate) local: Tier,
    pub(crate) remote: Tier,
    pub(crate) pending: Tier,
}

/// How much of it is somewhere.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Tier {
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
}

/// A broker over a store, or over a folder in its data directory.
pub(crate) struct Broker {
    process: Option<Running>,
    port: u16,
    http_port: u16,
    store: Option<(String, Vec<(&'static str, String)>)>,
    settings: Vec<(String, String)>,
    read_only: bool,
    pub(crate) data: PathBuf,
    log: PathBuf,
}

impl Broker {
    /// Starts it, and waits until it is ready.
    pub(crate) fn start(
        place: &Place,
        store: Option<&dyn Remote>,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::launch(place, "broker", store, false, settings)
    }

    /// Starts a read-only server of a store, with a folder of its own.
    pub(crate) fn start_reading(
        place: &Place,
        store: &dyn Remote,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::launch(place, "reader", Some(store), true, settings)
    }

    fn launch(
        place: &Place,
        name: &str,
        store: Option<&dyn Remote>,
        read_only: bool,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut broker = Self {
            process: None,
            port: free_port(),
            http_port: free_port(),
            store: store.map(|store| (store.url(), store.variables())),
            settings: Vec::new(),
            read_only,
            data: place.join(format!("{name}-data")),
            log: place.join(format!("{name}.log")),
        };
        for (name, value) in settings {
            broker.set(name, value);
        }
        broker.start_again();
        broker
    }

    /// Changes a setting for the next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(other, _)| other != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it where it was, and waits until it is ready.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let mut command = self.command(&["serve"]);
        command.args(["--listen", &self.address(), "--http", &self.http_address()]);
        command.args(self.read_only.then_some("--read-only"));
        for (name, value) in &self.settings {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        command.env("NO_COLOR", "1").env("ICECORE_LOG", "info,icecore::replica=debug");
        let mut process = Running::start(command, &self.log);
        until("the broker is ready", SOON, || {
            assert!(process.runs(), "the broker ended:\n{}", process.output_tail());
            let answer = request(&self.http_address(), "GET", "/readyz");
            answer.is_ok_and(|(status, _)| status == 200).then_some(())
        });
        self.process = Some(process);
    }

    /// Runs a command on its data directory and its store, to a good end; what it wrote.
    pub(crate) fn run_tool(&self, place: &Place, words: &[&str]) -> String {
        let log = place.join(format!("{}.log", words.join("-")));
        run(self.command(words), &log, SOON)
    }

    /// A command with its data directory, its store, and nothing of the machine's own configuration.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
        command.args(words).arg("--data-dir").arg(&self.data);
        for (name, _) in std::env::vars_os() {
            let ours = |prefix: &str| name.as_encoded_bytes().starts_with(prefix.as_bytes());
            if ours("AWS_") || ours("ICECORE_") {
                command.env_remove(name);
            }
        }
        if let Some((url, variables)) = &self.store {
            command.args(["--store", url]).envs(variables.clone());
        }
        command
    }

    pub(crate) fn http_address(&self) -> String {
        format!("127.0.0.1:{}", self.http_port)
    }

    /// The topic's partitions in their order.
    pub(crate) fn partitions(&self, topic: &str) -> Vec<Partition> {
        let (status, body) = request(&self.http_address(), "GET", "/v1/partitions").unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let mut all: Vec<Partition> = serde_json::from_slice(&body).unwrap();
        all.retain(|partition| partition.topic == topic);
        all.sort_by_key(|partition| partition.partition);
        all
    }

    /// Offsets after the last that consumers see.
    pub(crate) fn ends(&self, topic: &str) -> Vec<i64> {
        self.partitions(topic).iter().map(|partition| partition.high_watermark).collect()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.as_ref().expect("it runs").pid().as_raw_nonzero().get()
    }

    /// Where a partition's files lie.
    pub(crate) fn partition_folder(&self, topic: &str, partition: usize) -> PathBuf {
        self.data.join("log").join(format!("{topic}-{partition}"))
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::TERM);
        process.wait(SOON)
    }

    /// Ends it as a power cut does, but for the disk.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        assert!(process.runs(), "the broker ended:\n{}", process.output_tail());
        process.signal(Signal::KILL);
        process.wait(SOON);
    }

    /// How much was logged so far.
    pub(crate) fn log_length(&self) -> usize {
        std::fs::read(&self.log).unwrap().len()
    }

    /// What was logged after so much.
    pub(crate) fn log_after(&self, length: usize) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()[length..]).into_owned()
    }
}

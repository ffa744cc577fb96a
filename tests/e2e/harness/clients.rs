//! The client programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::{Broker, Entry, Place, Running, assert_same, environment, read_transcript, run};

/// How long a program may take that moves the gate's few bytes; more of them take longer.
const PATIENCE: Duration = Duration::from_secs(300);
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;

fn patience() -> Duration {
    let bytes = super::number("ICECORE_E2E_BYTES", 0);
    PATIENCE + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN)
}

/// A client that people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// By confluent-kafka.
    Librdkafka,
    /// An older librdkafka, by hand.
    Kcat,
    /// Kafka's own.
    Java,
    /// kafka-python.
    KafkaPython,
}

/// A topic at a broker.
#[derive(Clone)]
pub(crate) struct Topic {
    broker: String,
    pub(crate) name: String,
    partitions: usize,
}

/// What a producer is asked for.
pub(crate) struct Writing<'a> {
    /// Of the program's kind of records: no two producers share one.
    pub(crate) name: &'a str,
    pub(crate) codecs: &'a str,
    pub(crate) start_ms: i64,
    /// Further arguments of `clients/arguments.py`, each with its value.
    pub(crate) more: &'a [(&'a str, String)],
}

/// Where a consumer begins.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    Beginning,
    Time(i64),
    Offsets(Vec<i64>),
}

impl Client {
    pub(crate) const ALL: [Self; 4] = [Self::Librdkafka, Self::Kcat, Self::Java, Self::KafkaPython];

    fn command(self, verb: &str, topic: &Topic) -> Command {
        let mut command = match self {
            Self::Java => java("Client"),
            Self::Librdkafka => python("librdkafka.py"),
            Self::Kcat => python("kcat.py"),
            Self::KafkaPython => python("kafka_python.py"),
        };
        command.args([verb, "--broker", &topic.broker, "--topic", &topic.name]);
        command.args(["--partitions", &topic.partitions.to_string()]);
        command
    }
}

impl Topic {
    pub(crate) fn create(
        place: &Place,
        broker: &Broker,
        name: &str,
        partitions: usize,
        config: &[(&str, &str)],
    ) -> Self {
        let topic = Self { broker: broker.address(), name: name.to_owned(), partitions };
        let mut command = Client::Librdkafka.command("create", &topic);
        for (name, value) in config {
            command.args(["--config", &format!("{name}={value}")]);
        }
        run(command, &place.join("create.log"), PATIENCE);
        topic
    }

    /// The same at another server.
    pub(crate) fn at(&self, server: &Broker) -> Self {
        Self { broker: server.address(), ..self.clone() }
    }

    /// Starts a producer; its ledger is the file `<name>.ledger`.
    pub(crate) fn start_writing(
        &self,
        place: &Place,
        client: Client,
        writing: &Writing<'_>,
    ) -> Running {
        let mut command = client.command("produce", self);
        command.args(["--name", writing.name, "--codecs", writing.codecs]);
        command.arg("--ledger").arg(ledger(place, writing.name));
        command.args(["--start-ms", &writing.start_ms.to_string()]);
        for (name, value) in writing.more {
            command.args([name, &value[..]]);
        }
        Running::start(command, &place.join(format!("{}.log", writing.name)))
    }

    /// Produces to the end.
    pub(crate) fn write(&self, place: &Place, client: Client, writing: &Writing<'_>) {
        self.start_writing(place, client, writing).succeed(patience());
    }

    /// What was read of each partition up to `ends`, and the offsets that a time led to.
    pub(crate) fn read(
        &self,
        place: &Place,
        client: Client,
        reading: &Reading,
        ends: &[i64],
    ) -> (Vec<Vec<Entry>>, Option<Vec<i64>>) {
        let start = match reading {
            Reading::Beginning => "beginning".to_owned(),
            Reading::Time(ms) => format!("time:{ms}"),
            Reading::Offsets(offsets) => format!("offsets:{}", joined(offsets)),
        };
        let out = place.join(format!("read-by-{client:?}"));
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir_all(&out).unwrap();
        let mut command = client.command("read", self);
        command.args(["--start", &start, "--ends", &joined(ends)]).arg("--out").arg(&out);
        run(command, &place.join(format!("read-by-{client:?}.log")), patience());
        let transcript = |number: usize| read_transcript(&out.join(number.to_string()));
        let found = std::fs::read_to_string(out.join("found")).ok();
        let found = found.map(|text| text.lines().map(|line| line.parse().unwrap()).collect());
        ((0..self.partitions).map(transcript).collect(), found)
    }

    /// Reads all partitions and compares with `logs` from `starts` on.
    pub(crate) fn replays(
        &self,
        place: &Place,
        client: Client,
        reading: &Reading,
        logs: &[Vec<Entry>],
        starts: &[i64],
    ) {
        let ends: Vec<i64> = logs.iter().map(|log| i64::try_from(log.len()).unwrap()).collect();
        let (read, found) = self.read(place, client, reading, &ends);
        if let Some(found) = found {
            assert_eq!(found, starts, "offsets that {client:?} was told for {reading:?}");
        }
        for (partition, log) in logs.iter().enumerate() {
            let start = usize::try_from(starts[partition]).unwrap();
            assert_same(client, partition, &read[partition], &log[start..]);
        }
    }
}

pub(crate) fn ledger(place: &Place, name: &str) -> PathBuf {
    place.join(format!("{name}.ledger"))
}

fn joined(numbers: &[i64]) -> String {
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    texts.join(",")
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients")
}

pub(crate) fn components() -> PathBuf {
    PathBuf::from(environment("ICECORE_E2E_COMPONENTS"))
}

fn python(program: &str) -> Command {
    let mut command = Command::new(components().join("python/bin/python"));
    // -B: a test leaves nothing beside the sources.
    command.arg("-B").arg(clients().join(program));
    command
}

/// A class of ours, or of Kafka's tools.
pub(crate) fn java(class: &str) -> Command {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    let jars = format!("{}/*", components().join("kafka/lib").display());
    let classes = COMPILED.get_or_init(|| compile(&jars));
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-Dlog4j2.StatusLogger.level=OFF", "-cp"]);
    command.arg(format!("{}:{jars}", classes.display())).arg(class);
    command
}

fn compile(jars: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e/classes");
    std::fs::create_dir_all(&out).unwrap();
    let sources = std::fs::read_dir(clients().join("java")).unwrap();
    let sources = sources.map(|entry| entry.unwrap().path());
    let mut command = Command::new("javac");
    command.args(["-cp", jars, "-d"]).arg(&out).args(sources);
    run(command, &out.join("javac.log"), PATIENCE);
    out
}
